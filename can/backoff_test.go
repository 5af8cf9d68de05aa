package can_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/internal/clock"
)

// lives runs a Source again and again, each time as a process that has crashed is
// started, and returns the ECU of each life.
func lives(t *testing.T, n int, each time.Duration, make func() *ecu, during func(life int, e *ecu)) (ecus []*ecu) {
	t.Helper()
	clk := clock.Virtual()
	var kept can.Backoff
	var at time.Time
	for life := range n {
		agent, car := can.Pair(clk)
		e := make()
		e.bus = car
		e.run()
		ecus = append(ecus, e)
		cfg := new(sink).config(clk, agent, speedOnly())
		cfg.Was = func() can.Backoff { b := kept; b.Age(time.Since(at)); return b }
		cfg.Keep = func(b can.Backoff) { kept, at = b, time.Now() }
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), each)
		if during != nil {
			go during(life, e)
		}
		if err := src.Run(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		e.wg.Wait()
	}
	return ecus
}

func sentTo(ecus []*ecu) (n int) {
	for _, e := range ecus {
		n += len(e.transmitted())
	}
	return n
}

// TestCrashLoopLetsAParkedCarRest: a car that answers with its engine off is left
// to sleep by a process that never lives for the five minutes.
func TestCrashLoopLetsAParkedCarRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := func() *ecu {
			return &ecu{response: 0x7E8, answers: map[[2]byte][]byte{{1, 0x0C}: {0, 0}, {1, 0x0D}: {0}}}
		}
		ecus := lives(t, 20, 2*time.Minute, off, nil)
		if first := sentTo(ecus[:2]); first < 100 {
			t.Errorf("%d frames in the first four minutes", first)
		}
		for i, e := range ecus[4:] { // what there is, then looks every 30 s
			if n := len(e.transmitted()); n > 25 {
				t.Errorf("%d frames in life %d", n, i+4)
			}
		}
	})
}

// TestCrashLoopOnABusThatSpeaks of other things asks it less and less often as
// well, and a drive that was answered is gone on with at once.
func TestCrashLoopOnABusThatSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var awake atomic.Bool
		speak := func(life int, e *ecu) {
			for range 18 {
				time.Sleep(time.Second)
				e.bus.Send(can.Frame{ID: 0x500, Len: 8})
			}
		}
		deaf := func() *ecu { return quiet(&awake) }
		if n := sentTo(lives(t, 90, 20*time.Second, deaf, speak)); n > 2*15 || n < 2*8 {
			t.Errorf("%d requests in half an hour", n)
		}
		awake.Store(true)
		for i, e := range lives(t, 10, 20*time.Second, deaf, speak) {
			if n := len(e.transmitted()); n < 15 {
				t.Errorf("%d requests in life %d of a car that is driven", n, i)
			}
		}
	})
}

// TestSilentBusIsAskedAtItsRateFirst: one that was found by asking at 250 kbit/s
// gets no frame at 500 when it is opened again, by this process or the next.
func TestSilentBusIsAskedAtItsRateFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{clk: clock.Virtual(), rate: slow, answer: answers00(false)}
		var kept can.Backoff
		at := time.Now()
		m := can.Managed{Ignition: always, Keep: func(p can.Probing) { kept.Probing, at = p, time.Now() },
			Was: func() can.Backoff { kept.Age(time.Since(at)); return kept }}
		if _, err := rounds(t, s.managed(m), time.Minute); err != nil {
			t.Fatal(err)
		}
		before := len(s.sentFrames())
		s.mu.Lock()
		s.now.Up = false
		s.mu.Unlock()
		if _, err := rounds(t, s.managed(m), time.Minute); err != nil {
			t.Fatal(err)
		}
		if after := s.sentFrames()[before:]; len(after) != 1 {
			t.Errorf("sent %v to open it again", after)
		}
	})
}
