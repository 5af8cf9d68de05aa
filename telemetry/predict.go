package telemetry

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
	peers  *peers  // format 2: the columns before it that it may resemble, or nil
	glide  []int64 // format 3: the times of a place, of the same length, or nil
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

// residuals appends what the plan's predictor leaves of xs; beside is the other
// sequence that it may look at.
func (p *plan) residuals(zs []uint64, xs, beside []int64) []uint64 {
	switch p.pred {
	case predDelta, predStride:
		for i := 1; i < len(xs); i++ {
			zs = append(zs, zigzag(xs[i]-xs[i-1]-p.second>>phaseFrac))
		}
	case predFollow:
		for i := 1; i < len(xs); i++ {
			zs = append(zs, zigzag((xs[i]-xs[i-1])-(beside[i]-beside[i-1])))
		}
	case predTrend:
		d := int64(0)
		for i := 1; i < len(xs); i++ {
			e := xs[i] - xs[i-1]
			zs = append(zs, zigzag(e-d))
			d = e
		}
	case predGlide:
		for i := 1; i < len(xs); i++ {
			zs = append(zs, zigzag(xs[i]-glide(xs, beside, i)))
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

// glide returns where x[i] would be at the speed between the two before it.
func glide(xs, ts []int64, i int) int64 {
	x := xs[i-1]
	if i < 2 {
		return x
	}
	d, before := x-xs[i-2], ts[i-1]-ts[i-2]
	if before <= 0 {
		return x + d
	}
	return x + d*(ts[i]-ts[i-1])/before
}
