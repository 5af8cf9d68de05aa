package can_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/can"
)

// TestBusThatIsOnlyHeardIsReadTenTimesASecond pins how often a bus is read, and
// that an answer is never found so late that it counts as missing.
func TestBusThatIsOnlyHeardIsReadTenTimesASecond(t *testing.T) {
	for _, tt := range []struct{ silence, want time.Duration }{
		{0, 2 * time.Millisecond},
		{99 * time.Millisecond, 2 * time.Millisecond},
		{100 * time.Millisecond, 30 * time.Millisecond},
		{4999 * time.Millisecond, 30 * time.Millisecond},
		{5 * time.Second, 100 * time.Millisecond},
		{1 << 60, 100 * time.Millisecond},
	} {
		if got := can.GatherAfter(tt.silence); got != tt.want {
			t.Errorf("%v after something was sent: every %v, want %v", tt.silence, got, tt.want)
		}
		if got := can.GatherAfter(tt.silence); tt.silence < can.PendingWindow && got > can.AnswerWindow/4 {
			t.Errorf("%v after something was sent: an answer may lie %v unread, of a window of %v", tt.silence, got, can.AnswerWindow)
		}
	}
}

// TestGatherIgnoresTheWallClock: buses are paced by a clock that nobody sets,
// which began with the machine and not in 1970.
func TestGatherIgnoresTheWallClock(t *testing.T) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &up); err != nil {
		t.Fatal(err)
	}
	before := time.Duration(up.Nano())
	got := can.Pace()
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &up); err != nil {
		t.Fatal(err)
	}
	if after := time.Duration(up.Nano()); got < before || got > after {
		t.Errorf("paced by %v, the machine runs since %v to %v", got, before, after)
	}
}
