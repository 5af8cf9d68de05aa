package clock_test

import (
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// steppedWall is a wall clock that can be set.
type steppedWall struct{ step time.Duration }

func (w *steppedWall) now() time.Time { return time.Now().Add(w.step) }

func TestFromKernelConvertsStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &steppedWall{step: -30 * 365 * 24 * time.Hour} // 1970 or so: any steady clock will do
		c := clock.Virtual(clock.WithStamping(w.now), clock.StartAt(telemetry.At(time.Hour)))
		for range 5 {
			time.Sleep(10 * time.Second)
			stamp := w.now()
			received := c.Now()
			time.Sleep(40 * time.Millisecond) // it waited in the queue
			if at, ok := c.FromKernel(stamp); !ok || at != received {
				t.Errorf("stamp of %v converted to %v, %v", received, at, ok)
			}
		}
	})
}

func TestFromKernelRefusesStampsAroundAStep(t *testing.T) {
	for _, step := range []time.Duration{-3 * time.Second, 3 * time.Second, -50 * time.Millisecond, 56 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := new(steppedWall)
			c := clock.Virtual(clock.WithStamping(w.now))
			time.Sleep(time.Minute)
			if _, ok := c.FromKernel(w.now()); !ok {
				t.Fatal("refused before the step")
			}
			before := w.now()
			time.Sleep(10 * time.Millisecond)
			w.step += step
			for range 3 { // stamped before the step, read after it
				if at, ok := c.FromKernel(before); ok || at != c.Now() {
					t.Errorf("step %v: stamp from before gave %v, %v", step, at, ok)
				}
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Second)
			stamp, received := w.now(), c.Now()
			time.Sleep(time.Millisecond)
			if at, ok := c.FromKernel(stamp); !ok || at != received {
				t.Errorf("step %v: afterwards %v, %v, want %v", step, at, ok, received)
			}
		})
	}
}

// TestFromKernelAfterALongSilence: a year without a frame is no step.
func TestFromKernelAfterALongSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		c.FromKernel(time.Now())
		time.Sleep(365 * 24 * time.Hour)
		if _, ok := c.FromKernel(time.Now()); !ok {
			t.Error("refused")
		}
	})
}

func TestFromKernelBearsSlewing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(steppedWall)
		c := clock.Virtual(clock.WithStamping(w.now))
		for range 100 {
			time.Sleep(time.Second)
			w.step += 400 * time.Microsecond // a time daemon at work
			if _, ok := c.FromKernel(w.now()); !ok {
				t.Fatal("a slewed clock was taken for a stepped one")
			}
		}
	})
}

func TestFromKernelRefusesTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		time.Sleep(time.Minute)
		if at, ok := c.FromKernel(time.Now().Add(time.Second)); ok || at != c.Now() {
			t.Errorf("a stamp of the future gave %v, %v", at, ok)
		}
		if at, ok := c.FromKernel(time.Now().Add(-time.Hour)); ok || at != c.Now() {
			t.Errorf("a stamp from before the boot gave %v, %v", at, ok)
		}
	})
}

func TestFromKernelOnAReplay(t *testing.T) {
	start := time.Unix(1_500_000_000, 0)
	c := clock.Replay(0, start)
	if at, ok := c.FromKernel(start.Add(1500 * time.Millisecond)); !ok || at != 1_500_000_000 {
		t.Errorf("got %v, %v", at, ok)
	}
	if _, ok := c.FromKernel(start.Add(-time.Second)); ok {
		t.Error("a stamp from before the recording was taken")
	}
	if _, ok := clock.Replay(0, time.Time{}).FromKernel(start); ok {
		t.Error("a recording without a start converted a stamp")
	}
}

func BenchmarkFromKernel(b *testing.B) {
	c, err := clock.System()
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.FromKernel(time.Now())
	}
}

func BenchmarkNow(b *testing.B) {
	c, err := clock.System()
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Now()
	}
}
