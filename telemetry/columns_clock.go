package telemetry

import (
	"math/bits"
	"slices"
)

// shareClocks finds columns with the very same times in the same batches.
func (e *encoder) shareClocks() {
	bit := bits.Len(uint(len(e.cols)))
	e.clocks = slices.Grow(e.clocks, 1<<bit)[:1<<bit] // by hash of the times
	clear(e.clocks)
	for i := range e.cols {
		c := &e.cols[i]
		h := uint64(14695981039346656037)
		for _, at := range e.ats[c.from : c.from+c.n] {
			h = (h ^ uint64(at)) * 1099511628211
		}
		c.hash = h
		head := &e.clocks[h>>(64-bit)]
		for j := *head; j > 0 && c.clock == 0; j = e.cols[j-1].alike {
			if e.cols[j-1].hash == h && e.sameTimes(i, int(j-1)) {
				c.clock = uint32(i) + 1 - uint32(j)
			}
		}
		if c.clock == 0 {
			c.alike, *head = *head, int32(i+1)
		}
	}
}

// sameTimes reports whether columns i and j have the same times in the same
// batches.
func (e *encoder) sameTimes(i, j int) bool {
	nb := len(e.batches)
	c, d := &e.cols[i], &e.cols[j]
	return c.n == d.n && slices.Equal(e.starts[i*nb:(i+1)*nb], e.starts[j*nb:(j+1)*nb]) &&
		slices.Equal(e.ats[c.from:c.from+c.n], e.ats[d.from:d.from+d.n])
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
