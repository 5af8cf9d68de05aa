package uplink

import (
	"math/rand/v2"
	"time"
)

// Bounds of the reconnect delay. The first delay after a session is drawn from
// [0, backoffMin), each failed attempt doubles the window up to backoffMax:
// with full jitter 10,000 units that lost the same broker come back as a flat
// line of 10,000/backoffMax connects a second, not as a wave.
const (
	backoffMin   = 2 * time.Second
	backoffMax   = 2 * time.Minute
	brokerSteps  = 2                // doublings to begin with when the broker itself closed: it closed on all units
	sessionProof = 30 * time.Second // a session shorter than this does not reset the back-off
)

// backoff draws reconnect delays: capped exponential window, full jitter.
type backoff struct {
	lo, hi  time.Duration // first and largest window
	attempt int           // failures since the last session that lasted
}

// next returns how long to wait before the next attempt.
func (b *backoff) next() time.Duration {
	window := b.hi
	if b.attempt < 30 {
		window = min(b.hi, b.lo<<b.attempt)
	}
	b.attempt++
	if window <= 0 {
		return 0
	}
	return rand.N(window)
}

// ended notes how long a session lasted and whether the broker closed it.
func (b *backoff) ended(after time.Duration, byBroker bool) {
	if after >= sessionProof {
		b.attempt = 0
	}
	if byBroker {
		b.attempt = max(b.attempt, brokerSteps)
	}
}
