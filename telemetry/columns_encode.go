package telemetry

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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
		sources: e.sources[:0], declare: e.declare[:0], out: e.out[:0], msg: e.msg[:0], packed: e.packed[:0],
	}
	if e.index == nil {
		e.index, e.texts = make(map[colKey]int32), make(map[string]int64)
	}
}

// distribute finds the column of every sample and sorts columns and rows into
// the canonical order: columns by number, name and source, rows by batch and
// time.
func (e *encoder) distribute() error {
	n := 0
	for i := range e.batches {
		n += len(e.batches[i].Samples)
	}
	e.colOf = slices.Grow(e.colOf, n)
	prev := int32(0)
	for i := range e.batches {
		for j := range e.batches[i].Samples {
			s := &e.batches[i].Samples[j]
			if s.Signal == nil {
				return fmt.Errorf("encode sample %d of batch %d: %w", j, e.batches[i].Seq, ErrNoSignal)
			}
			c := e.columnOf(s, prev)
			e.cols[c].n++
			e.colOf = append(e.colOf, c)
			prev = c
		}
	}
	if len(e.cols) > MaxColumns {
		return fmt.Errorf("encode %d columns: %w", len(e.cols), ErrTooLarge)
	}
	e.sortColumns()
	e.place(n)
	return nil
}

// columnOf returns the column of a sample. Sources repeat themselves, so the
// column that followed prev last time is tried first.
func (e *encoder) columnOf(s *Sample, prev int32) int32 {
	if int(prev) < len(e.next) {
		if g := e.next[prev]; g >= 0 && e.cols[g].signal == s.Signal && e.cols[g].source == s.Source {
			return g
		}
	}
	key := colKey{s.Signal.Name, s.Source}
	c, ok := e.index[key]
	if !ok {
		c = int32(len(e.cols))
		sig := s.Signal
		number := idByName[sig.Name]
		if number != 0 {
			if known, ok := Lookup(sig.Name); ok {
				sig = known
			}
		}
		e.cols = append(e.cols, column{signal: sig, source: s.Source, number: number})
		e.next = append(e.next, -1)
		e.index[key] = c
	}
	e.next[prev] = c
	return c
}

// sortColumns brings the columns into canonical order and renames them in
// colOf.
func (e *encoder) sortColumns() {
	order := make([]int32, len(e.cols))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return compareColumns(&e.cols[a], &e.cols[b]) })
	sorted := make([]column, len(order))
	for to, from := range order {
		sorted[to] = e.cols[from]
		e.next[from] = int32(to)
	}
	copy(e.cols, sorted)
	for i, c := range e.colOf {
		e.colOf[i] = e.next[c]
	}
}

func compareColumns(a, b *column) int {
	return cmp.Or(compareNumbers(a.number, b.number), strings.Compare(a.signal.Name, b.signal.Name), compareSources(a.source, b.source))
}

// compareNumbers puts signals without a number last.
func compareNumbers(a, b uint32) int { return cmp.Compare(a-1, b-1) }

func compareSources(a, b Source) int {
	return cmp.Or(strings.Compare(a.Bus, b.Bus), strings.Compare(a.Address, b.Address), strings.Compare(a.Method, b.Method))
}

// compareSamples is the canonical order of the samples of a batch.
func compareSamples(a, b Sample) int {
	if c := cmp.Compare(a.At.millis(), b.At.millis()); c != 0 {
		return c
	}
	if a.Signal == b.Signal {
		return compareSources(a.Source, b.Source)
	}
	return cmp.Or(compareNumbers(a.Signal.ID(), b.Signal.ID()), strings.Compare(a.Signal.Name, b.Signal.Name), compareSources(a.Source, b.Source))
}

// compareFixes is the canonical order of the fixes of a batch.
func compareFixes(a, b Fix) int {
	return cmp.Or(cmp.Compare(a.At.millis(), b.At.millis()), strings.Compare(a.Receiver, b.Receiver))
}

// place lays the rows of each column together, batch by batch, each batch in
// order of time.
func (e *encoder) place(n int) {
	from := 0
	for i := range e.cols {
		e.cols[i].from = from
		from += e.cols[i].n
		e.cols[i].n = 0
	}
	e.rows = slices.Grow(e.rows, n)[:n]
	e.ats = slices.Grow(e.ats, n)[:n]
	nb := len(e.batches)
	e.starts = slices.Grow(e.starts, len(e.cols)*nb)[:len(e.cols)*nb]
	clear(e.starts)
	row := 0
	for b := range e.batches {
		samples := e.batches[b].Samples
		for j := range samples {
			c := &e.cols[e.colOf[row]]
			at := c.from + c.n
			e.rows[at], e.ats[at] = &samples[j], samples[j].At.millis()
			c.n++
			e.starts[int(e.colOf[row])*nb+b]++
			row++
		}
	}
	for i := range e.cols {
		at := e.cols[i].from
		for b := range nb {
			m := int(e.starts[i*nb+b])
			e.sortRows(at, at+m)
			at += m
		}
	}
}

// sortRows sorts rows [lo,hi) by time; equal times keep their order. They
// nearly always are in order.
func (e *encoder) sortRows(lo, hi int) {
	if slices.IsSorted(e.ats[lo:hi]) {
		return
	}
	rows := e.rows[lo:hi]
	slices.SortStableFunc(rows, func(a, b *Sample) int { return cmp.Compare(a.At.millis(), b.At.millis()) })
	for i, s := range rows {
		e.ats[lo+i] = s.At.millis()
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
	e.writeCuts()
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

// writeCuts says at which time each batch after the first begins.
func (e *encoder) writeCuts() {
	nb := len(e.batches)
	if nb == 1 {
		return
	}
	e.cuts = slices.Grow(e.cuts, nb)[:nb]
	last := slices.Max(e.ats) + 1
	for b := nb - 1; b > 0; b-- {
		for i := range e.batches[b].Samples {
			last = min(last, e.batches[b].Samples[i].At.millis())
		}
		e.cuts[b] = last
	}
	e.sequence(e.cuts[1:])
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

// cutter divides the rows of a column among the batches by the cuts.
type cutter struct {
	cuts  []int64 // cuts[b]: where batch b begins; cuts[0] is unused
	times []int64
}

func newCutter(cuts, times []int64) cutter { return cutter{cuts, times} }

// next returns how many of the remaining rows belong to batch b and takes
// them away: those before the cut of the next batch.
func (c *cutter) next(b int) int {
	if b+1 >= len(c.cuts) {
		n := len(c.times)
		c.times = nil
		return n
	}
	n := 0
	for n < len(c.times) && c.times[n] < c.cuts[b+1] {
		n++
	}
	c.times = c.times[n:]
	return n
}

func (c *cutter) agrees(counts []int32) bool {
	for b, n := range counts {
		if c.next(b) != int(n) {
			return false
		}
	}
	return true
}

// values turns the values of a column into integers in e.xs, and chooses form
// and states.
func (e *encoder) values(c *column) {
	rows := e.rows[c.from : c.from+c.n]
	usual, all := c.usual(), true
	for _, s := range rows {
		if stateOf(s.Quality, s.Value.kind) != usual {
			all = false
			break
		}
	}
	if !all {
		c.states = runsOf(rows)
	}
	c.form = formOf(c.signal.Step, rows)
	step := stepOf(c.form, c.signal.Step)
	e.xs = e.xs[:0]
	for _, s := range rows {
		switch s.Value.kind {
		case KindNone:
		case KindFloat:
			if c.form == formBits {
				e.xs = append(e.xs, int64(s.Value.bits))
				continue
			}
			n, _ := step.Steps(s.Value.Float())
			e.xs = append(e.xs, n)
		case KindText:
			e.xs = append(e.xs, e.text(utf8(s.Value.text)))
		case KindBytes:
			e.xs = append(e.xs, e.text(s.Value.text))
		default:
			e.xs = append(e.xs, int64(s.Value.bits))
		}
	}
}

// runsOf returns state, length, state, length … of the rows.
func runsOf(rows []*Sample) []uint32 {
	var runs []uint32
	for _, s := range rows {
		state := stateOf(s.Quality, s.Value.kind)
		if n := len(runs); n > 0 && runs[n-2] == state {
			runs[n-1]++
			continue
		}
		runs = append(runs, state, 1)
	}
	return runs
}

// formOf returns the form that holds every float of the rows exactly.
func formOf(own Step, rows []*Sample) uint32 {
	fits := func(st Step) bool {
		for _, s := range rows {
			if s.Value.kind == KindFloat {
				if _, ok := st.Steps(s.Value.Float()); !ok {
					return false
				}
			}
		}
		return true
	}
	if fits(own) {
		return formStep
	}
	for i, g := range grids {
		if fits(g) {
			return formGrid + uint32(i)
		}
	}
	return formBits
}

// stepOf returns the resolution a form stands for.
func stepOf(form uint32, own Step) Step {
	if form >= formGrid && int(form-formGrid) < len(grids) {
		return grids[form-formGrid]
	}
	return own
}

// text returns the position of s among the texts of the body.
func (e *encoder) text(s string) int64 {
	i, ok := e.texts[s]
	if !ok {
		i = int64(len(e.textAll))
		e.texts[s] = i
		e.textAll = append(e.textAll, s)
	}
	return i
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
	for _, s := range e.declare {
		e.message(bodySignals, appendSignal(e.msg[:0], s))
	}
	for _, s := range e.sources {
		e.message(bodySources, appendSource(e.msg[:0], s))
	}
	for _, t := range e.textAll {
		e.out = protowire.AppendTag(e.out, bodyTexts, protowire.BytesType)
		e.out = protowire.AppendString(e.out, t)
	}
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
