package telemetry

import "math/bits"

// Every column is a sequence of 64-bit integers, and this file is the only
// coder of such sequences: a predictor leaves small residuals, a Rice code
// writes them. The encoder tries the predictors and keeps the shortest; the
// format is described in CONTRACT.md, "Integer sequences".

// The predictors, 3 bits on the wire.
const (
	predDelta    = 0 // x[i-1]
	predTrend    = 1 // x[i-1] + (x[i-1]-x[i-2])
	predLevel    = 2 // a constant
	predPhase    = 3 // a clock with a period, missed ticks and slow drift
	predStride   = 4 // x[i-1] + a constant
	predFollow   = 5 // y[i] + a constant, y being the sequence it is told to follow
	predNumbers  = 6 // x[i-1], each residual a number of its own; for short sequences
	predConstant = 7 // x[i-1], no residuals

	predGlide = 6 // format 3 in its place: on at the speed before, see glide
)

const (
	predBits  = 3
	coderBits = 6
	coderZero = 62 // every residual is zero
	coderRuns = 63 // runs of zeros between residuals that are not

	riceMaxOnes = 20 // a longer quotient is replaced by the residual itself
	runParBits  = 5

	phaseFrac = 4 // fractional bits of the phase predictor's clock
	phaseGain = 3 // it follows 1/8 of each error

	// phaseMax bounds the numbers the phase predictor is tried on.
	phaseMax = 1 << 52
)

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(z uint64) int64 { return int64(z>>1) ^ -int64(z&1) }

// number writes one integer: its length in 6 bits, then the bits below the
// leading one.
func (w *bitWriter) number(v int64) {
	z := zigzag(v)
	n := uint(bits.Len64(z))
	if n >= 63 {
		w.write(63, 6)
		w.write(z, 64)
		return
	}
	w.write(uint64(n), 6)
	if n > 1 {
		w.write(z, n-1)
	}
}

func (r *bitReader) number() int64 {
	n := uint(r.read(6))
	switch {
	case n == 63:
		return unzigzag(r.read(64))
	case n == 0:
		return 0
	}
	return unzigzag(1<<(n-1) | r.read(n-1))
}

func numberCost(v int64) int {
	n := bits.Len64(zigzag(v))
	switch {
	case n >= 63:
		return 70
	case n == 0:
		return 6
	}
	return 5 + n
}

func (w *bitWriter) rice(z uint64, k uint) {
	q := z >> k
	if q >= riceMaxOnes {
		w.write(1<<riceMaxOnes-1, riceMaxOnes)
		w.write(z, 64)
		return
	}
	w.write((1<<q-1)<<1, uint(q)+1)
	w.write(z, k)
}

func (r *bitReader) rice(k uint) uint64 {
	q := r.ones(riceMaxOnes)
	if q == riceMaxOnes {
		return r.read(64)
	}
	return uint64(q)<<k | r.read(k)
}

func riceCost(z uint64, k uint) int {
	if q := z >> k; q < riceMaxOnes {
		return int(q) + 1 + int(k)
	}
	return riceMaxOnes + 64
}

// coder says how a list of residuals is written.
type coder struct {
	code uint // a Rice parameter, coderZero or coderRuns
	run  uint // Rice parameter of the runs
	rest uint // Rice parameter of the residuals between them
	cost int  // bits, code included
}

// bestCoder returns the shortest way to write the residuals.
func bestCoder(zs []uint64) coder {
	var sum uint64
	zeros, runs := 0, 0
	last := uint64(1)
	for _, z := range zs {
		if s := sum + z; s >= sum {
			sum = s
		} else {
			sum = 1<<64 - 1
		}
		if z == 0 {
			zeros++
		} else if last == 0 {
			runs++
		}
		last = z
	}
	if sum == 0 {
		return coder{code: coderZero, cost: coderBits}
	}
	k, cost := bestRice(zs, sum/uint64(len(zs)))
	best := coder{code: k, cost: coderBits + cost}
	if 3*zeros > len(zs) {
		if c := runsCoder(zs, zeros, sum); c.cost < best.cost {
			best = c
		}
	}
	return best
}

// bestRice returns the best parameter near the logarithm of the mean.
func bestRice(zs []uint64, mean uint64) (k uint, cost int) {
	mid := uint(bits.Len64(mean))
	lo := uint(0)
	if mid > 2 {
		lo = mid - 2
	}
	for c := lo; c <= min(mid+1, 61); c++ {
		sum := 0
		for _, z := range zs {
			sum += riceCost(z, c)
		}
		if c == lo || sum < cost {
			k, cost = c, sum
		}
	}
	return k, cost
}

// runsCoder weighs runs of zeros against residuals: each run length is
// followed by one residual less one, except at the end of the sequence.
// The two parameters do not depend on each other.
func runsCoder(zs []uint64, zeros int, sum uint64) coder {
	const tries = 4
	others := len(zs) - zeros
	run0 := lowest(uint64(zeros / (others + 1)))
	rest0 := lowest((sum - uint64(others)) / uint64(others))
	var runs, rests [tries]int
	run := uint64(0)
	for _, z := range zs {
		if z == 0 {
			run++
			continue
		}
		for i := range uint(tries) {
			runs[i] += riceCost(run, run0+i)
			rests[i] += riceCost(z-1, rest0+i)
		}
		run = 0
	}
	if run > 0 {
		for i := range uint(tries) {
			runs[i] += riceCost(run, run0+i)
		}
	}
	c := coder{code: coderRuns, cost: coderBits + runParBits + coderBits}
	least := func(costs *[tries]int, from uint) uint {
		k := 0
		for i := range costs {
			if costs[i] < costs[k] {
				k = i
			}
		}
		c.cost += costs[k]
		return from + uint(k)
	}
	c.run, c.rest = least(&runs, run0), least(&rests, rest0)
	return c
}

// lowest is the lowest Rice parameter worth a try for numbers of that mean.
func lowest(mean uint64) uint {
	n := uint(bits.Len64(mean))
	if n > 2 {
		return min(n-2, 57)
	}
	return 0
}

func (w *bitWriter) residuals(zs []uint64, c coder) {
	w.write(uint64(c.code), coderBits)
	switch c.code {
	case coderZero:
	case coderRuns:
		w.write(uint64(c.run), runParBits)
		w.write(uint64(c.rest), coderBits)
		run := uint64(0)
		for _, z := range zs {
			if z == 0 {
				run++
				continue
			}
			w.rice(run, c.run)
			w.rice(z-1, c.rest)
			run = 0
		}
		if run > 0 {
			w.rice(run, c.run)
		}
	default:
		for _, z := range zs {
			w.rice(z, c.code)
		}
	}
}

// residuals fills zs with what residuals wrote.
func (r *bitReader) residuals(zs []uint64) {
	code := uint(r.read(coderBits))
	switch code {
	case coderZero:
		clear(zs)
	case coderRuns:
		run, rest := uint(r.read(runParBits)), uint(r.read(coderBits))
		for i := 0; i < len(zs) && !r.short; {
			n := r.rice(run)
			for ; n > 0 && i < len(zs); n-- {
				zs[i] = 0
				i++
			}
			if i < len(zs) {
				zs[i] = r.rice(rest) + 1
				i++
			}
		}
	default:
		for i := range zs {
			if r.short {
				return
			}
			zs[i] = r.rice(code)
		}
	}
}
