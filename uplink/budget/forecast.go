package budget

// Bounds of the decision.
const (
	evalSeconds   = 600  // a step is considered after so much time on metered links,
	evalShare     = 100  // or when 1/evalShare of the month went since
	leastSeconds  = 60   // a rate is taken over no less
	windowSeconds = 7200 // the rate looks back about so far
	descendAt     = 0.9  // a step is taken back when the forecast without it is below this share of the month
	firstActive   = 3600 // seconds a day a unit is taken to drive before its first week is over
	rateDecay     = 0.8  // a day: what a step cost is believed less and less
)

// newMonth begins as low as what is known of the steps allows.
func (b *Budget) newMonth() {
	s := &b.s
	s.Step = 0
	for s.Step < Steps && s.Rates[s.Step] > 0 && b.forecast(s.Step) > b.cfg.Monthly && b.cfg.Monthly > 0 {
		s.Step++
	}
	b.restart()
}

// restart begins to measure a step anew.
func (b *Budget) restart() {
	b.s.WindowBytes, b.s.WindowActive = 0, 0
	b.evalActive, b.evalBytes = 0, 0
	b.s.Changed = b.s.Day
	b.dirty = true
}

// forgetRates makes the cost of the other steps less certain, so that one
// expensive hour does not forbid a step for ever.
func (b *Budget) forgetRates() {
	for i := range b.s.Rates {
		if i != b.s.Step {
			b.s.Rates[i] *= rateDecay
		}
	}
}

// consider decides whether the ladder's step is right: up when the forecast is
// over the month's bytes, down when the step below would do as well, but not
// on a day on which the step has changed already.
func (b *Budget) consider() {
	s := &b.s
	if s.MonthMetered.Total() >= b.cfg.Monthly && s.Step < Steps {
		b.judged = b.forecast(s.Step)
		s.Step = Steps
		b.restart()
		return
	}
	if b.evalActive < evalSeconds && b.evalBytes < max(b.cfg.Monthly/evalShare, 1) {
		return
	}
	b.evalActive, b.evalBytes = 0, 0
	s.Rates[s.Step] = float64(s.WindowBytes) / max(s.WindowActive, leastSeconds)
	if s.WindowActive > windowSeconds {
		s.WindowActive /= 2
		s.WindowBytes /= 2
	}
	b.judged = b.forecast(s.Step)
	switch {
	case s.Step < Steps && b.judged > b.cfg.Monthly:
		s.Step++
		b.restart()
	case s.Step > 0 && s.Day > s.Changed && float64(b.forecast(s.Step-1)) < descendAt*float64(b.cfg.Monthly):
		b.judged = b.forecast(s.Step - 1)
		s.Step--
		b.restart()
	}
}

// forecast is what the month will come to at a step: what is used, and the
// step's rate for as many hours a day as the week had, until the month ends.
func (b *Budget) forecast(step int) int64 {
	s := &b.s
	rate := s.Rates[step]
	if step == s.Step && (rate == 0 || s.WindowActive >= evalSeconds) {
		rate = float64(s.WindowBytes) / max(s.WindowActive, evalSeconds)
	}
	return s.MonthMetered.Total() + int64(min(rate*b.activePerDay()*b.daysLeft(), maxCount))
}

// activePerDay returns how many seconds a day the unit is connected over
// metered links: the mean of the week before today or of the week with today,
// whichever is more; of fewer days when fewer are known, and then no less than
// firstActive.
func (b *Budget) activePerDay() float64 {
	s := &b.s
	before := min(max(s.Day-s.Since, 0), keptDays-1) // days known besides today
	sum := 0.0
	for i := int64(1); i <= before; i++ {
		sum += s.Active[(s.Day-i)%keptDays]
	}
	today := s.Active[s.Day%keptDays]
	if before == 0 {
		return max(today, firstActive)
	}
	with := sum + today
	days := before + 1
	if before == keptDays-1 { // a week with today has one day less of the past
		with -= s.Active[(s.Day-before)%keptDays]
		days = before
	}
	mean := max(sum/float64(before), with/float64(days))
	if before < keptDays-1 {
		mean = max(mean, firstActive)
	}
	return mean
}
