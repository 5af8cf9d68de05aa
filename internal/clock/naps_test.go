package clock_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// at is how a consumer dates a moment: by the nearest anchor of GNSS.
func (b book) at(at telemetry.At) (wall time.Time, give time.Duration) {
	var near telemetry.Anchor
	for _, a := range b {
		if a.By == telemetry.AnchorGNSS && (near.Boot.IsZero() || a.At.Sub(at).Abs() < near.At.Sub(at).Abs()) {
			near = a
		}
	}
	apart := at.Sub(near.At)
	return near.Wall.Add(apart), near.Uncertainty + apart.Abs()/10_000
}

// TestSleepsBeforeTheFirstFix: the machine sleeps before its receiver has seen
// the sky. What was recorded before each sleep is dated by the anchor after it,
// and as much less sure as the kernel may have measured it wrong.
func TestSleepsBeforeTheFirstFix(t *testing.T) {
	for seed := range uint64(8) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			var slept, wrong time.Duration // truly, and measured too much
			start := time.Now()
			counted := func(time.Duration) time.Duration { return time.Since(start) + slept + wrong }
			c := clock.Virtual(clock.WithOscillator(counted, nil), clock.WithSuspended(func() time.Duration { return slept + wrong }), clock.WithWallAt(time.Unix(0, 0)))
			truth, b := make(map[telemetry.At]time.Time), book{}
			record := func(n int) {
				for range n {
					truth[c.Now()] = time.Now().Add(slept)
					b.enter(c) // as each flush does
					time.Sleep(time.Second)
				}
			}
			record(60)
			for range 1 + seed*2 {
				slept += time.Duration(1+rng.IntN(90)) * time.Second // the crystal explains nothing of it
				wrong += []time.Duration{-950 * time.Millisecond, 950 * time.Millisecond}[seed%2]
				record(60)
			}
			rx := receiver{c: c, latency: jitter(seed), wrong: slept}
			rx.epochs(20)
			record(60)
			worst := time.Duration(0)
			for at, want := range truth {
				wall, give := b.at(at)
				worst = max(worst, give)
				if off := wall.Sub(want); off.Abs() > give+time.Millisecond {
					t.Errorf("%d sleeps: at %v %v off, give or take %v", 1+seed*2, at.Sub(0), off, give)
				}
			}
			if limit := time.Duration(1+2*seed+1) * time.Second; worst > limit || c.Wall().Uncertainty > 710*time.Millisecond {
				t.Errorf("%d sleeps: good to %v at worst, to %v now", 1+seed*2, worst, c.Wall().Uncertainty)
			}
		})
	}
}
