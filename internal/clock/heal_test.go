package clock_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// book keeps anchors as a consumer does: the later one of the same moment
// replaces the earlier.
type book map[telemetry.At]telemetry.Anchor

func (b book) enter(c *clock.Clock) {
	for _, a := range c.Anchors() {
		b[a.At] = a
	}
}

// wantTrue fails unless every anchor holds.
func (b book) wantTrue(t *testing.T, truth func(telemetry.At) time.Time) {
	t.Helper()
	if len(b) == 0 {
		t.Error("no anchor at all")
	}
	for at, a := range b {
		if off := a.Wall.Sub(truth(at)); off.Abs() > a.Uncertainty {
			t.Errorf("anchor %+v is %v off", a, off)
		}
	}
}

// jitter is a latency between 0.1 and 0.8 s.
func jitter(seed uint64) func() time.Duration {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func() time.Duration { return 100*time.Millisecond + time.Duration(rng.IntN(700_000))*time.Microsecond }
}

// nominal is the truth of a clock that counts right and began now.
func nominal() func(telemetry.At) time.Time {
	start := time.Now()
	return func(at telemetry.At) time.Time { return start.Add(time.Duration(at)) }
}

// TestFirstSecondHasNoSay: a wrong first second that happens to fit, because
// its sentences were as late as it was early, is no part of the anchor.
func TestFirstSecondHasNoSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, truth, b := clock.Virtual(), nominal(), book{}
		rx := receiver{c: c, wrong: time.Second, latency: func() time.Duration { return 800 * time.Millisecond }}
		rx.epoch()
		rx.wrong, rx.latency = 0, func() time.Duration { return 100 * time.Millisecond }
		rx.epochs(2)
		b.enter(c)
		b.wantTrue(t, truth)
	})
	for seed := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			c, truth, b := clock.Virtual(), nominal(), book{}
			rx := receiver{c: c, wrong: time.Duration(1-2*int(seed%2)) * time.Second, latency: jitter(seed)}
			rx.epoch()
			rx.wrong = 0
			rx.epochs(700)
			b.enter(c)
			b.wantTrue(t, truth)
		})
	}
}

// TestLearntLeapSecondsCorrectWhatWasSaid: anchors made before a receiver
// learnt the leap seconds are corrected, those of an earlier reception are not.
func TestLearntLeapSecondsCorrectWhatWasSaid(t *testing.T) {
	for seed, wrong := range []time.Duration{18 * time.Second, -2 * time.Second, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			c, truth, b := clock.Virtual(), nominal(), book{}
			rx := receiver{c: c, latency: jitter(uint64(seed))}
			time.Sleep(time.Hour) // past the first minute of the month
			rx.epochs(700)
			right := c.Stats().Anchors
			time.Sleep(40 * time.Second) // it restarts cold
			rx.wrong = wrong
			rx.epochs(700)
			rx.wrong = 0
			rx.epochs(700)
			b.enter(c)
			b.wantTrue(t, truth)
			if s := c.Stats(); s.Steps != 2 || s.Anchors < right+5 {
				t.Errorf("stats %+v", s)
			}
			wantTrue(t, c.Wall(), time.Now())
		})
	}
}

// TestLateStepRewritesNothing: a receiver that steps after half an hour of
// reception has not learnt the leap seconds; what it said before stands.
func TestLateStepRewritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, b := clock.Virtual(), book{}
		rx := receiver{c: c}
		time.Sleep(time.Hour)
		rx.epochs(2400)
		b.enter(c)
		before := len(b)
		rx.wrong = 15 * time.Second // a jammer
		rx.epochs(60)
		for _, a := range c.Anchors() {
			if was, ok := b[a.At]; ok {
				t.Errorf("%+v became %+v", was, a)
			}
			before++
		}
		if before < 6 {
			t.Errorf("%d anchors", before)
		}
	})
}

// TestLeapSecondKeepsWhatWasSaid: after a leap second UTC is a second behind,
// and on both sides of it every anchor holds.
func TestLeapSecondKeepsWhatWasSaid(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			c, plain, b := clock.Virtual(), nominal(), book{}
			month := time.Date(2000, 2, 1, 0, 0, 0, 0, time.UTC)
			time.Sleep(time.Until(month) - 15*time.Minute)
			rx := receiver{c: c, latency: jitter(seed)}
			rx.epochs(15*60 - 1)
			time.Sleep(time.Second) // 23:59:60 is not told
			rx.wrong = -time.Second
			rx.epochs(900)
			b.enter(c)
			b.wantTrue(t, func(at telemetry.At) time.Time {
				wall := plain(at)
				if past := wall.Sub(month); past > time.Second || past >= 0 && b[at].Wall.Before(month) {
					wall = wall.Add(-time.Second) // 23:59:60 is 23:59:59 or 00:00:00
				}
				return wall
			})
			wantTrue(t, c.Wall(), time.Now().Add(-time.Second))
			if s := c.Stats(); s.Steps != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestSuspendWidensWhatIsKnown: the kernel measures a suspend with a clock of
// whole seconds; until the next fix the time is that much less sure, and the
// anchors say where that begins.
func TestSuspendWidensWhatIsKnown(t *testing.T) {
	for _, wrong := range []time.Duration{-990 * time.Millisecond, 0, 990 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			const after, slept = 20 * time.Minute, 8 * time.Hour // the bubble's time goes on, the machine sleeps
			counted := func(elapsed time.Duration) time.Duration {
				if elapsed < after+slept {
					return min(elapsed, after)
				}
				return elapsed + wrong
			}
			sleeping := func(elapsed time.Duration) time.Duration {
				if elapsed < after+slept {
					return 0
				}
				return slept + wrong
			}
			c, b := clock.Virtual(clock.WithOscillator(counted, sleeping)), book{}
			truth := nominal()
			rx := receiver{c: c}
			rx.epochs(19 * 60)
			time.Sleep(time.Minute - time.Millisecond)
			b.enter(c) // as every second
			known := c.Wall().Uncertainty
			time.Sleep(slept + 10*time.Second)
			r := c.Wall()
			wantTrue(t, r, time.Now())
			if r.Uncertainty < known+time.Second {
				t.Errorf("after a suspend the time is good to %v, before it was %v", r.Uncertainty, known)
			}
			b.enter(c)
			b.wantTrue(t, func(at telemetry.At) time.Time {
				if at > telemetry.At(after) {
					at = at.Add(-wrong)
				}
				return truth(at)
			})
			if s := c.Stats(); s.Suspends != 1 {
				t.Errorf("stats %+v", s)
			}
			rx.epochs(5)
			if r := c.Wall(); r.Uncertainty > time.Second {
				t.Errorf("with a fix after it %v", r.Uncertainty)
			}
		})
	}
}

// TestLastGoodTimeKeepsAnOldProgramAlive: twenty years after it was built the
// floor date alone puts every receiver into the wrong 1024 weeks.
func TestLastGoodTimeKeepsAnOldProgramAlive(t *testing.T) {
	for _, c := range []struct {
		name     string
		floor    time.Duration // before now
		lastGood time.Duration
		wrong    time.Duration
	}{
		{"old program, old receiver", 1100 * week, 3 * week, -1024 * week},
		{"old program, new receiver", 1100 * week, 3 * week, 0},
		{"new program, last good time years ahead", 10 * week, -400 * week, 0},
		{"new program, last good time years ahead, old receiver", 10 * week, -400 * week, -1024 * week},
		{"new program, never a good time", 10 * week, 900 * week, -1024 * week},
	} {
		synctest.Test(t, func(t *testing.T) {
			now := time.Now()
			clk := clock.Virtual(clock.WithWallAt(time.Unix(0, 0)), clock.WithFloor(now.Add(-c.floor)), clock.WithMemory(&clock.Memory{Good: now.Add(-c.lastGood)}, nil))
			(&receiver{c: clk, wrong: c.wrong}).epochs(20)
			if r := clk.Wall(); r.By != telemetry.AnchorGNSS || time.Until(r.Time).Abs() > r.Uncertainty {
				t.Errorf("%s: %+v", c.name, r)
			}
		})
	}
}

// TestSystemClockIsSetOnceAndOnlyWhenTold: by GNSS alone, when it is off by
// seconds and no time daemon vouches for it.
func TestSystemClockIsSetOnceAndOnlyWhenTold(t *testing.T) {
	for _, tc := range []struct {
		name   string
		off    time.Duration
		ntp    bool
		fails  error
		within []int // calls after the first and the second ten minutes
		says   string
	}{
		{"hours behind", -3 * time.Hour, false, nil, []int{1, 1}, "was set by GPS"},
		{"at 1970", -30 * 365 * 24 * time.Hour, false, nil, []int{1, 1}, "was set by GPS"},
		{"a second ahead", time.Second, false, nil, []int{0, 0}, ""},
		{"an hour ahead, by NTP", time.Hour, true, nil, []int{0, 0}, "NTP and GPS disagree"},
		{"not allowed", time.Hour, false, errors.New("operation not permitted"), []int{1, 1}, "could not be set"},
	} {
		synctest.Test(t, func(t *testing.T) {
			log, said := logged()
			wall := &steppedWall{step: tc.off}
			calls := 0
			opts := []clock.Option{clock.WithLog(log), clock.WithSystemWall(wall.now), clock.WithSet(func(to time.Time) error {
				calls++
				if off := time.Until(to); off.Abs() > time.Second {
					t.Errorf("%s: set %v wrong", tc.name, off)
				}
				if tc.fails == nil {
					wall.step += to.Sub(wall.now())
				}
				return tc.fails
			})}
			if tc.ntp {
				opts = append(opts, clock.WithNTP(func() (time.Duration, bool) { return time.Millisecond, true }))
			}
			rx := receiver{c: clock.Virtual(opts...)}
			for i, want := range tc.within {
				rx.epochs(600)
				rx.c.Wall() // as often, NTP is asked then
				if calls != want {
					t.Errorf("%s: set %d times in %d minutes", tc.name, calls, 10*(i+1))
				}
			}
			if tc.says != "" {
				wantLog(t, said, tc.says, 1)
			}
			if tc.fails == nil && tc.within[0] == 1 { // somebody sets it wrong again
				wall.step = time.Hour
				rx.epochs(600)
				wantLog(t, said, "something else sets it", 1)
				if calls != 1 {
					t.Errorf("%s: fought over the clock %d times", tc.name, calls)
				}
			}
		})
	}
}

// TestLyingFirstFixesDoNotSetTheClock: without WithSet there is no way to; what is
// left to show is that the first fixes, which may lie, do not.
func TestLyingFirstFixesDoNotSetTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := &steppedWall{}
		c := clock.Virtual(clock.WithSystemWall(wall.now), clock.WithSet(func(to time.Time) error {
			t.Errorf("set to %v", to)
			return nil
		}))
		rx := receiver{c: c, wrong: 18 * time.Second}
		rx.epochs(8)
		rx.wrong = 0
		rx.epochs(100)
		wantTrue(t, c.Wall(), time.Now())
	})
}

// TestOfferedTimeIsTheEpochs: what a time daemon is told of the system clock
// holds with every fix, whatever the system clock does meanwhile.
func TestOfferedTimeIsTheEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := &steppedWall{step: time.Hour}
		n := 0
		c := clock.Virtual(clock.WithSystemWall(wall.now), clock.Offer(func(s clock.Sample) {
			n++
			if off := s.Offset + wall.step; off.Abs() > 500*time.Millisecond {
				t.Fatalf("sample %d: %v off", n, off)
			}
			if late := wall.now().Sub(s.System); late < 0 || late > time.Second {
				t.Fatalf("sample %d is %v old", n, late)
			}
		}))
		rx := receiver{c: c, latency: jitter(3)}
		rx.epochs(60)
		wall.step = -time.Minute
		rx.epochs(60)
		if n < 100 {
			t.Errorf("%d samples of 120 fixes", n)
		}
		told := n
		rx.wrong = time.Hour
		rx.epochs(60)
		if n != told {
			t.Errorf("%d samples of a receiver that jumps", n-told)
		}
	})
}
