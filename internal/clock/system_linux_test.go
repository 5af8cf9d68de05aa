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
}

// TestBatteryIsAskedForAnAnchor: to ask a battery-backed clock takes a transfer on
// a slow bus, and the clock's lock; it is asked when an anchor is to be made, not
// each time somebody wants to know the time.
func TestBatteryIsAskedForAnAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := clock.Virtual(clock.WithBattery(func(time.Time) bool { asked++; return true }))
		for range 100 {
			time.Sleep(time.Minute)
			c.Wall()
		}
		if n := len(c.Anchors()); asked != n || n != 1 {
			t.Errorf("asked %d times for %d anchors", asked, n)
		}
	})
}

func TestBatteryBackedClock(t *testing.T) {
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
