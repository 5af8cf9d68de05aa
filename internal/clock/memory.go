package clock

import (
	"time"

	"obu/telemetry"
)

// Memory is what a Clock knows that outlives the process. The zero value is no
// memory.
type Memory struct {
	// Good is the last wall time that GNSS or NTP vouched for; it has passed.
	Good time.Time `json:"-"`
	// Anchors are the newest of each source, of GNSS behind the Unsure ones that
	// the receiver may have to correct. They hold for the rest of their boot unless
	// the machine sleeps.
	Anchors []telemetry.Anchor `json:"anchors"`
	Unsure  int                `json:"unsure"`
	Began   telemetry.At       `json:"began_ns"` // the reception in which it may
	Slept   time.Duration      `json:"slept_ns"` // by the machine, since that boot
}

// memory is what is worth keeping now.
func (w *wallClock) memory() *Memory {
	all := make([]telemetry.Anchor, 0, maxReception+2)
	if w.session.slack == 0 {
		all = append(all, w.session.unsure()...)
	}
	m := &Memory{Good: w.good, Unsure: len(all), Began: w.session.began, Slept: w.slept.total}
	for _, a := range [...]*telemetry.Anchor{&w.gnss, &w.ntp} {
		if !a.Boot.IsZero() {
			all = append(all, *a)
		}
	}
	m.Anchors = all
	return m
}

// restore takes the anchors of an earlier process of this boot, all or none,
// and hands them out again: those of its last seconds may not have been stored.
// Their uncertainty goes on growing from where they were made.
func (w *wallClock) restore(c *Clock, m *Memory) {
	now := c.read()
	slept := c.slept()
	if len(m.Anchors) == 0 || m.Unsure < 0 || m.Unsure > min(len(m.Anchors), maxReception) ||
		(slept-m.Slept).Abs() >= suspendLeast { // how often it slept, and what was measured wrong, nobody knows
		return
	}
	for i := range m.Anchors {
		if !c.fits(&m.Anchors[i], now) {
			return
		}
	}
	for _, a := range m.Anchors {
		of := &w.gnss
		if a.By == telemetry.AnchorNTP {
			of = &w.ntp
		}
		*of = a
		w.push(a)
	}
	w.restored = true
	w.slept.known, w.slept.total, w.slept.seen = true, slept, now
	w.session.anchors = m.Anchors[:m.Unsure:m.Unsure]
	if m.Began > 0 { // the receiver need not have noticed
		w.session.heard, w.session.began, w.session.last = true, m.Began, now
	}
	c.log.Info("the time is known from before the restart")
}

// fits reports whether an anchor can be one of this boot.
func (c *Clock) fits(a *telemetry.Anchor, now telemetry.At) bool {
	wall := a.Wall.Add(now.Sub(a.At))
	return a.Boot == c.boot && (a.By == telemetry.AnchorGNSS || a.By == telemetry.AnchorNTP) &&
		a.At >= 0 && a.At <= now && a.Uncertainty > 0 && a.Uncertainty <= trustedWithin &&
		!wall.Before(c.opt.floor) && (c.opt.ceiling.IsZero() || wall.Before(c.opt.ceiling))
}
