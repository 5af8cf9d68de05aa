package clock_test

import (
	"testing"

	"obu/internal/clock"
)

// TestReadingTheClocksIsNoSuspend: two clocks read one after the other must not
// look like a sleep, however often.
func TestReadingTheClocksIsNoSuspend(t *testing.T) {
	first := clock.Slept()
	for range 5000 {
		if now := clock.Slept(); (now - first).Abs() > clock.SuspendLeast {
			t.Fatalf("slept %v, a moment ago %v", now, first)
		}
	}
}
