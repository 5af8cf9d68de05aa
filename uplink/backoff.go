package uplink

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Bounds of the reconnect delay. Every delay is drawn from [0, window): full
// jitter. What differs is the window: it asks whom else the loss may have hit.
// docs/link-faults.md has the curves of 10,000 units.
const (
	localWindow  = 4 * time.Second  // this unit alone had no way out: it harms nobody, and the car left the tunnel
	backoffMin   = 2 * time.Second  // nothing answered: most likely this unit's radio; doubles with each attempt
	brokerWindow = time.Minute      // the broker closed, so it closed on all units: 10,000 come back at 170 a second, not 5,000
	backoffMax   = 2 * time.Minute  // largest window but for rivals
	rivalMax     = 15 * time.Minute // two devices with one client id end each other's session not more often than this, in the end
	sessionProof = 30 * time.Second // a session shorter than this does not reset the back-off
	routeEvery   = time.Second      // how often a waiting unit looks whether its way out changed
)

// cause says whom else a failed connect or a lost session may have hit.
type cause int

const (
	causeSilent cause = iota // nobody answers: the radio, or the broker's machine
	causeLocal               // the unit had no route, or has another one now
	causeBroker              // the broker, or its machine, closed or turned away
	causeRival               // another device with this client id
)

// causeOf tells the cause by the reason.
func causeOf(err error) cause {
	if errors.Is(err, ErrTakenOver) {
		return causeRival
	}
	for _, r := range [...]error{ErrEndedByBroker, ErrEndedEarly, ErrConnRefused, ErrBrokerBusy, ErrNotAuthorised, ErrClientCert, ErrNoClientCert} {
		if errors.Is(err, r) {
			return causeBroker
		}
	}
	return causeSilent
}

// backoff draws reconnect delays.
type backoff struct {
	lo, hi  time.Duration // first and largest window
	attempt int           // failures since the last session that lasted
	rivals  int           // sessions in a row that a rival ended
	had     bool          // there was a session: others may have lost theirs with it
}

// next returns how long to wait before the next attempt, after one that failed
// or a session that ended for c.
func (b *backoff) next(c cause) time.Duration {
	window := b.window(c)
	if window <= 0 {
		return 0
	}
	return rand.N(window)
}

func (b *backoff) window(c cause) time.Duration {
	if c != causeRival {
		b.rivals = 0
	}
	switch {
	case c == causeLocal:
		return min(localWindow, b.hi) // asking the kernel costs no packet: no need to ask less often each time
	case c == causeRival:
		b.rivals++
		return min(min(brokerWindow, b.hi)<<min(b.rivals-1, 10), rivalMax)
	}
	n := b.attempt
	b.attempt++
	first := b.lo
	if c == causeBroker && b.had { // before the first session units start as they were switched on, not all at once
		first = max(b.lo, brokerWindow)
	}
	return min(b.hi, first<<min(n, 20))
}

// ended notes how long a session lasted.
func (b *backoff) ended(after time.Duration) {
	b.had = true
	if after >= sessionProof {
		b.attempt = 0
	}
}
