package telemetry

import (
	"fmt"
	"math"
)

// denseReader reads the columns of format 2, with the body that lies beside
// them already read. Like decoder it trusts nothing.
type denseReader struct {
	seqRead
	d       *decoder
	clocks  []int // columns with times of their own, the one used last in front
	times   []timeColumn
	strings []string
	letters int // bytes of texts so far
	spare   []int64
	peers   peers
	tracks  bool    // format 3
	ats     []int64 // of the fixes at hand
}

// dense reads the columns and, from rest, what else there is.
func (d *decoder) dense(bits, rest []byte, sent moment) error {
	if err := eachField(rest, d.field); err != nil {
		return err
	}
	if len(d.number)+len(d.receivers)+len(d.buf) > 0 {
		return fmt.Errorf("columns of format 1: %w", ErrMalformed)
	}
	r := &denseReader{d: d, tracks: d.head.format >= FormatTrack, strings: knownTexts[:len(knownTexts):len(knownTexts)]}
	r.seqRead.models = freshModels
	r.seqRead.start(bits)
	h := hint{first: sent.at}
	cols, err := r.samples(&h)
	if err != nil {
		return err
	}
	d.deal(cols)
	if err := r.fixGroups(h, sent); err != nil {
		return err
	}
	d.sortFixes()
	return nil
}

// samples reads the sample columns; the hint is then what the last clock left.
func (r *denseReader) samples(h *hint) ([]column, error) {
	n := r.count(&r.models.rows)
	if n > MaxColumns || int(n)*len(r.d.batches) > MaxCells {
		return nil, fmt.Errorf("%d columns of %d batches: %w", n, len(r.d.batches), ErrTooLarge)
	}
	if nb := len(r.d.batches); n > 0 && nb > 1 {
		r.d.cuts = make([]int64, nb)
		if !r.factored(r.d.cuts[1:], *h, &r.models.cuts) {
			return nil, fmt.Errorf("cuts: %w", ErrMalformed)
		}
		*h = hint{first: r.d.cuts[1]}
	}
	cols := make([]column, n)
	r.times = make([]timeColumn, n)
	last := uint64(0)
	for i := range cols {
		last += r.count(&r.models.signal)
		if err := r.column(i, last, cols, h); err != nil {
			return nil, fmt.Errorf("column %d: %w", i, err)
		}
	}
	h.follow = nil
	return cols, nil
}

// column reads column i.
func (r *denseReader) column(i int, number uint64, cols []column, h *hint) error {
	c := &cols[i]
	if c.signal = r.d.signalOf(number); c.signal == nil {
		return fmt.Errorf("no signal %d: %w", number, ErrMalformed)
	}
	switch at := r.small(&r.models.source); {
	case at == 0 && i > 0:
		c.source = cols[i-1].source
	case at == 1:
		c.source = Source{Bus: r.text(), Address: r.text(), Method: r.text()}
		r.d.sources = append(r.d.sources, c.source)
	case at >= 2 && at-2 < uint64(len(r.d.sources)):
		c.source = r.d.sources[at-2]
	default:
		return fmt.Errorf("no source %d: %w", at, ErrMalformed)
	}
	if err := r.clock(i, h); err != nil {
		return err
	}
	c.form = uint32(min(r.small(&r.models.form), math.MaxUint32))
	if c.form >= formGrid+uint32(len(grids)) {
		return fmt.Errorf("unknown form %d: %w", c.form, ErrMalformed)
	}
	return r.values(i, c, len(cols)-i)
}

// text reads a text. What it returns for bits that make no sense is bounded,
// and the sequence that follows will find them short.
func (r *denseReader) text() string {
	if at := r.count(&r.models.texts); at > 0 {
		return r.strings[min(at-1, uint64(len(r.strings)-1))]
	}
	n := min(r.count(&r.models.rows), uint64(MaxBody-r.letters))
	p := make([]byte, 0, min(n, 64))
	for range n {
		if r.short() {
			break
		}
		p = append(p, byte(r.tree(8, r.models.chars[:])))
	}
	r.letters += len(p)
	s := utf8(string(p))
	r.strings = append(r.strings, s)
	return s
}

// clock reads the times of column i.
func (r *denseReader) clock(i int, h *hint) error {
	at := r.small(&r.models.clock)
	if at > uint64(len(r.clocks)) {
		return fmt.Errorf("no clock %d: %w", at, ErrMalformed)
	}
	if at > 0 {
		owner := r.clocks[at-1]
		copy(r.clocks[1:at], r.clocks[:at-1])
		r.clocks[0] = owner
		r.times[i] = r.times[owner]
		return r.d.room(len(r.times[i].times))
	}
	r.clocks = append(r.clocks, 0)
	copy(r.clocks[1:], r.clocks)
	r.clocks[0] = i
	n := r.number(&r.models.rows) + int64(len(h.follow))
	if n < 1 || n > MaxValues {
		return fmt.Errorf("%d rows: %w", n, ErrMalformed)
	}
	if err := r.d.room(int(n)); err != nil {
		return err
	}
	t := &r.times[i]
	t.times = make([]int64, n)
	byCut := len(r.d.batches) > 1 && r.bit(&r.models.byCut) == 1
	if len(r.d.batches) > 1 && !byCut {
		var err error
		if t.counts, err = r.counts(n); err != nil {
			return err
		}
	}
	if len(h.follow) != len(t.times) {
		h.follow = nil
	}
	if !r.hinted(t.times, h, &r.models.times) {
		return fmt.Errorf("times: %w", ErrMalformed)
	}
	h.first, h.follow = t.times[0], t.times
	if byCut {
		t.cut(r.d.cuts)
	}
	return nil
}

// counts reads how many of n rows belong to each batch.
func (r *denseReader) counts(n int64) ([]int32, error) {
	xs := make([]int64, len(r.d.batches))
	if !r.sequence(xs, &r.models.counts) {
		return nil, fmt.Errorf("counts: %w", ErrMalformed)
	}
	return dealt(xs, n)
}

// values reads states and values of column i into cells; there are left more
// columns, this one included.
func (r *denseReader) values(i int, c *column, left int) error {
	t := &r.times[i]
	n := r.small(&r.models.runs)
	if r.d.runs += int(2 * min(n, MaxValues+1)); r.d.runs > 2*MaxValues {
		return fmt.Errorf("more than %d states: %w", MaxValues, ErrTooLarge)
	}
	var usual [2]uint64
	runs := usual[:]
	if n > 0 {
		runs = make([]uint64, 2*n)
		for j := range runs {
			runs[j] = r.count(&r.models.states)
		}
	} else {
		usual = [2]uint64{uint64(c.usual()), uint64(len(t.times))}
	}
	held, err := heldBy(runs, len(t.times))
	if err != nil {
		return err
	}
	if cap(r.spare) < held {
		r.spare = make([]int64, held)
	}
	xs := r.spare[:held]
	if !r.factored(xs, hint{peers: &r.peers}, &r.models.values) {
		return fmt.Errorf("values: %w", ErrMalformed)
	}
	if rows := len(t.times); cap(r.d.cells)-len(r.d.cells) < rows {
		grown := make([]cell, len(r.d.cells), max(len(r.d.cells)+rows, min(2*len(r.d.cells), MaxValues), min(rows*left, MaxValues)))
		copy(grown, r.d.cells)
		r.d.cells = grown
	}
	return r.d.fill(i, c, t, runs, xs)
}

// factored reads what the writer's factored wrote.
func (r *denseReader) factored(xs []int64, h hint, m *seqModel) bool {
	if len(xs) < 3 || r.bit(&m.factor) == 0 {
		return r.hinted(xs, &h, m)
	}
	f, rest := int64(r.count(&m.second)), int64(r.count(&m.second))
	if f < 2 || rest < 0 || rest >= f {
		return false
	}
	h = h.coarse(f, rest)
	if !r.hinted(xs, &h, m) {
		return false
	}
	for i := range xs {
		xs[i] = xs[i]*f + rest
	}
	return true
}
