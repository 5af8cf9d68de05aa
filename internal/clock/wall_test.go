package clock_test

import (
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// receiver is a GNSS receiver: it knows the true time, and its sentences
// arrive late.
type receiver struct {
	c       *clock.Clock
	latency func() time.Duration
	wrong   time.Duration // what it adds to the truth
}

// epoch lets one second pass and shows the clock the fix.
func (r *receiver) epoch() (telemetry.Anchor, bool) {
	next := time.Now().Truncate(time.Second).Add(time.Second)
	late := 250 * time.Millisecond
	if r.latency != nil {
		late = r.latency()
	}
	time.Sleep(time.Until(next) + late)
	return r.c.Observe(r.fix(next.Add(r.wrong)))
}

func (r *receiver) fix(utc time.Time) telemetry.Fix {
	f := telemetry.NoFix()
	f.At, f.UTC, f.Valid, f.Mode, f.Receiver = r.c.Now(), utc.UTC(), true, telemetry.Mode3D, "gps"
	return f
}

// epochs runs n epochs and returns the anchors made.
func (r *receiver) epochs(n int) (out []telemetry.Anchor) {
	for range n {
		if a, ok := r.epoch(); ok {
			out = append(out, a)
		}
	}
	return out
}

// wantTrue fails unless the truth lies within the reading's uncertainty.
func wantTrue(t *testing.T, r clock.Reading, truth time.Time) {
	t.Helper()
	if off := r.Time.Sub(truth); r.By == "" || off.Abs() > r.Uncertainty {
		t.Errorf("reading %+v is %v off the truth %v", r, off, truth)
	}
}

const week = 7 * 24 * time.Hour

func TestFirstFixHealsAClockAt1970(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		var good []time.Time
		c := clock.Virtual(clock.WithWallAt(time.Unix(0, 0)), clock.WithLog(log),
			clock.WithMemory(nil, func(m *clock.Memory) { good = append(good, m.Good) }))
		time.Sleep(10 * time.Minute) // ten minutes without a fix
		early, truth := c.Now(), time.Now()
		if r := c.Wall(); r != (clock.Reading{}) {
			t.Errorf("before any fix the time is said to be %+v", r)
		}
		if _, ok := c.Anchor(); ok || len(c.Anchors()) != 0 {
			t.Error("1970 became an anchor")
		}
		wantLog(t, said, "system clock is not set", 1)

		time.Sleep(time.Minute)
		rx := receiver{c: c}
		anchors := rx.epochs(3)
		if len(anchors) != 1 || anchors[0].By != telemetry.AnchorGNSS || anchors[0].Boot != c.Boot() || anchors[0].Uncertainty > time.Second {
			t.Fatalf("anchors %+v", anchors)
		}
		if newest, ok := c.Anchor(); !ok || newest != anchors[0] {
			t.Errorf("Anchor = %+v", newest)
		}
		wantTrue(t, c.Wall(), time.Now())
		wantTrue(t, c.WallAt(early), truth)
		if v := c.VerifyTime(); time.Until(v).Abs() > time.Second {
			t.Errorf("certificates would be verified at %v", v)
		}
		if all := c.Anchors(); len(all) != 1 || all[0] != anchors[0] || len(c.Anchors()) != 0 {
			t.Errorf("Anchors handed out %+v", all)
		}
		if len(good) != 1 || !good[0].Equal(anchors[0].Wall) {
			t.Errorf("last good times %v", good)
		}
	})
}

func TestAnchorsAgainEveryTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		c := clock.Virtual()
		rx := receiver{c: c, latency: func() time.Duration {
			return 100*time.Millisecond + time.Duration(rng.IntN(700))*time.Millisecond
		}}
		var n int
		for range 3600 {
			if _, ok := rx.epoch(); ok {
				n++
			}
			if r := c.Wall(); r.By == telemetry.AnchorGNSS {
				wantTrue(t, r, time.Now())
				if r.Uncertainty > time.Second {
					t.Fatalf("uncertainty %v while anchored", r.Uncertainty)
				}
			}
		}
		if n < 6 || n > 9 {
			t.Errorf("%d anchors in an hour", n)
		}
	})
}

func TestUnfetchedAnchorsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		(&receiver{c: c}).epochs(8 * 3600)
		n := c.Stats().Anchors
		all := c.Anchors()
		if newest, _ := c.Anchor(); n <= len(all) || len(all) != 32 || all[31] != newest {
			t.Errorf("%d of %d anchors kept, newest %+v", len(all), n, all[len(all)-1])
		}
	})
}

func TestUncertaintyGrowsBetweenAnchors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		(&receiver{c: c}).epochs(3)
		fresh := c.Wall().Uncertainty
		time.Sleep(10 * 24 * time.Hour)
		old := c.Wall()
		if grown := old.Uncertainty - fresh; grown < 86*time.Second || grown > 87*time.Second {
			t.Errorf("uncertainty grew by %v in ten days, want 100 ppm", grown)
		}
		if a := (&receiver{c: c}).epochs(3); len(a) != 1 {
			t.Errorf("after ten days without sky %d anchors", len(a))
		}
		if got := c.Wall().Uncertainty; got > time.Second {
			t.Errorf("uncertainty %v after the new anchor", got)
		}
	})
}

func TestWrongFirstSecondAfterColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		rx := receiver{c: c, wrong: -7 * time.Second}
		if a := rx.epochs(1); len(a) != 0 {
			t.Fatal("one fix was enough")
		}
		rx.wrong = 0
		if a := rx.epochs(2); len(a) != 0 {
			t.Fatal("two fixes were enough")
		}
		if a := rx.epochs(1); len(a) != 1 {
			t.Fatal("three agreeing fixes were not enough")
		}
		wantTrue(t, c.Wall(), time.Now())
	})
}

func TestFastReceiverHasToAgreeForLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		rx := receiver{c: c}
		for i := range 16 { // 10 Hz
			time.Sleep(100 * time.Millisecond)
			if _, ok := c.Observe(rx.fix(time.Now())); ok != (i == 15) {
				t.Fatalf("fix %d: anchored %v", i, ok)
			}
		}
	})
}

func TestLeapSecondsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		c := clock.Virtual(clock.WithLog(log))
		rx := receiver{c: c, wrong: 18 * time.Second} // GPS time, no leap seconds known yet
		if len(rx.epochs(60)) == 0 {
			t.Fatal("no anchor")
		}
		rx.wrong = 0
		if a := rx.epochs(9); len(a) != 0 {
			t.Errorf("followed after %d fixes", 9)
		}
		if a := rx.epochs(3); len(a) != 1 {
			t.Fatal("the step was not followed")
		}
		wantTrue(t, c.Wall(), time.Now())
		wantLog(t, said, "leap seconds", 1)
		if c.Stats().Steps != 1 {
			t.Errorf("stats %+v", c.Stats())
		}
	})
}

func TestRolloverIsRepairedAndReported(t *testing.T) {
	for _, doubt := range []telemetry.Doubt{0, telemetry.DoubtTime} {
		synctest.Test(t, func(t *testing.T) {
			log, said := logged()
			c := clock.Virtual(clock.WithLog(log), clock.WithFloor(time.Now().Add(-24*time.Hour)))
			rx := receiver{c: c, wrong: -1024 * week}
			var anchors int
			for range 20 {
				next := time.Now().Truncate(time.Second).Add(time.Second)
				time.Sleep(time.Until(next) + 200*time.Millisecond)
				f := rx.fix(next.Add(rx.wrong))
				f.Doubt = doubt
				if _, ok := c.Observe(f); ok {
					anchors++
				}
			}
			if anchors != 1 || c.Stats().Repaired != 20 {
				t.Errorf("%d anchors, stats %+v", anchors, c.Stats())
			}
			wantTrue(t, c.Wall(), time.Now())
			wantLog(t, said, "1024-week", 1)
		})
	}
}

// TestDateBeforeTheProgramIsNoRollover: a receiver that says a date months before
// the program was built is wrong, and 1024 weeks later is no better: believed
// and kept, that time would move every true one as well.
func TestDateBeforeTheProgramIsNoRollover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		var kept *clock.Memory
		run := func(m *clock.Memory, wrong time.Duration) *clock.Clock {
			c := clock.Virtual(clock.WithLog(log), clock.WithFloor(time.Now().Add(-24*time.Hour)), clock.WithWallAt(time.Unix(0, 0)),
				clock.WithMemory(m, func(m *clock.Memory) { kept = m }))
			rx := receiver{c: c, wrong: wrong}
			rx.epochs(20)
			c.Anchors()
			return c
		}
		c := run(nil, -35*week)
		if r := c.Wall(); r.By != "" || c.Stats().Refused != 20 || kept != nil {
			t.Errorf("%+v by a receiver 35 weeks behind the program, stats %+v, kept %+v", r, c.Stats(), kept)
		}
		wantLog(t, said, "impossible", 1)
		c = run(kept, 0)
		wantTrue(t, c.Wall(), time.Now())
		// As far as half a window before it, it is the receiver's week number.
		wantTrue(t, run(nil, -1024*week).Wall(), time.Now())
	})
}

// TestTruthAfterARepairedDate: a wrong date that looked like a rollover gives way
// to one that needs no repair, within the same boot.
func TestTruthAfterARepairedDate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		c := clock.Virtual(clock.WithLog(log), clock.WithFloor(time.Now().Add(-24*time.Hour)))
		rx := receiver{c: c, wrong: -600 * week}
		rx.epochs(20)
		if r := c.Wall(); !r.Time.After(time.Now().Add(400 * week)) {
			t.Fatalf("%v: this test shows nothing", r.Time)
		}
		rx.wrong = 0
		rx.epochs(20)
		wantTrue(t, c.Wall(), time.Now())
		wantLog(t, said, "needs no repair", 1)
		rx.wrong = -600 * week // and does not come back
		rx.epochs(60)
		wantTrue(t, c.Wall(), time.Now())
	})
}

func TestRolloverInMidDrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		rx := receiver{c: c}
		rx.epochs(5)
		rx.wrong = -1024 * week
		rx.epochs(700)
		wantTrue(t, c.Wall(), time.Now())
		if s := c.Stats(); s.Refused != 0 || s.Repaired != 700 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestUnexplainedJumpIsRefused(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -3 * 365 * 24 * time.Hour, 1000 * week, -25 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			log, said := logged()
			c := clock.Virtual(clock.WithLog(log))
			rx := receiver{c: c}
			rx.epochs(5)
			rx.wrong = jump
			if a := rx.epochs(60); len(a) != 0 {
				t.Errorf("jump of %v was taken", jump)
			}
			wantTrue(t, c.Wall(), time.Now())
			wantLog(t, said, "impossible", 1)
			if c.Stats().Refused == 0 {
				t.Error("the refusal was not counted")
			}
			rx.wrong = 0
			rx.epochs(700)
			wantTrue(t, c.Wall(), time.Now())
		})
	}
}

// TestReceiverThatJumpsIsComplainedOfNowAndThen: a receiver whose time jumps
// with every few fixes gets a line per ten minutes, with a count, and every
// refusal is counted.
func TestReceiverThatJumpsIsComplainedOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		c := clock.Virtual(clock.WithLog(log))
		rx := receiver{c: c}
		rx.epochs(5)
		for i := range 600 { // an hour
			rx.wrong = time.Duration(i+1) * time.Hour
			rx.epochs(6)
		}
		if n := c.Stats().Refused; n < 1000 {
			t.Errorf("%d refusals counted", n)
		}
		wantLog(t, said, "impossible", 6)
		wantLog(t, said, "times_not_logged=", 5)
		wantTrue(t, c.Wall(), time.Now())
	})
}

// TestBeyondTheCeilingIsComplainedOfNowAndThen: the same before any anchor,
// with a time that is beyond belief in a new way with each fix.
func TestBeyondTheCeilingIsComplainedOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		c := clock.Virtual(clock.WithLog(log), clock.WithCeiling(time.Now().Add(1024*week)))
		rx := receiver{c: c}
		for i := range 1800 {
			rx.wrong = 1030*week + time.Duration(i)*time.Hour
			rx.epoch()
		}
		wantLog(t, said, "impossible", 3)
		if n := c.Stats().Refused; n != 1800 {
			t.Errorf("%d refusals counted", n)
		}
	})
}

func TestTimeBeyondTheCeilingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual(clock.WithWallAt(time.Unix(0, 0)), clock.WithCeiling(time.Now().Add(1024*week)))
		rx := receiver{c: c, wrong: 1030 * week}
		if a := rx.epochs(20); len(a) != 0 || c.Stats().Refused == 0 {
			t.Errorf("anchors %v, stats %+v", a, c.Stats())
		}
	})
}

func TestFixesThatSayNothingAboutTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		rx := receiver{c: c}
		bad := []func(*telemetry.Fix){
			func(f *telemetry.Fix) { f.Valid = false },
			func(f *telemetry.Fix) { f.Doubt = telemetry.DoubtFrozen },
			func(f *telemetry.Fix) { f.Doubt = telemetry.DoubtTime },
			func(f *telemetry.Fix) { f.UTC = time.Time{} },
			func(f *telemetry.Fix) { f.UTC = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) },
		}
		for range 20 {
			for _, spoil := range bad {
				time.Sleep(time.Second)
				f := rx.fix(time.Now())
				spoil(&f)
				if a, ok := c.Observe(f); ok {
					t.Fatalf("%+v yielded %+v", f, a)
				}
			}
		}
		frozen := time.Now()
		for range 20 {
			time.Sleep(time.Second)
			if _, ok := c.Observe(rx.fix(frozen)); ok {
				t.Fatal("a frozen time yielded an anchor")
			}
		}
	})
}

func TestPlausibleSystemClockIsAnRTCAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wall := new(steppedWall)
		c := clock.Virtual(clock.WithSystemWall(wall.now))
		first := c.Anchors()
		if len(first) != 1 || first[0].By != telemetry.AnchorRTC || first[0].Uncertainty < time.Hour {
			t.Fatalf("anchors %+v", first)
		}
		if r := c.Wall(); r.By != telemetry.AnchorRTC || r.Trusted {
			t.Errorf("reading %+v", r)
		}
		time.Sleep(time.Hour)
		if again := c.Anchors(); len(again) != 0 {
			t.Errorf("a steady clock anchored again: %+v", again)
		}
		wall.step = time.Hour // somebody set it
		time.Sleep(time.Minute)
		if again := c.Anchors(); len(again) != 1 || !again[0].Wall.Equal(wall.now()) {
			t.Errorf("a set clock gave %+v", again)
		}
	})
}

func TestNTPVouchesForTheSystemClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		synced := false
		var good []time.Time
		c := clock.Virtual(clock.WithWallAt(time.Unix(0, 0).Add(24*365*31*time.Hour)),
			clock.WithNTP(func() (time.Duration, bool) { return 20 * time.Millisecond, synced }),
			clock.WithMemory(nil, func(m *clock.Memory) { good = append(good, m.Good) }))
		if a := c.Anchors(); len(a) != 1 || a[0].By != telemetry.AnchorRTC {
			t.Fatalf("anchors %+v", a)
		}
		synced = true
		time.Sleep(time.Minute)
		a := c.Anchors()
		if len(a) != 1 || a[0].By != telemetry.AnchorNTP || a[0].Uncertainty != 20*time.Millisecond || len(good) != 1 {
			t.Fatalf("anchors %+v, good %v", a, good)
		}
		time.Sleep(time.Hour)
		if a := c.Anchors(); len(a) != 1 {
			t.Errorf("an hour later %+v", a)
		}
	})
}

func TestGPSIsBelievedAgainstNTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		wall := &steppedWall{step: time.Hour}
		c := clock.Virtual(clock.WithSystemWall(wall.now), clock.WithLog(log),
			clock.WithNTP(func() (time.Duration, bool) { return time.Millisecond, true }))
		if r := c.Wall(); r.By != telemetry.AnchorNTP {
			t.Fatalf("reading %+v", r)
		}
		(&receiver{c: c}).epochs(30)
		wantTrue(t, c.Wall(), time.Now())
		wantLog(t, said, "GPS is believed", 1)
		if v := c.VerifyTime(); time.Until(v).Abs() > time.Second {
			t.Errorf("certificates would be verified at %v", v)
		}
	})
}

func TestVerifyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		build, good := now.Add(-48*time.Hour), now.Add(-time.Hour)
		for _, tc := range []struct {
			name string
			opts []clock.Option
			want time.Time
		}{
			{"system time", []clock.Option{clock.WithBuild(build), clock.WithMemory(&clock.Memory{Good: good}, nil)}, now},
			{"last good time", []clock.Option{clock.WithBuild(build), clock.WithMemory(&clock.Memory{Good: good}, nil), clock.WithWallAt(time.Unix(0, 0))}, good},
			{"build date", []clock.Option{clock.WithBuild(build), clock.WithWallAt(time.Unix(0, 0))}, build},
		} {
			if got := clock.Virtual(tc.opts...).VerifyTime(); !got.Equal(tc.want) {
				t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
			}
		}
		// A recording's time is not the time of the broker it is sent to.
		if got := clock.Replay(0, time.Unix(1e9, 0)).VerifyTime(); !got.Equal(now) {
			t.Errorf("replay: %v", got)
		}
	})
}

func TestReplayWallIsTheRecordings(t *testing.T) {
	start := time.Unix(1_500_000_000, 0).UTC()
	c := clock.Replay(0, start)
	if a := c.Anchors(); len(a) != 1 || a[0].By != telemetry.AnchorReplay || !a[0].Wall.Equal(start) {
		t.Fatalf("anchors %+v", a)
	}
	r := c.WallAt(telemetry.At(time.Minute))
	if !r.Time.Equal(start.Add(time.Minute)) || r.Uncertainty != 0 || !r.Trusted {
		t.Errorf("reading %+v", r)
	}
	f := telemetry.NoFix()
	f.UTC, f.Valid = start.Add(-1024*week), true
	if _, ok := c.Observe(f); ok {
		t.Error("a recording was repaired")
	}
}

func TestReplayWithoutStartIsAnchoredByItsFirstFix(t *testing.T) {
	c := clock.Replay(0, time.Time{})
	if r := c.Wall(); r != (clock.Reading{}) {
		t.Errorf("reading %+v", r)
	}
	f := telemetry.NoFix()
	f.At, f.UTC, f.Valid = telemetry.At(time.Minute), time.Unix(1_300_000_000, 0), true
	a, ok := c.Observe(f)
	if !ok || a.By != telemetry.AnchorReplay || !a.Wall.Equal(f.UTC) {
		t.Fatalf("anchor %+v, %v", a, ok)
	}
	if all := c.Anchors(); len(all) != 1 || all[0] != a {
		t.Errorf("Anchors handed out %+v", all)
	}
	if got := c.WallAt(0).Time; !got.Equal(f.UTC.Add(-time.Minute)) {
		t.Errorf("start of the recording: %v", got)
	}
	if _, ok := c.Observe(f); ok {
		t.Error("anchored twice")
	}
}

func TestLogHandlerMayAskTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c *clock.Clock
		log := slog.New(slog.NewTextHandler(writer(func(p []byte) { c.Wall() }), nil))
		c = clock.Virtual(clock.WithLog(log))
		rx := receiver{c: c}
		rx.epochs(5)
		rx.wrong = time.Hour
		rx.epochs(5)
		if c.Stats().Refused == 0 {
			t.Error("nothing was logged")
		}
	})
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
