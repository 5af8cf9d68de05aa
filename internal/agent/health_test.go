package agent

import (
	"testing"

	"obu/gps"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
)

// TestHealthAsksEachSourceOnce: statistics and reception come from one look at
// the unit, which asks every source, the store and the kernel.
func TestHealthAsksEachSourceOnce(t *testing.T) {
	asked := 0
	clk := clock.Virtual()
	a := &Agent{clock: clk, batch: &batcher{now: clk.Now}, private: &privacy{now: clk.Now}, budget: newBudget(config.Budget{})}
	a.add("gps", "gps", nil, func() any {
		asked++
		var s gps.Stats
		s.Sky.Systems[telemetry.GPS].InView = 7
		return s
	}, false)
	for n := range receptionEvery + 1 {
		asked = 0
		seen := 0
		for _, s := range a.health(n) {
			if s.Signal.Name == "Vehicle.Obu.GNSS.InView" && s.Value == telemetry.Int(7) {
				seen++
			}
		}
		want := 0
		if n%receptionEvery == 0 {
			want = 1
		}
		if asked != 1 || seen != want {
			t.Errorf("minute %d: the receiver was asked %d times, its sky told %d times, want %d", n, asked, seen, want)
		}
	}
}
