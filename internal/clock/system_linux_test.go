package clock_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
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

// TestClockWithoutABatteryIsAGuess: a system clock that no battery-backed clock
// confirms was set from a file, and may be as old as that.
func TestClockWithoutABatteryIsAGuess(t *testing.T) {
	for _, backed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := clock.Virtual(clock.WithBattery(func(time.Time) bool { return backed }))
			a := c.Anchors()
			if len(a) != 1 || a[0].By != telemetry.AnchorRTC || (a[0].Uncertainty <= 24*time.Hour) != backed || c.Wall().Trusted {
				t.Errorf("battery %v: anchors %+v", backed, a)
			}
		})
	}
	now := time.Unix(1_800_000_000, 0)
	for text, want := range map[string]bool{"1800000030\n": true, "1799990000\n": false, "946684800\n": false, "": false, "rubbish": false} {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "rtc0"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "rtc0", "since_epoch"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := clock.RTCAgrees(dir, now); got != want {
			t.Errorf("a clock that says %q: %v", text, got)
		}
	}
	if clock.RTCAgrees(t.TempDir(), now) {
		t.Error("no clock at all agrees")
	}
}
