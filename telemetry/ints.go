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
	if 2*zeros > len(zs) {
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
func runsCoder(zs []uint64, zeros int, sum uint64) coder {
	others := len(zs) - zeros
	c := coder{code: coderRuns, cost: coderBits + runParBits + coderBits}
	c.run = uint(bits.Len(uint(zeros/(others+1)))) &^ 0
	if c.run > 0 {
		c.run--
	}
	c.rest = uint(bits.Len64((sum - uint64(others)) / uint64(others)))
	if c.rest > 0 {
		c.rest--
	}
	run := uint64(0)
	for _, z := range zs {
		if z == 0 {
			run++
			continue
		}
		c.cost += riceCost(run, c.run) + riceCost(z-1, c.rest)
		run = 0
	}
	c.cost += riceCost(run, c.run)
	return c
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

// seqCoder writes integer sequences; it keeps its scratch space between them.
type seqCoder struct {
	bitWriter
	try, best []uint64
}

// phase is the state of the phase predictor, in units of 1/16.
type phase struct{ at, period int64 }

func (p *phase) predict() int64 { return (p.at + 1<<(phaseFrac-1)) >> phaseFrac }

// follow moves the clock one period on after a residual, and by as many more
// as were missed.
func (p *phase) follow(residual int64) {
	e := residual << phaseFrac
	missed := int64(0)
	if p.period > 0 {
		missed = (e + p.period/2) / p.period
		if (e+p.period/2)%p.period < 0 {
			missed--
		}
		e -= missed * p.period
	}
	p.at += p.period + missed*p.period + e>>phaseGain
}

// plan is a predictor with its parameters and what it costs.
type plan struct {
	pred   uint
	first  int64 // written as a number, relative to the anchor
	second int64 // the period or the stride, in 1/16
	coder  coder
	cost   int
}

// hint is what writer and reader know before a sequence.
type hint struct {
	first  int64   // near its first number
	second int64   // near its period or stride
	follow []int64 // a sequence it may run beside, of the same length, or nil
}

// sequence writes xs, whose length the reader knows.
func (s *seqCoder) sequence(xs []int64) { s.hinted(xs, hint{}) }

// hinted is sequence with a hint; it returns the period or stride written, or
// that of the hint when there is none.
func (s *seqCoder) hinted(xs []int64, h hint) int64 {
	switch {
	case len(xs) == 0:
		return h.second
	case len(xs) == 1:
		s.number(xs[0] - h.first)
		return h.second
	case constant(xs):
		s.write(predConstant, predBits)
		s.number(xs[0] - h.first)
		return h.second
	}
	best := s.plan(xs, h)
	s.write(uint64(best.pred), predBits)
	s.number(best.first - h.first)
	switch best.pred {
	case predNumbers:
		for i := 1; i < len(xs); i++ {
			s.number(xs[i] - xs[i-1])
		}
		return h.second
	case predPhase, predStride:
		s.number(best.second - h.second)
		h.second = best.second
	}
	s.residuals(s.best, best.coder)
	return h.second
}

func constant(xs []int64) bool {
	for _, x := range xs {
		if x != xs[0] {
			return false
		}
	}
	return true
}

// plan chooses the predictor, and leaves its residuals in s.best.
func (s *seqCoder) plan(xs []int64, h hint) plan {
	best := plan{pred: predNumbers, first: xs[0]}
	var lo, hi, sum int64 = xs[0], xs[0], 0
	for i := 1; i < len(xs); i++ {
		best.cost += numberCost(xs[i] - xs[i-1])
		lo, hi = min(lo, xs[i]), max(hi, xs[i])
		sum += xs[i] - xs[0]
	}
	best.cost += numberCost(xs[0] - h.first)
	consider := func(p plan) {
		s.try = p.residuals(s.try[:0], xs, h.follow)
		p.coder = bestCoder(s.try)
		p.cost = numberCost(p.first-h.first) + p.coder.cost
		if p.pred == predPhase || p.pred == predStride {
			p.cost += numberCost(p.second - h.second)
		}
		if p.cost < best.cost {
			best = p
			s.try, s.best = s.best, s.try
		}
	}
	consider(plan{pred: predDelta, first: xs[0]})
	if h.follow != nil {
		consider(plan{pred: predFollow, first: xs[0]})
	}
	if len(xs) < 3 {
		return best
	}
	consider(plan{pred: predTrend, first: xs[0]})
	if lo < -phaseMax || hi > phaseMax {
		return best
	}
	n := int64(len(xs))
	consider(plan{pred: predLevel, first: xs[0] + sum/n})
	if stride := (xs[n-1] - xs[0]) / (n - 1); stride != 0 {
		consider(plan{pred: predStride, first: xs[0], second: stride << phaseFrac})
		if period := period(xs, stride); period > 0 && len(xs) > 3 {
			consider(plan{pred: predPhase, first: phaseStart(xs, period), second: period})
		}
	}
	return best
}

// period returns the usual distance of rising numbers in 1/16: the mean of
// those that are near the mean of all.
func period(xs []int64, mean int64) int64 {
	sum, n := int64(0), int64(0)
	for i := 1; i < len(xs); i++ {
		if d := xs[i] - xs[i-1]; 2*d > mean && 2*d < 3*mean {
			sum += d
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return (sum<<phaseFrac + n/2) / n
}

// phaseStart returns where a clock of that period best starts for the first
// numbers.
func phaseStart(xs []int64, period int64) int64 {
	n := min(len(xs), 8)
	sum := int64(0)
	for i := 0; i < n; i++ {
		e := (xs[i]-xs[0])<<phaseFrac - int64(i)*period
		if e > period/2 || e < -period/2 {
			n = i
			break
		}
		sum += e
	}
	return xs[0] + sum/int64(n)>>phaseFrac
}

// residuals appends what the plan's predictor leaves of xs.
func (p *plan) residuals(zs []uint64, xs, follow []int64) []uint64 {
	switch p.pred {
	case predDelta, predStride:
		for i := 1; i < len(xs); i++ {
			zs = append(zs, zigzag(xs[i]-xs[i-1]-p.second>>phaseFrac))
		}
	case predFollow:
		for i := 1; i < len(xs); i++ {
			zs = append(zs, zigzag((xs[i]-xs[i-1])-(follow[i]-follow[i-1])))
		}
	case predTrend:
		d := int64(0)
		for i := 1; i < len(xs); i++ {
			e := xs[i] - xs[i-1]
			zs = append(zs, zigzag(e-d))
			d = e
		}
	case predLevel:
		for _, x := range xs {
			zs = append(zs, zigzag(x-p.first))
		}
	case predPhase:
		c := phase{at: p.first << phaseFrac, period: p.second}
		for _, x := range xs {
			r := x - c.predict()
			zs = append(zs, zigzag(r))
			c.follow(r)
		}
	}
	return zs
}

// seqReader reads integer sequences; it keeps its scratch space between them.
type seqReader struct {
	bitReader
	zs []uint64
}

// sequence fills xs with the next sequence, and returns false when the bits
// end early or name an unknown predictor.
func (s *seqReader) sequence(xs []int64) bool { return s.hinted(xs, &hint{}) }

// hinted is sequence with the hint the writer had; it sets h.second as the
// writer's hinted returns it.
func (s *seqReader) hinted(xs []int64, h *hint) bool {
	if len(xs) == 0 {
		return true
	}
	if len(xs) == 1 {
		xs[0] = s.number() + h.first
		return !s.short
	}
	pred := uint(s.read(predBits))
	first := s.number() + h.first
	xs[0] = first
	switch pred {
	case predConstant:
		for i := range xs {
			xs[i] = first
		}
		return !s.short
	case predNumbers:
		for i := 1; i < len(xs) && !s.short; i++ {
			xs[i] = xs[i-1] + s.number()
		}
		return !s.short
	case predDelta, predTrend, predLevel, predPhase, predStride:
	case predFollow:
		if h.follow == nil {
			return false
		}
	default:
		return false
	}
	second := int64(0)
	if pred == predPhase || pred == predStride {
		second = s.number() + h.second
		h.second = second
	}
	n := len(xs)
	if pred != predLevel && pred != predPhase {
		n--
	}
	if cap(s.zs) < n {
		s.zs = make([]uint64, n)
	}
	zs := s.zs[:n]
	s.residuals(zs)
	if !s.short {
		rebuild(xs, zs, pred, second, h.follow)
	}
	return !s.short
}

// rebuild undoes plan.residuals; xs[0] holds the first number.
func rebuild(xs []int64, zs []uint64, pred uint, second int64, follow []int64) {
	switch pred {
	case predDelta, predStride:
		for i, z := range zs {
			xs[i+1] = xs[i] + unzigzag(z) + second>>phaseFrac
		}
	case predFollow:
		for i, z := range zs {
			xs[i+1] = xs[i] + unzigzag(z) + (follow[i+1] - follow[i])
		}
	case predTrend:
		d := int64(0)
		for i, z := range zs {
			d += unzigzag(z)
			xs[i+1] = xs[i] + d
		}
	case predLevel:
		base := xs[0]
		for i, z := range zs {
			xs[i] = base + unzigzag(z)
		}
	case predPhase:
		c := phase{at: xs[0] << phaseFrac, period: second}
		for i, z := range zs {
			r := unzigzag(z)
			xs[i] = c.predict() + r
			c.follow(r)
		}
	}
}
