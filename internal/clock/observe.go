package clock

import (
	"time"

	"obu/telemetry"
)

// How a receiver earns belief.
const (
	// agreeFixes and agreeSpan: the first second after a cold start is often
	// wrong, so that many fixes in a row, over that long, have to agree.
	agreeFixes = 3
	agreeSpan  = 1500 * time.Millisecond
	// stepFixes and stepSpan: the same for a receiver that moves its time by a
	// few seconds, as it does when the almanac brings the leap seconds.
	stepFixes = 10
	stepSpan  = 9 * time.Second
	// agreeWithin: sentences of an epoch arrive 0.1 to 0.8 s after it, and a
	// whole second is never less than this apart.
	agreeWithin = 900 * time.Millisecond
	// runGap: fixes further apart than this are not in a row.
	runGap = time.Minute
	// nmeaLatency and nmeaUncertainty place the epoch of a sentence whose
	// first byte arrived at Fix.At: between 0.4 s early and 1 s late.
	nmeaLatency     = 300 * time.Millisecond
	nmeaUncertainty = 700 * time.Millisecond
	// driftStep is a deviation of a proven run worth anchoring early.
	driftStep = 250 * time.Millisecond
	// leapStep bounds the step that a wrong count of leap seconds explains.
	leapStep = 20 * time.Second
	// rollover is after how long a receiver's 10-bit week number repeats
	// (IS-GPS-200, 20.3.3.3.1.1).
	rollover = 1024 * 7 * 24 * time.Hour
)

// run is a row of fixes whose times agree with each other.
type run struct {
	n           int
	fresh       bool // begun after a silence or a contradiction: its first second may be wrong
	first, last telemetry.At
	offset      time.Duration // the receiver's UTC (since 1970) minus Fix.At; the largest of the run, which came with the least latency
	least       time.Duration // the smallest of the run
}

func (r *run) add(at telemetry.At, offset time.Duration) {
	most, least := max(r.offset, offset), min(r.least, offset)
	if r.n == 0 || most-least > agreeWithin || at.Sub(r.last) > runGap || at < r.last {
		*r = run{n: 1, fresh: true, first: at, last: at, offset: offset, least: offset}
		return
	}
	if r.fresh && r.n == 1 { // the first fix has to agree, and says nothing else
		most, least = offset, offset
	}
	r.n++
	r.last, r.offset, r.least = at, most, least
}

func (r *run) proven(fixes int, span time.Duration) bool {
	return r.n >= fixes && r.last.Sub(r.first) >= span
}

// Observe shows the clock a fix. A fix that is valid, not in doubt and has a
// time may yield a new anchor, which is returned and handed out by Anchors to be
// stored as an event: the first when three in a row agree, later ones every ten minutes or when the clocks
// have drifted apart. A time before the floor date is moved by whole 1024-week
// periods and that is reported; a jump that neither such a period nor leap
// seconds explain, and a date that it would move years ahead of what is known,
// are refused and counted. A receiver without PPS leaves an
// uncertainty of 0.7 s.
//
// On a replay nothing is repaired: the first fix anchors a recording that does
// not say when it was made, and no other does.
func (c *Clock) Observe(f telemetry.Fix) (telemetry.Anchor, bool) {
	if !f.Valid || f.Doubt&^telemetry.DoubtTime != 0 || f.UTC.Year() < 1980 || f.UTC.Year() > 2200 {
		return telemetry.Anchor{}, false
	}
	w := &c.wall
	w.mu.Lock()
	defer w.unlock(c)
	if c.replay == nil {
		w.suspended(c, c.read())
	}
	observe := w.observe
	if c.replay != nil {
		observe = w.observeReplay
	}
	a, ok := observe(c, f)
	if ok {
		w.push(a)
	}
	return a, ok
}

func (w *wallClock) observeReplay(c *Clock, f telemetry.Fix) (telemetry.Anchor, bool) {
	if !w.replay.Boot.IsZero() || f.Doubt != 0 {
		return telemetry.Anchor{}, false
	}
	w.replay = telemetry.Anchor{Boot: c.boot, At: f.At, Wall: f.UTC.UTC(), Uncertainty: nmeaUncertainty, By: telemetry.AnchorReplay}
	return w.replay, true
}

func (w *wallClock) observe(c *Clock, f telemetry.Fix) (telemetry.Anchor, bool) {
	utc, periods := w.repair(c, f)
	w.periods, w.verdict, w.off = periods, "", 0
	if periods == 0 && f.Doubt != 0 {
		return telemetry.Anchor{}, false // its time is doubted for another reason
	}
	if !c.opt.ceiling.IsZero() && !utc.Before(c.opt.ceiling) {
		w.refuse(f, utc.Sub(c.opt.ceiling))
		return telemetry.Anchor{}, false
	}
	if until := c.opt.repairedUntil(); periods != 0 && w.gnss.Boot.IsZero() && !utc.Before(until) {
		w.refuse(f, utc.Sub(until))
		return telemetry.Anchor{}, false
	}
	if periods != 0 {
		w.verdict, w.off = Repaired, f.UTC.Sub(utc)
		w.counts.Repaired++
		w.sayOnce("rollover", "the GPS receiver's date is off by whole 1024-week periods and is repaired; a firmware update of the receiver cures it",
			"receiver", f.Receiver, "said", f.UTC.Format(time.RFC3339), "taken_as", utc.Format(time.RFC3339))
	}
	if w.behind = 0; f.Detail != nil {
		w.behind = f.Detail.Behind / 2
	}
	f.At = f.At.Add(-w.behind)
	offset := time.Duration(utc.UnixNano()) - time.Duration(f.At)
	w.session.hear(f.At)
	w.run.add(f.At, offset)
	w.pulse.pair(w, f.At, utc, offset)
	w.compare(c, offset)
	if !w.run.proven(agreeFixes, agreeSpan) {
		return telemetry.Anchor{}, false
	}
	if w.gnss.Boot.IsZero() {
		return w.anchor(c, f, offset), true
	}
	apart := w.run.offset - (offsetOf(w.gnss) - nmeaLatency)
	age := f.At.Sub(w.gnss.At)
	drift := age.Abs() / 1e6 * driftPPM
	long := w.run.proven(stepFixes, stepSpan)
	switch {
	case apart.Abs() <= agreeWithin+drift:
		return w.agreed(c, f, offset, apart, long)
	case apart.Abs() <= leapStep+drift:
		if long {
			w.counts.Steps++
			if args, ok := w.stepped.due(f.At, "receiver", f.Receiver, "by", apart); ok {
				w.say("the GPS receiver moved its time by seconds, as it does when it learns the leap seconds; the new time is taken", args...)
			}
			return w.step(c, f, offset), true
		}
	case w.restored: // a restart begins without prejudice
		if long {
			w.say("the GPS receiver contradicts the time that was known before the restart and is believed", "by", apart)
			return w.anchor(c, f, offset), true
		}
		w.verdict, w.off = Refused, apart
	case long && w.moved && periods == 0 && apart < 0: // a wrong date is moved too far rather than not far enough
		w.say("the GPS receiver's date needs no repair any more: what was repaired before was wrong, and is corrected", "receiver", f.Receiver, "by", apart)
		return w.step(c, f, offset), true
	case long && w.vouched(c, offset):
		w.say("the GPS receiver says what NTP says, and what it said before was wrong and is corrected", "receiver", f.Receiver, "by", apart)
		return w.step(c, f, offset), true
	default:
		w.refuse(f, apart)
	}
	return telemetry.Anchor{}, false
}

// vouched reports whether NTP says what a fix says: two witnesses are more than
// the receiver was alone.
func (w *wallClock) vouched(c *Clock, offset time.Duration) bool {
	apart, within, ok := w.besideNTP(c, offset)
	return ok && apart.Abs() <= within
}

// agreed takes a fix that fits the anchor: it may yield a better one, and may
// serve others.
func (w *wallClock) agreed(c *Clock, f telemetry.Fix, offset, apart time.Duration, long bool) (telemetry.Anchor, bool) {
	w.session.met, w.restored = true, false
	w.offer(c, f, offset)
	w.mend = w.mend || long
	if off, width, ok := w.pulse.news(w.gnss, f.At); ok {
		return w.anchorAt(c, f.At, off, width), true
	}
	// Less latency than ever seen is news at once; more is not, until the
	// whole interval says so. It is none to who knows better by the pulse.
	if f.At.Sub(w.gnss.At) >= anchorEvery || long && apart > driftStep {
		if uncertaintyAt(w.gnss, f.At) >= nmeaUncertainty+w.behind {
			return w.anchor(c, f, offset), true
		}
	}
	return telemetry.Anchor{}, false
}

// offsetOf is an anchor's wall time (since 1970) minus its time since boot.
func offsetOf(a telemetry.Anchor) time.Duration {
	return time.Duration(a.Wall.UnixNano()) - time.Duration(a.At)
}

func (w *wallClock) refuse(f telemetry.Fix, by time.Duration) {
	w.counts.Refused++
	w.verdict, w.off = Refused, by
	if known := readingAt(w.best(f.At), f.At); known.By != "" {
		w.off = f.UTC.Sub(known.Time)
	}
	if args, ok := w.refused.due(f.At, "receiver", f.Receiver, "said", f.UTC.Format(time.RFC3339), "off_by", by); ok {
		w.say("the GPS receiver's time is impossible and is refused; the time known before goes on. If it lasts, restart the receiver", args...)
	}
}

// repair moves the receiver's time by whole rollover periods to where it must
// lie: beside the anchor, else in the period that begins with windowStart.
func (w *wallClock) repair(c *Clock, f telemetry.Fix) (utc time.Time, periods int) {
	utc = f.UTC.UTC()
	if !w.gnss.Boot.IsZero() {
		expected := w.gnss.Wall.Add(f.At.Sub(w.gnss.At))
		n := expected.Sub(utc).Round(rollover) / rollover
		if n == 0 {
			return utc, 0
		}
		moved := utc.Add(n * rollover)
		if expected.Sub(moved).Abs() > leapStep+time.Hour {
			return utc, 0 // no multiple explains it
		}
		return moved, int(n)
	}
	for utc.Before(c.opt.windowStart()) {
		utc = utc.Add(rollover)
		periods++
	}
	return utc, periods
}

// anchor makes the run, which ends with f, the new anchor; the next run starts
// with f alone.
func (w *wallClock) anchor(c *Clock, f telemetry.Fix, offset time.Duration) telemetry.Anchor {
	a := w.anchorAt(c, f.At, w.run.offset+nmeaLatency, nmeaUncertainty+w.behind)
	w.run = run{n: 1, first: f.At, last: f.At, offset: offset, least: offset}
	return a
}

// anchorAt makes an anchor of what UTC minus time since boot is.
func (w *wallClock) anchorAt(c *Clock, at telemetry.At, offset, width time.Duration) telemetry.Anchor {
	wall := time.Unix(0, int64(offset)+int64(at)).UTC().Round(time.Millisecond)
	first := w.gnss.Boot.IsZero()
	w.moved = w.periods != 0
	w.gnss = telemetry.Anchor{Boot: c.boot, At: at, Wall: wall, Uncertainty: width, By: telemetry.AnchorGNSS}
	w.session.keep(w.gnss)
	w.session.met, w.restored = true, false
	if first {
		w.before(w.gnss)
	}
	w.good = wall
	return w.gnss
}
