package clock

import "time"

// Verdict is what is wrong with the time that a receiver says; "": nothing, as
// far as the clock knows.
type Verdict string

// What can be wrong with it.
const (
	Repaired Verdict = "repaired" // whole 1024-week periods off, and taken without them
	Refused  Verdict = "refused"  // impossible, or far from what was known, and not believed
	Off      Verdict = "off"      // not what NTP says
)

// Verdict returns what is wrong with the newest time of the receiver, and how
// far ahead of the right one it is.
func (c *Clock) Verdict() (Verdict, time.Duration) {
	c.wall.mu.Lock()
	defer c.wall.mu.Unlock()
	return c.wall.verdict, c.wall.off
}

// compare holds a fix against NTP. The first of a run may be of a wrong second.
func (w *wallClock) compare(c *Clock, offset time.Duration) {
	if w.run.n < 2 || w.verdict != "" {
		return
	}
	if apart, within, ok := w.besideNTP(c, offset); ok && apart.Abs() > within {
		w.verdict, w.off = Off, apart
	}
}

// besideNTP returns how far ahead of NTP a fix is, and how far it may be.
func (w *wallClock) besideNTP(c *Clock, offset time.Duration) (apart, within time.Duration, ok bool) {
	if c.opt.synced == nil {
		return 0, 0, false
	}
	bound, ok := c.opt.synced()
	apart = offset + nmeaLatency + time.Duration(c.read()) - time.Duration(c.opt.sysWall().UnixNano())
	return apart, bound + nmeaUncertainty + w.behind, ok
}
