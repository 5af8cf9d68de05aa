package telemetry

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of message Body in telemetry.proto.
const (
	bodySignals   = 1
	bodySources   = 2
	bodyTexts     = 3
	bodySignal    = 4
	bodySource    = 5
	bodyClock     = 6
	bodyForm      = 7
	bodyStates    = 8
	bodyReceivers = 9
	bodyBits      = 10
	bodyGaps      = 11
	bodyAnchors   = 12
	bodyClips     = 13
	bodyChunks    = 14
)

// The forms of float values in a column.
const (
	formStep = 0 // whole steps of the signal
	formBits = 1 // IEEE 754 bits as an integer
	formGrid = 2 // formGrid+i: whole steps of grids[i]
)

// grids are the resolutions tried when a column has none of its own or leaves
// it, coarse first within a family: decimals, then knots and km/h as metres
// per second. The list is part of the format and only ever appended to.
var grids = [...]Step{
	{1, 1}, {1, 10}, {1, 100}, {1, 1000}, {1, 1e4}, {1, 1e5}, {1, 1e6}, {1, 1e7}, {1, 1e8}, {1, 1e9},
	{1852, 3600}, {1852, 36000}, {1852, 360000}, {1852, 3600000}, {1852, 36000000},
	{1, 36}, {1, 360}, {1, 3600}, {1, 36000},
}

// column is the samples of one signal from one source.
type column struct {
	signal *Signal
	source Source
	number uint32 // stable id, or dynamicID and up
	n      int    // rows
	from   int    // of the first row in encoder.rows
	clock  uint32 // 0: own time column; k: that of the column k before
	hash   uint64 // of the times and the batches they belong to
	form   uint32
	states []uint32 // run lengths, when not all rows are in the usual state
}

// usual is the state of a row when nothing else is said.
func (c *column) usual() uint32 { return stateOf(QualityLive, c.signal.Kind) }

// stateOf packs quality and kind of a row.
func stateOf(q Quality, k Kind) uint32 { return uint32(q)<<3 | uint32(k) }

// colKey identifies a column while samples are distributed.
type colKey struct {
	name   string
	source Source
}

// encoder turns the content of batches into a Body. Its slices are scratch
// space that is kept between uses.
type encoder struct {
	seqCoder
	batches []Batch
	rows    []*Sample
	ats     []int64 // of rows, in ms
	starts  []int32 // column i, batch b: starts[i*len(batches)+b] rows
	colOf   []int32
	cols    []column
	index   map[colKey]int32
	next    []int32 // the column that followed this one last time
	cuts    []int64
	xs      []int64
	texts   map[string]int64
	textAll []string
	sources []Source
	declare []*Signal
	dense   *denseWriter // made with the first envelope of format 2
	out     []byte
	msg     []byte
	packed  []byte
}

func (e *encoder) reset(batches []Batch) {
	clear(e.index)
	clear(e.texts)
	clear(e.rows)
	clear(e.cols)
	clear(e.textAll)
	clear(e.sources)
	clear(e.declare)
	*e = encoder{
		seqCoder: seqCoder{bitWriter: bitWriter{buf: e.buf[:0]}, try: e.try[:0], best: e.best[:0]},
		batches:  batches, rows: e.rows[:0], ats: e.ats[:0], starts: e.starts[:0], colOf: e.colOf[:0], cols: e.cols[:0],
		index: e.index, next: e.next[:0], cuts: e.cuts[:0], xs: e.xs[:0], texts: e.texts, textAll: e.textAll[:0],
		sources: e.sources[:0], declare: e.declare[:0], dense: e.dense, out: e.out[:0], msg: e.msg[:0], packed: e.packed[:0],
	}
	if e.index == nil {
		e.index, e.texts = make(map[colKey]int32), make(map[string]int64)
	}
}

// shareClocks finds columns with the very same times in the same batches.
func (e *encoder) shareClocks() {
	nb := len(e.batches)
	for i := range e.cols {
		c := &e.cols[i]
		h := uint64(14695981039346656037)
		for _, at := range e.ats[c.from : c.from+c.n] {
			h = (h ^ uint64(at)) * 1099511628211
		}
		c.hash = h
		for j := i - 1; j >= 0; j-- {
			d := &e.cols[j]
			if d.clock == 0 && d.hash == h && d.n == c.n &&
				slices.Equal(e.starts[i*nb:(i+1)*nb], e.starts[j*nb:(j+1)*nb]) &&
				slices.Equal(e.ats[c.from:c.from+c.n], e.ats[d.from:d.from+d.n]) {
				c.clock = uint32(i - j)
				break
			}
		}
	}
}

// samples writes the sample columns into bits, and what they need into the
// other fields.
func (e *encoder) samples() error {
	if err := e.distribute(); err != nil {
		return err
	}
	if len(e.cols) == 0 {
		return nil
	}
	e.shareClocks()
	if len(e.batches) > 1 {
		e.findCuts()
		e.sequence(e.cuts[1:])
	}
	var h hint
	for i := range e.cols {
		c := &e.cols[i]
		if c.clock == 0 {
			h = e.writeClock(i, h)
		}
		e.values(c)
		e.sequence(e.xs)
	}
	return nil
}

// writeClock writes the rows, the batches and the times of column i.
// The hint is what the previous clock left; it returns what this one leaves.
func (e *encoder) writeClock(i int, h hint) hint {
	nb := len(e.batches)
	c := &e.cols[i]
	times := e.ats[c.from : c.from+c.n]
	e.number(int64(c.n - len(h.follow)))
	if nb > 1 {
		counts := e.starts[i*nb : (i+1)*nb]
		if cut := newCutter(e.cuts, times); cut.agrees(counts) {
			e.write(1, 1)
		} else {
			e.write(0, 1)
			e.xs = e.xs[:0]
			for _, n := range counts {
				e.xs = append(e.xs, int64(n))
			}
			e.sequence(e.xs)
		}
	}
	left := hint{first: times[0], follow: times}
	if len(h.follow) != len(times) {
		h.follow = nil
	}
	left.second = e.hinted(times, h)
	return left
}

// describe appends the fields that say what the columns are.
func (e *encoder) describe() {
	var signals, sources, clocks, forms []uint32
	for i := range e.cols {
		c := &e.cols[i]
		signals = append(signals, e.signalNumber(c))
		sources = append(sources, e.sourceNumber(c.source))
		clocks = append(clocks, c.clock)
		forms = append(forms, c.form)
	}
	e.declareSignals()
	for _, s := range e.sources {
		e.message(bodySources, appendSource(e.msg[:0], s))
	}
	e.declareTexts()
	e.array(bodySignal, signals)
	e.array(bodySource, shorten(sources))
	e.array(bodyClock, shorten(clocks))
	e.array(bodyForm, shorten(forms))
	for i := range e.cols {
		if runs := e.cols[i].states; runs != nil {
			e.message(bodyStates, appendStates(e.msg[:0], uint32(i), runs))
		}
	}
}

func (e *encoder) declareSignals() {
	for _, s := range e.declare {
		e.message(bodySignals, appendSignal(e.msg[:0], s))
	}
}

func (e *encoder) declareTexts() {
	for _, t := range e.textAll {
		e.out = protowire.AppendTag(e.out, bodyTexts, protowire.BytesType)
		e.out = protowire.AppendString(e.out, t)
	}
}

// shorten drops the repetitions at the end, and everything when all is zero:
// the last entry of such an array holds for the rest, an empty one means 0.
func shorten(xs []uint32) []uint32 {
	for len(xs) > 1 && xs[len(xs)-1] == xs[len(xs)-2] {
		xs = xs[:len(xs)-1]
	}
	if len(xs) == 1 && xs[0] == 0 {
		return nil
	}
	return xs
}

// signalNumber returns what stands for the column's signal, declaring it in
// the body when decoders may not know it.
func (e *encoder) signalNumber(c *column) uint32 {
	last := len(e.declare) - 1
	switch {
	case c.number == 0:
		if last < 0 || e.declare[last].Name != c.signal.Name {
			e.declare = append(e.declare, c.signal)
			last++
		}
		return dynamicID + uint32(last)
	case c.number > baselineIDs:
		if last < 0 || e.declare[last].Name != c.signal.Name {
			e.declare = append(e.declare, c.signal)
		}
	}
	return c.number
}

func (e *encoder) sourceNumber(s Source) uint32 {
	for i, t := range e.sources {
		if s == t {
			return uint32(i)
		}
	}
	e.sources = append(e.sources, s)
	return uint32(len(e.sources) - 1)
}

func (e *encoder) message(field protowire.Number, msg []byte) {
	e.msg = msg[:0]
	e.out = protowire.AppendTag(e.out, field, protowire.BytesType)
	e.out = protowire.AppendBytes(e.out, msg)
}

func (e *encoder) array(field protowire.Number, xs []uint32) {
	if len(xs) == 0 {
		return
	}
	e.packed = e.packed[:0]
	for _, x := range xs {
		e.packed = protowire.AppendVarint(e.packed, uint64(x))
	}
	e.out = protowire.AppendTag(e.out, field, protowire.BytesType)
	e.out = protowire.AppendBytes(e.out, e.packed)
}
