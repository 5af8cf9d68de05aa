package telemetry

import (
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
	// speaker stands for the source while columns are written: its place in
	// order.
	speaker int32
	n       int    // rows
	from    int    // of the first row in encoder.rows
	clock   uint32 // 0: own time column; k: that of the column k before
	hash    uint64 // of the times
	alike   int32  // from 1: the column with a clock before it that lies in the same place of encoder.clocks
	form    uint32
	states  []uint32 // run lengths, when not all rows are in the usual state
}

// usual is the state of a row when nothing else is said.
func (c *column) usual() uint32 { return stateOf(QualityLive, c.signal.Kind) }

// stateOf packs quality and kind of a row.
func stateOf(q Quality, k Kind) uint32 { return uint32(q)<<3 | uint32(k) }

// colKey identifies a column while samples are distributed.
type colKey struct {
	name    string
	speaker int32
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
	order   []int32
	sorted  []column
	clocks  []int32 // the last column with a clock of its own, from 1
	cuts    []int64
	xs      []int64
	texts   map[string]int64
	textAll []string
	sources []Source

	speakers map[Source]int32 // every source, numbered as they were met
	met      []Source
	numbered []uint32 // by speaker: its place in sources, from 1; 0: not there yet

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
	clear(e.sorted)
	clear(e.speakers)
	clear(e.met)
	clear(e.textAll)
	clear(e.sources)
	clear(e.declare)
	*e = encoder{
		seqCoder: seqCoder{bitWriter: bitWriter{buf: e.buf[:0]}, try: e.try[:0], best: e.best[:0]},
		batches:  batches, rows: e.rows[:0], ats: e.ats[:0], starts: e.starts[:0], colOf: e.colOf[:0], cols: e.cols[:0],
		index: e.index, next: e.next[:0], order: e.order[:0], sorted: e.sorted[:0], clocks: e.clocks[:0],
		speakers: e.speakers, met: e.met[:0], numbered: e.numbered[:0], cuts: e.cuts[:0], xs: e.xs[:0], texts: e.texts, textAll: e.textAll[:0],
		sources: e.sources[:0], declare: e.declare[:0], dense: e.dense, out: e.out[:0], msg: e.msg[:0], packed: e.packed[:0],
	}
	if e.index == nil {
		e.index, e.texts = make(map[colKey]int32), make(map[string]int64)
		e.speakers = make(map[Source]int32)
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

// describe appends the fields that say what the columns are.
func (e *encoder) describe() {
	n := len(e.cols)
	all := make([]uint32, 4*n)
	signals, sources, clocks, forms := all[:0:n], all[n:n:2*n], all[2*n:2*n:3*n], all[3*n:3*n]
	for i := range e.cols {
		c := &e.cols[i]
		signals = append(signals, e.signalNumber(c))
		sources = append(sources, e.sourceNumber(c)-1)
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

// sourceNumber returns the place of the column's source among those of the
// body, from 1, and puts it there when it is new.
func (e *encoder) sourceNumber(c *column) uint32 {
	at := &e.numbered[c.speaker]
	if *at == 0 {
		e.sources = append(e.sources, c.source)
		*at = uint32(len(e.sources))
	}
	return *at
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
