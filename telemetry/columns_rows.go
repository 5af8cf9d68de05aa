package telemetry

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// samples reads the sample columns from the bits.
func (d *decoder) samples(cols []column) error {
	if len(cols) == 0 {
		return nil
	}
	if n := len(d.batches); n > 1 {
		d.cuts = make([]int64, n)
		if !d.sequence(d.cuts[1:]) {
			return fmt.Errorf("cuts: %w", ErrMalformed)
		}
	}
	d.clocks = sized(d.clocks, len(cols))
	clocks := d.clocks
	if cap(d.cells) < d.expect {
		d.cells = make([]cell, 0, d.expect)
	}
	var h hint
	for i := range cols {
		if back := cols[i].clock; back > 0 {
			clocks[i] = clocks[i-int(back)]
			if err := d.room(len(clocks[i].times)); err != nil {
				return err
			}
		} else {
			t, err := d.timeColumn(&h)
			if err != nil {
				return fmt.Errorf("column %d: %w", i, err)
			}
			clocks[i] = t
		}
		if err := d.values(i, &cols[i], &clocks[i]); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	d.deal(cols)
	return nil
}

// room takes n rows from the bound.
func (d *decoder) room(n int) error {
	if d.rows += n; d.rows > MaxValues {
		return fmt.Errorf("more than %d rows: %w", MaxValues, ErrTooLarge)
	}
	return nil
}

// timeColumn reads a clock. The hint is what the previous one left, and then
// what this one leaves.
func (d *decoder) timeColumn(h *hint) (timeColumn, error) {
	n := d.bitReader.number() + int64(len(h.follow))
	if n < 1 || n > MaxValues {
		return timeColumn{}, fmt.Errorf("%d rows: %w", n, ErrMalformed)
	}
	if err := d.room(int(n)); err != nil {
		return timeColumn{}, err
	}
	t := timeColumn{times: d.take(int(n))}
	nb := len(d.batches)
	byCut := nb > 1 && d.read(1) == 1
	if nb > 1 && !byCut {
		counts, err := d.counts(n)
		if err != nil {
			return t, err
		}
		t.counts = counts
	}
	if len(h.follow) != len(t.times) {
		h.follow = nil
	}
	if !d.hinted(t.times, h) {
		return t, fmt.Errorf("times: %w", ErrMalformed)
	}
	h.first, h.follow = t.times[0], t.times
	if byCut {
		t.cut(d.cuts)
	}
	return t, nil
}

// cut divides the rows among the batches.
func (t *timeColumn) cut(cuts []int64) {
	t.counts = make([]int32, len(cuts))
	cut := newCutter(cuts, t.times)
	for b := range t.counts {
		t.counts[b] = int32(cut.next(b))
	}
}

// counts reads how many of n rows belong to each batch.
func (d *decoder) counts(n int64) ([]int32, error) {
	xs := make([]int64, len(d.batches))
	if !d.sequence(xs) {
		return nil, fmt.Errorf("counts: %w", ErrMalformed)
	}
	return dealt(xs, n)
}

// dealt checks that the batches' rows make n.
func dealt(xs []int64, n int64) ([]int32, error) {
	counts, sum := make([]int32, len(xs)), int64(0)
	for i, x := range xs {
		if x < 0 || x > n {
			return nil, fmt.Errorf("count %d of %d rows: %w", x, n, ErrMalformed)
		}
		counts[i] = int32(x)
		sum += x
	}
	if sum != n {
		return nil, fmt.Errorf("counts of %d rows make %d: %w", n, sum, ErrMalformed)
	}
	return counts, nil
}

// values reads the values of column i into cells.
func (d *decoder) values(i int, c *column, t *timeColumn) error {
	runs, has := d.states[i]
	if !has {
		runs = []uint64{uint64(c.usual()), uint64(len(t.times))}
	}
	held, err := heldBy(runs, len(t.times))
	if err != nil {
		return err
	}
	d.xs = sized(d.xs, held)
	xs := d.xs
	if !d.sequence(xs) {
		return fmt.Errorf("values: %w", ErrMalformed)
	}
	return d.fill(i, c, t, runs, xs)
}

// heldBy checks the states of n rows and returns how many have a value.
func heldBy(runs []uint64, n int) (held int, err error) {
	for j, left := 0, n; j < len(runs); j += 2 {
		if j+1 >= len(runs) || runs[j+1] > uint64(left) || runs[j]>>3 > math.MaxUint8 {
			return 0, fmt.Errorf("states: %w", ErrMalformed)
		}
		left -= int(runs[j+1])
		if Kind(runs[j]&7) != KindNone {
			held += int(runs[j+1])
		}
		if j+2 >= len(runs) && left > 0 {
			return 0, fmt.Errorf("states of %d rows miss %d: %w", n, left, ErrMalformed)
		}
	}
	if len(runs) == 0 {
		return 0, fmt.Errorf("no states: %w", ErrMalformed)
	}
	return held, nil
}

// fill makes cells of the rows of column i and their values.
func (d *decoder) fill(i int, c *column, t *timeColumn, runs []uint64, xs []int64) error {
	batch, left, row := int32(0), len(t.times), 0
	if t.counts != nil {
		left = int(t.counts[0])
	}
	for j := 0; j < len(runs); j += 2 {
		kind, quality := Kind(runs[j]&7), Quality(runs[j]>>3)
		for range runs[j+1] {
			for left == 0 {
				batch++
				left = int(t.counts[batch])
			}
			left--
			v := Value{}
			if kind != KindNone {
				var ok bool
				if v, ok = d.value(c, kind, xs[0]); !ok {
					return fmt.Errorf("value of kind %s: %w", kind, ErrMalformed)
				}
				xs = xs[1:]
			}
			d.cells = append(d.cells, cell{at: t.times[row], batch: batch, column: int32(i), quality: quality, value: v})
			row++
		}
	}
	return nil
}

// value turns an integer back into a value.
func (d *decoder) value(c *column, kind Kind, x int64) (Value, bool) {
	switch kind {
	case KindFloat:
		if c.form == formBits {
			return Float(math.Float64frombits(uint64(x))), true
		}
		return Float(stepOf(c.form, c.signal.Step).Value(x)), true
	case KindInt:
		return Int(x), true
	case KindBool:
		return Bool(x != 0), true
	case KindText, KindBytes:
		if x < 0 || x >= int64(len(d.texts)) {
			return Value{}, false
		}
		if kind == KindText {
			return Text(utf8(d.texts[x])), true
		}
		return Value{kind: KindBytes, text: d.texts[x]}, true
	}
	return Value{}, true // a kind of a newer version
}

// deal puts the cells into the samples of their batches, in order of time and
// column. Cells lie in order of columns, so that within a batch it is enough to
// sort by time and keep the order of equal ones.
func (d *decoder) deal(cols []column) {
	ends := sized(d.ends, len(d.batches)+1) // of each batch in order
	clear(ends)
	for i := range d.cells {
		ends[d.cells[i].batch+1]++
	}
	for b := range d.batches {
		ends[b+1] += ends[b]
	}
	order := sized(d.order, len(d.cells))
	next := append(d.next[:0], ends...)
	d.ends, d.order, d.next = ends, order, next
	for i := range d.cells {
		b := d.cells[i].batch
		order[next[b]] = uint64(i)
		next[b]++
	}
	samples := make([]Sample, len(order))
	for b := range d.batches {
		from, to := ends[b], ends[b+1]
		if from == to {
			continue
		}
		d.inTime(order[from:to])
		for i, pos := range order[from:to] {
			c := &d.cells[pos]
			col := &cols[c.column]
			samples[from+i] = Sample{At: atMillis(c.at), Signal: col.signal, Source: col.source, Value: c.value, Quality: c.quality}
		}
		d.batches[b].Samples = samples[from:to:to]
	}
}

// inTime sorts positions of cells, rising ones, by the cells' times. The times
// of a batch nearly always fit beside the positions into one number each, which
// sorts several times faster than through a comparison.
func (d *decoder) inTime(order []uint64) {
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, pos := range order {
		at := d.cells[pos].at
		lo, hi = min(lo, at), max(hi, at)
	}
	if uint64(hi)-uint64(lo) > math.MaxUint32 {
		slices.SortStableFunc(order, func(a, b uint64) int { return cmp.Compare(d.cells[a].at, d.cells[b].at) })
		return
	}
	for i, pos := range order {
		order[i] = uint64(d.cells[pos].at-lo)<<32 | pos
	}
	slices.Sort(order)
	for i := range order {
		order[i] &= math.MaxUint32
	}
}
