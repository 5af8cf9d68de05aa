package uplink

import "time"

// rivalGone is how long after a rival was last heard of it counts as gone: it
// comes back after rivalMax at the latest, as this unit does.
const rivalGone = rivalMax + 5*time.Minute

// heardRival notes a sign of another device that speaks as this unit; session is
// its session's id, "" when it is not known.
func (c *counters) heardRival(session string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.Rival == "" {
		c.rival = now
	}
	if session != "" {
		c.s.Rival = session
	}
	c.rivalAt = now
}

// forgetRival notes that a session lasts undisturbed. c.mu is held.
func (c *counters) forgetRival(now time.Time) {
	if c.s.Rival != "" && c.s.Connected && now.Sub(c.rivalAt) > rivalGone {
		c.s.Rival = ""
	}
}
