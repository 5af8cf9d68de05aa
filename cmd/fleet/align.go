package main

import (
	"cmp"
	"slices"
	"time"

	"obu/internal/virtual"
	"obu/telemetry"
)

// timeTolerance: an answer is stamped when the agent takes it off the bus,
// after the car put it there; on a busy machine that is later.
const timeTolerance = 3 * time.Second

// pairing says which arrival each reading became.
type pairing struct {
	of      []int // index of the arrival, -1: none
	strange []int // arrivals that are no reading's
}

// align finds the pairing in order. A series is a sequence: what arrived must
// be a subsequence of what was emitted, with the same values, at the same
// times within timeTolerance. Arrivals close in time are paired first, so that
// a copy does not take the place of a later equal reading.
func align(want []virtual.Reading, got []arrival) pairing {
	if exact(want, got) {
		p := newPairing(len(want))
		for i := range p.of {
			p.of[i] = i
		}
		return p
	}
	best := alignBy(want, got, closeInTime)
	if len(best.strange) > 0 { // late arrivals may have taken the place of others
		if p := alignBy(want, got, 0); len(p.strange) < len(best.strange) {
			best = p
		}
	}
	return best
}

// closeInTime is how soon an answer is usually taken off the bus.
const closeInTime = 150 * time.Millisecond

func newPairing(n int) pairing {
	p := pairing{of: make([]int, n)}
	for i := range p.of {
		p.of[i] = -1
	}
	return p
}

// alignBy pairs arrivals within first of their reading, and then what is left
// within timeTolerance, without crossing.
func alignBy(want []virtual.Reading, got []arrival, first time.Duration) pairing {
	p := newPairing(len(want))
	took := make([]int, len(got)) // index of the reading, -1: none
	next := 0
	for j := range got {
		took[j] = -1
		if i := firstMatch(want, next, len(want), &got[j], first); i >= 0 {
			took[j], p.of[i], next = i, j, i+1
		}
	}
	low := 0
	for j := range got {
		if took[j] < 0 {
			high := len(want)
			for k := j + 1; k < len(got); k++ {
				if took[k] >= 0 {
					high = took[k]
					break
				}
			}
			i := firstMatch(want, low, high, &got[j], timeTolerance)
			if i < 0 {
				p.strange = append(p.strange, j)
				continue
			}
			took[j], p.of[i] = i, j
		}
		low = took[j] + 1
	}
	return p
}

// firstMatch returns the first reading of want[low:high] that g can be, -1
// when there is none.
func firstMatch(want []virtual.Reading, low, high int, g *arrival, tolerance time.Duration) int {
	n, _ := slices.BinarySearchFunc(want[low:high], g.At.Add(-tolerance), func(r virtual.Reading, at telemetry.At) int {
		return cmp.Compare(r.At, at)
	})
	for i := low + n; i < high && want[i].At.Sub(g.At) <= tolerance; i++ {
		if want[i].Value == g.Value {
			return i
		}
	}
	return -1
}

// exact reports whether every reading arrived, one for one.
func exact(want []virtual.Reading, got []arrival) bool {
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if want[i].Value != got[i].Value || want[i].At.Sub(got[i].At).Abs() > timeTolerance {
			return false
		}
	}
	return true
}
