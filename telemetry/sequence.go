package telemetry

import (
	"math"
	"math/bits"
)

// seqWriter writes the integer sequences of format 2; it keeps its scratch
// space between them.
type seqWriter struct {
	rangeWriter
	models    models
	try, best []uint64
	ys        []int64
}

// sequence writes xs, whose length the reader knows.
func (s *seqWriter) sequence(xs []int64, m *seqModel) { s.hinted(xs, hint{}, m) }

// hinted is sequence with a hint; it returns the period or stride written, or
// that of the hint when there is none.
func (s *seqWriter) hinted(xs []int64, h hint, m *seqModel) int64 {
	switch {
	case len(xs) == 0:
		return h.second
	case len(xs) == 1:
		s.number(xs[0]-h.first, &m.first)
		return h.second
	}
	if constant(xs) {
		s.tree(predConstant, predBits, m.pred[:])
		s.number(xs[0]-h.first, &m.first)
		return h.second
	}
	best := s.plan(xs, h)
	s.tree(uint64(best.pred), predBits, m.pred[:])
	s.number(best.first-h.first, &m.first)
	if best.pred == predPhase || best.pred == predStride {
		s.number(best.second-h.second, &m.second)
		h.second = best.second
	}
	if h.peers != nil {
		s.peer(h.peers, m)
	}
	s.residuals(s.best, m)
	return h.second
}

// peer takes from the residuals what a column before it explains.
func (s *seqWriter) peer(p *peers, m *seqModel) {
	zs := s.best
	s.try = append(s.try[:0], zs...)
	if p.any(len(zs)) {
		at, share := p.best(zs)
		if at > 0 {
			c := p.at(uint64(at), len(zs))
			p.shift(s.try, c, share, -1)
			if noiseCost(sumOf(s.try), len(zs))+numberCost(share)+peerCost > noiseCost(sumOf(zs), len(zs)) {
				at = 0
			}
		}
		s.count(uint64(at), &m.peer)
		if at > 0 {
			s.number(share, &m.share)
			s.best, s.try = s.try, s.best
			p.add(s.try)
			return
		}
	}
	p.add(zs)
}

func (s *seqWriter) residuals(zs []uint64, m *seqModel) {
	level := levelOf(sumOf(zs), len(zs))
	s.tree(level, numberLen, m.noise[:])
	if level == 0 {
		return
	}
	n := startNoise(level)
	for _, z := range zs {
		s.residual(z, &n, &m.rest)
	}
}

// peerCost is what a peer's place and share take beyond the share's bits.
const peerCost = 6

// sumOf adds up zigzags, at most to the largest number there is.
func sumOf(zs []uint64) (sum uint64) {
	for _, z := range zs {
		s, carry := bits.Add64(sum, z, 0)
		if carry != 0 {
			return 1<<64 - 1
		}
		sum = s
	}
	return sum
}

// noiseCosts are the bits of a residual, in 1/64, when the mean zigzag is 0,
// 1/16, 1/8 ... 16: what a geometric distribution of that mean has.
var noiseCosts = [...]int{0, 22, 36, 58, 88, 128, 176, 231, 290, 351}

// noiseCost estimates the bits that residuals with that sum of zigzags take.
func noiseCost(sum uint64, n int) int {
	mean := min(sum, 1<<58) << noiseFrac / uint64(n)
	l := bits.Len64(mean)
	at := 0 // of the mean between its power of two and the next, in 1/64
	if l > 0 {
		at = int(mean << (64 - l) << 1 >> 58)
	}
	each := 0
	switch {
	case l < len(noiseCosts)-1:
		each = noiseCosts[l] + (noiseCosts[l+1]-noiseCosts[l])*at/64
	default:
		each = noiseCosts[len(noiseCosts)-1] + 64*(l-len(noiseCosts)+1) + at
	}
	return each * n / 64
}

// plan chooses the predictor, and leaves its residuals in s.best.
func (s *seqWriter) plan(xs []int64, h hint) plan {
	best := plan{cost: math.MaxInt}
	consider := func(p plan) {
		beside := h.follow
		if p.pred == predGlide {
			beside = h.glide
		}
		s.try = p.residuals(s.try[:0], xs, beside)
		p.cost = noiseCost(sumOf(s.try), len(s.try)) + numberCost(p.first-h.first)
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
	if h.glide != nil {
		consider(plan{pred: predGlide, first: xs[0]})
	}
	var lo, hi, sum int64 = xs[0], xs[0], 0
	for _, x := range xs {
		lo, hi = min(lo, x), max(hi, x)
		sum += x - xs[0]
	}
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

// seqRead reads the integer sequences of format 2.
type seqRead struct {
	rangeReader
	models models
	zs     []uint64
}

func (s *seqRead) sequence(xs []int64, m *seqModel) bool { return s.hinted(xs, &hint{}, m) }

// hinted reads into xs what the writer wrote with the same hint, and sets
// h.second as the writer's hinted returns it. It returns false when the bits
// end early or make no sense.
func (s *seqRead) hinted(xs []int64, h *hint, m *seqModel) bool {
	if len(xs) == 0 {
		return true
	}
	if len(xs) == 1 {
		xs[0] = s.number(&m.first) + h.first
		return !s.short()
	}
	pred := uint(s.tree(predBits, m.pred[:]))
	xs[0] = s.number(&m.first) + h.first
	switch pred {
	case predConstant:
		for i := range xs {
			xs[i] = xs[0]
		}
		return !s.short()
	case predFollow:
		if h.follow == nil {
			return false
		}
	case predGlide:
		if h.glide == nil {
			return false
		}
	}
	second := int64(0)
	if pred == predPhase || pred == predStride {
		second = s.number(&m.second) + h.second
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
	var peer *peer
	share := int64(0)
	if h.peers != nil && h.peers.any(n) {
		if at := s.count(&m.peer); at > 0 {
			if peer = h.peers.at(at, n); peer == nil {
				return false
			}
			share = s.number(&m.share)
		}
	}
	s.residuals(zs, m)
	if s.short() {
		return false
	}
	if peer != nil {
		h.peers.shift(zs, peer, share, 1)
	}
	if h.peers != nil {
		h.peers.add(zs)
	}
	beside := h.follow
	if pred == predGlide {
		beside = h.glide
	}
	rebuild(xs, zs, pred, second, beside)
	return true
}

func (s *seqRead) residuals(zs []uint64, m *seqModel) {
	level := s.tree(numberLen, m.noise[:])
	if level == 0 {
		clear(zs)
		return
	}
	n := startNoise(level)
	for i := range zs {
		if s.short() {
			return
		}
		zs[i] = s.residual(&n, &m.rest)
	}
}
