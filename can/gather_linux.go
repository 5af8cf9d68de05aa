package can

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// gather is how often a bus is read at most: waking up for each frame costs
	// more than reading it. All buses are read at the same moments. A bus on
	// which something was sent is read more often: for urgentFor, as an ECU may
	// wait for flow control, and for spokenFor, as an answer may be due.
	gather       = 100 * time.Millisecond
	gatherSpoken = 30 * time.Millisecond
	gatherUrgent = 2 * time.Millisecond
	urgentFor    = 100 * time.Millisecond
	spokenFor    = pendingWindow
)

// gatherAfter returns how often a bus is read at most, given how long ago
// something was sent on it.
func gatherAfter(silence time.Duration) time.Duration {
	switch {
	case silence < urgentFor:
		return gatherUrgent
	case silence < spokenFor:
		return gatherSpoken
	}
	return gather
}

// pace is the clock of gather, no time of data. It is the same for every bus,
// and monotonic: behind a wall clock that was set back, the last thing sent would
// lie in the future, and the bus would be read at every urgent moment until then.
func pace() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // every Linux has it
	return time.Duration(t.Nano())
}
