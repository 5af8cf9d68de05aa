package clock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

const second = telemetry.At(time.Second)

// event is one wake-up.
type event struct {
	at  telemetry.At
	who int
}

// follow sleeps through times and records each wake-up; it fails the test when
// the clock shows another time than the one slept for.
func follow(t *testing.T, c *clock.Clock, s *clock.Sleeper, who int, times []telemetry.At, seen *[]event, mu *sync.Mutex) {
	defer s.Leave()
	for _, at := range times {
		if err := s.SleepUntil(t.Context(), at); err != nil {
			t.Errorf("sleeper %d: %v", who, err)
			return
		}
		mu.Lock()
		if now := c.Now(); now < at {
			t.Errorf("sleeper %d slept until %v and woke at %v", who, at, now)
		}
		*seen = append(*seen, event{max(at, 0), who})
		mu.Unlock()
	}
}

func TestReplayAsFastAsPossibleKeepsRecordedOrder(t *testing.T) {
	c := clock.Replay(0, time.Unix(1e9, 0))
	var mu sync.Mutex
	var seen []event
	var wg sync.WaitGroup
	plans := [][]telemetry.At{
		{0, 10, 10, 20, 40},
		{0, 5, 10, 30},
		{10, 10, 10, 100},
	}
	for who, times := range plans {
		s := c.Join()
		wg.Go(func() { follow(t, c, s, who, times, &seen, &mu) })
	}
	c.Start(len(plans))
	wg.Wait()
	want := []event{{0, 0}, {0, 1}, {5, 1}, {10, 0}, {10, 0}, {10, 1}, {10, 2}, {10, 2}, {10, 2}, {20, 0}, {30, 1}, {40, 0}, {100, 2}}
	if !slices.Equal(seen, want) {
		t.Errorf("order\n got %v\nwant %v", seen, want)
	}
	if c.Now() != 100 {
		t.Errorf("Now = %v at the end", c.Now())
	}
}

func TestReplayHoldsUntilEveryoneJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Replay(0, time.Unix(1e9, 0))
		early := c.Join()
		c.Start(2)
		woke := false
		go func() {
			defer early.Leave()
			_ = early.SleepUntil(t.Context(), 5*second)
			woke = true
		}()
		synctest.Wait()
		if woke || c.Now() != 0 {
			t.Fatal("time ran before the second source joined")
		}
		late := c.Join()
		if err := late.SleepUntil(t.Context(), second); err != nil || c.Now() != second {
			t.Errorf("the late source woke at %v: %v", c.Now(), err)
		}
		late.Leave()
		synctest.Wait()
		if !woke {
			t.Error("the early source still sleeps")
		}
	})
}

func TestReplayStartWithFewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Replay(0, time.Unix(1e9, 0))
		s := c.Join()
		defer s.Leave()
		c.Start(3)
		go c.Start(1) // two sources turned out to be missing
		if err := s.SleepUntil(t.Context(), second); err != nil {
			t.Fatal(err)
		}
	})
}

func TestReplayPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Replay(10, time.Unix(1e9, 0))
		s := c.Join()
		time.Sleep(time.Hour) // before Start no recorded time passes
		began := time.Now()
		c.Start(1)
		if err := s.SleepUntil(t.Context(), 20*second); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began).Round(time.Microsecond); d != 2*time.Second {
			t.Errorf("20 s of recording at speed 10 took %v", d)
		}
		if c.Now() < 20*second || c.Now() > 20*second+1000 {
			t.Errorf("Now = %v", c.Now())
		}
		time.Sleep(time.Second)
		if now := c.Now(); now < 30*second || now > 30*second+1000 {
			t.Errorf("a second later Now = %v", now)
		}
		s.Leave() // without a source it goes on in real time
		time.Sleep(time.Second)
		if now := c.Now(); now < 31*second || now > 31*second+1000 {
			t.Errorf("after the source left Now = %v", now)
		}
	})
}

func TestReplayPacedNowWaitsForSleepers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Replay(1, time.Unix(1e9, 0))
		busy, other := c.Join(), c.Join()
		defer busy.Leave()
		c.Start(0)
		go func() {
			defer other.Leave()
			_ = other.SleepUntil(t.Context(), 2*second)
		}()
		synctest.Wait()
		time.Sleep(time.Minute) // busy works on something slow
		if c.Now() != 2*second {
			t.Errorf("Now = %v passed a sleeper that waits for %v", c.Now(), 2*second)
		}
		if err := busy.SleepUntil(t.Context(), 3*second); err != nil {
			t.Fatal(err)
		}
		if time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) != time.Minute {
			t.Error("catching up took real time")
		}
	})
}

func TestFollowersDoNotRunAway(t *testing.T) {
	for _, speed := range []float64{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			c := clock.Replay(speed, time.Unix(1e9, 0))
			flush := c.Follow()
			ctx, cancel := context.WithCancel(t.Context())
			var ticks atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer flush.Leave()
				for at := second; flush.SleepUntil(ctx, at) == nil; at += second {
					ticks.Add(1)
				}
			}()
			source := c.Join()
			c.Start(2)
			began := time.Now()
			for at := second / 2; at < 100*second; at += second { // a hundred seconds of recording
				if err := source.SleepUntil(ctx, at); err != nil {
					t.Fatal(err)
				}
			}
			if real := time.Since(began); real > time.Second {
				t.Errorf("speed %v: the recording took %v", speed, real)
			}
			source.Leave() // it has ended at 99.5 s
			time.Sleep(5*time.Second + 10*time.Millisecond)
			if ticks.Load() != 104 || c.Now() < 104*second || c.Now() > 105*second {
				t.Errorf("speed %v: %d ticks, Now %v, five seconds after the recording ended", speed, ticks.Load(), c.Now())
			}
			again := c.Join() // another recording: as fast as before
			began = time.Now()
			if err := again.SleepUntil(ctx, 200*second); err != nil {
				t.Fatal(err)
			}
			if real := time.Since(began); real > time.Second || ticks.Load() < 199 {
				t.Errorf("speed %v: %v and %d ticks for the second recording", speed, real, ticks.Load())
			}
			again.Leave()
			cancel()
			<-done
		})
	}
}

func TestReplayCancelAndLeaveWhileAsleep(t *testing.T) {
	for _, speed := range []float64{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			c := clock.Replay(speed, time.Unix(1e9, 0))
			holder := c.Join() // awake: time stands still
			a, b := c.Join(), c.Join()
			c.Start(3)
			ctx, cancel := context.WithCancel(t.Context())
			errs := make(chan error, 2)
			go func() { errs <- a.SleepUntil(ctx, 0*second+1) }()
			synctest.Wait()
			cancel()
			if err := <-errs; !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled sleep: %v", err)
			}
			go func() { errs <- b.SleepUntil(t.Context(), second) }()
			synctest.Wait()
			b.Leave()
			if err := <-errs; !errors.Is(err, clock.ErrLeft) {
				t.Errorf("sleep after Leave: %v", err)
			}
			a.Leave()
			if err := holder.SleepUntil(t.Context(), 2*second); err != nil || c.Now() < 2*second {
				t.Errorf("the last one alone: %v at %v", err, c.Now())
			}
			holder.Leave()
			holder.Leave()
			if err := holder.SleepUntil(t.Context(), 9*second); !errors.Is(err, clock.ErrLeft) {
				t.Errorf("sleep after the end: %v", err)
			}
		})
	}
}

// TestReplayOrderProperty runs sleepers with random schedules, backward steps,
// cancelled sleeps, early leavers and late joiners: each wakes exactly at the
// time it slept for, or at once when that is past, and time never runs back.
func TestReplayOrderProperty(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		c := clock.Replay(0, time.Time{})
		var wg sync.WaitGroup
		var mu sync.Mutex
		var reached telemetry.At
		var walk func(s *clock.Sleeper, rng *rand.Rand, depth int)
		walk = func(s *clock.Sleeper, rng *rand.Rand, depth int) {
			defer s.Leave()
			for range rng.IntN(200) {
				before := c.Now()
				at := before + telemetry.At(rng.IntN(50)-10)
				if rng.IntN(20) == 0 {
					ctx, cancel := context.WithCancel(t.Context())
					wg.Go(cancel)
					_ = s.SleepUntil(ctx, at)
					continue
				}
				if err := s.SleepUntil(t.Context(), at); err != nil {
					t.Error(err)
				}
				if rng.IntN(50) == 0 && depth < 3 {
					late, own := c.Join(), rand.New(rand.NewPCG(rng.Uint64(), 1))
					wg.Go(func() { walk(late, own, depth+1) })
				}
				mu.Lock()
				if now := c.Now(); now != max(at, before) {
					t.Errorf("seed %d: slept from %v until %v and woke at %v", seed, before, at, now)
				}
				if c.Now() < reached {
					t.Errorf("seed %d: time ran back from %v to %v", seed, reached, c.Now())
				}
				reached = c.Now()
				mu.Unlock()
			}
		}
		n := 2 + rng.IntN(6)
		for range n {
			s, own := c.Join(), rand.New(rand.NewPCG(rng.Uint64(), 1))
			wg.Go(func() { walk(s, own, 0) })
		}
		c.Start(n)
		wg.Wait()
	}
}

func FuzzReplayOrder(f *testing.F) {
	f.Add([]byte{1, 2, 3, 0, 0, 0, 9, 9, 1}, uint8(3))
	f.Add([]byte{0, 0, 0, 0}, uint8(2))
	f.Add([]byte{255, 1, 255, 1, 7}, uint8(5))
	f.Fuzz(func(t *testing.T, gaps []byte, n uint8) {
		who := int(n%6) + 1
		plans := make([][]telemetry.At, who)
		reached := make([]telemetry.At, who)
		for i, g := range gaps { // rising times, so the whole order is determined
			p := i % who
			reached[p] += telemetry.At(g)
			plans[p] = append(plans[p], reached[p])
		}
		var want []event
		for p, times := range plans {
			for _, at := range times {
				want = append(want, event{at, p})
			}
		}
		slices.SortStableFunc(want, func(a, b event) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return a.who - b.who
		})
		c := clock.Replay(0, time.Time{})
		sleepers := make([]*clock.Sleeper, who)
		for p := range sleepers {
			sleepers[p] = c.Join()
		}
		var mu sync.Mutex
		var seen []event
		var wg sync.WaitGroup
		for p, times := range plans {
			wg.Go(func() { follow(t, c, sleepers[p], p, times, &seen, &mu) })
		}
		c.Start(who)
		wg.Wait()
		if !slices.Equal(seen, want) {
			t.Fatalf("order\n got %v\nwant %v", seen, want)
		}
	})
}

// BenchmarkReplaySleep is one source stepping through recorded time while
// others sleep.
func BenchmarkReplaySleep(b *testing.B) {
	for _, others := range []int{0, 1, 8} {
		b.Run(fmt.Sprint("others=", others), func(b *testing.B) {
			c := clock.Replay(0, time.Time{})
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			for range others {
				s := c.Join()
				wg.Go(func() {
					defer s.Leave()
					for i := telemetry.At(1); s.SleepUntil(ctx, i*1000) == nil; i++ {
					}
				})
			}
			s := c.Join()
			c.Start(others + 1)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				_ = s.SleepUntil(ctx, telemetry.At(i))
			}
			b.StopTimer()
			cancel()
			s.Leave()
			wg.Wait()
		})
	}
}
