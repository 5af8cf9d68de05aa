package clock

import (
	"time"

	"obu/telemetry"
)

const (
	// receptionGap ends a reception: a receiver that restarts cold, and may have
	// forgotten the leap seconds, is silent for longer.
	receptionGap = 10 * time.Second
	// leapsLearnt is how long into a reception a receiver may learn the leap
	// seconds: they come once in 12.5 minutes of uninterrupted signal
	// (IS-GPS-200, 20.3.3.5.1.6), which is missed in a town once or twice.
	leapsLearnt = 30 * time.Minute
	// maxReception bounds the anchors a reception may still have to correct.
	maxReception = 16
	// maxNaps bounds the sleeps before the first anchor that are told apart.
	maxNaps = 6
	// suspendLeast is the shortest suspend that is told from reading two clocks
	// one after the other, and suspendError what one costs: many kernels measure
	// it with a clock of whole seconds.
	suspendLeast = 50 * time.Millisecond
	suspendError = time.Second
	// setBeyond is how wrong a system clock is set right.
	setBeyond = 2 * time.Second
	// hair separates two anchors between which the time steps.
	hair = time.Millisecond
)

// session is a reception without a break.
type session struct {
	heard       bool
	met         bool // it agrees with the anchor, or made it
	began, last telemetry.At
	anchors     []telemetry.Anchor // made while the leap seconds may be unknown
	slack       time.Duration      // what suspends since them cost
}

func (s *session) hear(at telemetry.At) {
	if !s.heard || at.Sub(s.last) > receptionGap || at < s.last {
		*s = session{heard: true, began: at, anchors: s.unsure(), slack: s.slack}
	}
	s.last = at
}

func (s *session) learning(at telemetry.At) bool { return at.Sub(s.began) <= leapsLearnt }

// unsure returns the anchors that are as wrong as those of the next reception,
// should that one say the same at first and then learn the leap seconds.
func (s *session) unsure() []telemetry.Anchor {
	if s.learning(s.last) {
		return s.anchors
	}
	return nil
}

func (s *session) keep(a telemetry.Anchor) {
	if s.heard && s.learning(a.At) && len(s.anchors) < maxReception {
		s.anchors = append(s.anchors, a)
	}
}

// line returns what an anchor says of another moment of its boot.
func line(a telemetry.Anchor, at telemetry.At) telemetry.Anchor {
	a.Wall, a.Uncertainty = a.Wall.Add(at.Sub(a.At)).Round(time.Millisecond), uncertaintyAt(a, at)
	a.At = at
	return a
}

// step follows a receiver that moved its time by seconds. Three things make it
// do so. A leap second was inserted: what was said before stays true. It was
// restarted, and never said in this reception what it said before: that stays
// as good as it was. Or it learnt the leap seconds: all it said until then was
// wrong and is corrected, each anchor by one with the same At.
func (w *wallClock) step(c *Clock, f telemetry.Fix, offset time.Duration) telemetry.Anchor {
	to := w.run.offset + nmeaLatency
	from := w.run.first
	month, leap := monthBegan(time.Unix(0, int64(to)+int64(from)))
	switch {
	case leap && (to-offsetOf(w.gnss)).Abs() < time.Minute:
		from = telemetry.At(month.UnixNano() - int64(to)).Add(-time.Second / 2) // within the second that has two names
	case !w.session.met:
		w.session.anchors = nil
	case w.session.learning(from) && len(w.session.anchors) > 0:
		a := w.anchor(c, f, offset)
		for i, old := range w.session.anchors {
			if old.At < a.At {
				right := line(a, old.At)
				right.Uncertainty = max(right.Uncertainty+w.session.slack, old.Uncertainty)
				w.session.anchors[i] = right
				w.push(right)
			}
		}
		return a
	}
	if from <= w.gnss.At.Add(hair) {
		return w.anchor(c, f, offset)
	}
	w.push(line(w.gnss, from.Add(-hair)))
	a := w.anchorAt(c, from, to, nmeaUncertainty+w.behind)
	w.run = run{n: 1, first: f.At, last: f.At, offset: offset, least: offset}
	return a
}

// monthBegan returns the start of the month when t is close behind it: only
// there UTC has leap seconds (ITU-R TF.460-6).
func monthBegan(t time.Time) (time.Time, bool) {
	t = t.UTC()
	m := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	return m, t.Sub(m) < time.Minute
}

// sleeps is what is known of the machine's suspends.
type sleeps struct {
	known bool
	total time.Duration
	seen  telemetry.At // when it was last asked

	naps []telemetry.At // when sleeps were noticed, the newest
	more int            // and how many before them
}

func (s *sleeps) nap(noticed telemetry.At) {
	if len(s.naps) == maxNaps {
		s.naps = append(s.naps[:0], s.naps[1:]...)
		s.more++
	}
	s.naps = append(s.naps, noticed)
}

// before widens the first anchor of a source for what was before each sleep.
func (w *wallClock) before(a telemetry.Anchor) {
	for i := len(w.slept.naps) - 1; i >= 0; i-- {
		at := w.slept.naps[i]
		w.ends(line(a, at))
		if a.Uncertainty += suspendError; i == 0 {
			a.Uncertainty += time.Duration(w.slept.more) * suspendError
		}
		w.ends(line(a, at.Add(-hair)))
	}
}

// slept returns how long the machine was suspended since it booted.
func (c *Clock) slept() time.Duration {
	if c.opt.suspended == nil {
		return 0
	}
	return c.opt.suspended()
}

// suspended widens the anchors when the machine slept since it was last asked.
// The sure time ends where it was last known to be awake.
func (w *wallClock) suspended(c *Clock, now telemetry.At) {
	if c.opt.suspended == nil {
		return
	}
	last := w.slept
	w.slept.known, w.slept.total, w.slept.seen = true, c.slept(), now
	if w.slept.total-last.total < suspendLeast {
		return
	}
	w.slept.nap(now)
	if !last.known {
		return // before this process
	}
	w.counts.Suspends++
	w.run, w.pulse.pairs = run{}, 0
	for _, a := range [...]*telemetry.Anchor{&w.gnss, &w.ntp} {
		if a.Boot.IsZero() {
			continue
		}
		if last.seen > a.At {
			*a = line(*a, last.seen)
			w.ends(*a)
		}
		a.At, a.Wall = a.At.Add(hair), a.Wall.Add(hair)
		a.Uncertainty += suspendError
		w.ends(*a)
		w.good = a.Wall
	}
	w.session = session{anchors: w.session.unsure(), slack: w.session.slack + suspendError}
}

// ends hands out an anchor that ends, or begins, what is sure.
func (w *wallClock) ends(a telemetry.Anchor) {
	if a.By == telemetry.AnchorGNSS {
		w.session.keep(a)
	}
	w.push(a)
}

// Sample is what a receiver says of the system clock: at System the true time
// was Offset later.
type Sample struct {
	System time.Time
	Offset time.Duration
}

// offer notes what a fix says of the system clock. It is what this epoch says,
// not what the anchor says: a time daemon that slews the clock slews time since
// boot with it, and would never see what it has done.
func (w *wallClock) offer(c *Clock, f telemetry.Fix, offset time.Duration) {
	if c.opt.offer == nil {
		return
	}
	switch off, _, ok := w.pulse.offsetAt(f.At); {
	case ok:
		offset = off
	case w.pulse.n > 0 && f.At.Sub(w.pulse.last) < time.Minute:
		return // two kinds of samples, 0.3 s apart, serve nobody
	default:
		offset += nmeaLatency
	}
	sys := c.opt.sysWall().Add(-c.read().Sub(f.At))
	w.sample = &Sample{System: sys, Offset: time.Unix(0, int64(offset)+int64(f.At)).Sub(sys)}
}

// setSystem sets the system clock if it has to be, once.
func (c *Clock) setSystem() {
	if c.opt.set == nil {
		return
	}
	if c.opt.synced != nil {
		if _, ok := c.opt.synced(); ok {
			return
		}
	}
	w := &c.wall
	now := c.read()
	sys := c.opt.sysWall().UTC()
	w.mu.Lock()
	r := readingAt(w.gnss, now)
	off := r.Time.Sub(sys)
	right, again := off.Abs() <= r.Uncertainty+setBeyond, w.tried
	w.tried = w.tried || !right
	if w.set && !right {
		w.sayOnce("set again", "the system clock is wrong again and is left alone: something else sets it; stop that, or set clock.set: false", "wrong_by", off)
	}
	w.unlock(c)
	if right || again {
		return
	}
	if err := c.opt.set(r.Time.Add(c.read().Sub(now))); err != nil {
		c.log.Error("the system clock is wrong and could not be set", "wrong_by", off, "error", err,
			"next", "give the agent CAP_SYS_TIME (systemctl edit obu, in [Service]: AmbientCapabilities=CAP_SYS_TIME and CapabilityBoundingSet=CAP_SYS_TIME), or set clock.set: false")
		return
	}
	w.mu.Lock()
	w.set = true
	w.mu.Unlock()
	c.log.Warn("the system clock was wrong and was set by GPS", "was", sys.Format(time.RFC3339), "wrong_by", off)
}
