package can

import "time"

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

// pace is the clock of gather, no time of data. It is the same for every bus.
func pace() time.Duration { return time.Duration(time.Now().UnixNano()) }
