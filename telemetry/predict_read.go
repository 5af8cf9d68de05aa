package telemetry

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
func rebuild(xs []int64, zs []uint64, pred uint, second int64, beside []int64) {
	switch pred {
	case predDelta, predStride:
		for i, z := range zs {
			xs[i+1] = xs[i] + unzigzag(z) + second>>phaseFrac
		}
	case predFollow:
		for i, z := range zs {
			xs[i+1] = xs[i] + unzigzag(z) + (beside[i+1] - beside[i])
		}
	case predTrend:
		d := int64(0)
		for i, z := range zs {
			d += unzigzag(z)
			xs[i+1] = xs[i] + d
		}
	case predGlide:
		for i, z := range zs {
			xs[i+1] = glide(xs, beside, i+1) + unzigzag(z)
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
