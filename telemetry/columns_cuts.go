package telemetry

import (
	"slices"
)

// The rows of all batches lie in one sequence of times per column, and cuts
// say where each batch after the first begins. The first row behind a cut is
// its batch's first, so a cut may lie anywhere after the last row before it:
// the encoder puts it where it costs least.

// findCuts decides at which time each batch after the first begins.
func (e *encoder) findCuts() {
	nb := len(e.batches)
	e.cuts = slices.Grow(e.cuts, nb)[:nb]
	last := slices.Max(e.ats) + 1
	for b := nb - 1; b > 0; b-- {
		for i := range e.batches[b].Samples {
			last = min(last, e.batches[b].Samples[i].At.millis())
		}
		e.cuts[b] = last
	}
	e.straighten(e.cuts[1:])
}

// straighten moves cuts, the latest there may be, onto an even grid: a stored
// batch ends with a flush, and flushes come at regular times. Where rows of
// two batches lie among each other there is no choice.
func (e *encoder) straighten(cuts []int64) {
	n := len(cuts)
	if n < 3 {
		return
	}
	e.xs = slices.Grow(e.xs[:0], 2*n)[:2*n]
	earliest, moved := e.xs[:n], e.xs[n:]
	last := int64(-1 << 60) // before all times, and far from overflowing
	for b := range cuts {
		for i := range e.batches[b].Samples {
			last = max(last, e.batches[b].Samples[i].At.millis()+1)
		}
		earliest[b] = min(last, cuts[b])
		moved[b] = cuts[b] - cuts[max(0, b-1)]
	}
	slices.Sort(moved)
	step := max(1, moved[n/2])
	best, bends := step, onGrid(moved, earliest, cuts, step)
	for _, s := range [...]int64{step, step / 2} { // between quiet seconds most flushes may lie two steps apart
		for _, unit := range [...]int64{1, 10, 100} { // flushes are set in round times
			if s := (s + unit/2) / unit * unit; s > 0 && s != step {
				if k := onGrid(moved, earliest, cuts, s); k < bends {
					best, bends = s, k
				}
			}
		}
	}
	onGrid(moved, earliest, cuts, best)
	copy(cuts, moved)
}

// onGrid puts numbers, each between earliest and latest, onto points of a grid
// with that step into to, and returns how often it had to begin another grid.
func onGrid(to, earliest, latest []int64, step int64) (bends int) {
	from, lo, hi := 0, earliest[0], latest[0] // since where, and where its first point may lie
	to[0] = 0                                 // points are counted from the first
	settle := func(end int) {
		for i := from; i < end; i++ {
			to[i] = hi + to[i]*step
		}
	}
	for i := 1; i < len(to); i++ {
		point := to[i-1] + 1
		if short := earliest[i] - hi - point*step; short > 0 {
			point += (short + step - 1) / step // a flush without rows makes no batch
		}
		l, h := max(lo, earliest[i]-point*step), min(hi, latest[i]-point*step)
		if l > h {
			settle(i)
			from, l, h, point = i, earliest[i], latest[i], 0
			bends++
		}
		lo, hi, to[i] = l, h, point
	}
	settle(len(to))
	return bends
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
