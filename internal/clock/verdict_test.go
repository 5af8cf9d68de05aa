package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// TestVerdictOnTheReceiver: what the clock makes of the time that a receiver says
// now can be asked, for those who look at the unit.
func TestVerdictOnTheReceiver(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		off  time.Duration
		ntp  bool
		want clock.Verdict
	}{
		"right": {0, true, ""}, "right, and nobody else knows": {0, false, ""}, "an hour ahead of NTP": {time.Hour, true, clock.Off},
		"an hour ahead, and nobody knows better": {time.Hour, false, ""}, "rolled over": {-1024 * week, true, clock.Repaired}, "decades ahead": {47 * 52 * week, true, clock.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
				began := time.Now()
				wall := func() time.Time { return now.Add(time.Since(began)) }
				clk := clock.Virtual(clock.WithBuild(now.Add(-week)), clock.WithFloor(now.Add(-week)), clock.WithCeiling(now.Add(1023*week)), clock.WithSystemWall(wall),
					clock.WithNTP(func() (time.Duration, bool) { return 50 * time.Millisecond, c.ntp }))
				for range 3 {
					time.Sleep(time.Second)
					clk.Observe(telemetry.Fix{At: clk.Now(), UTC: wall().Add(c.off - 300*time.Millisecond), Valid: true})
				}
				if got, off := clk.Verdict(); got != c.want || got != "" && (off-c.off).Abs() > 2*time.Second {
					t.Errorf("%q off by %v, want %q, %v", got, off, c.want, c.off)
				}
			})
		})
	}
}
