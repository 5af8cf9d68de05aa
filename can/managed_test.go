package can_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/link"
	"obu/internal/clock"
)

const (
	fast = 500_000
	slow = 250_000
)

func always() bool { return true }

// answers00 is an ECU that answers 01 00, with identifiers of one width.
func answers00(extended bool) func(can.Frame) []can.Frame {
	return func(f can.Frame) []can.Frame {
		switch {
		case f.Extended != extended || f.Data[1] != 1 || f.Data[2] != 0:
			return nil
		case extended:
			return []can.Frame{{ID: 0x18DAF110, Extended: true, Len: 8, Data: [64]byte{6, 0x41, 0, 0x08, 0x18, 0, 0}}}
		}
		return []can.Frame{{ID: 0x7E8, Len: 8, Data: [64]byte{6, 0x41, 0, 0x08, 0x18, 0, 0}}}
	}
}

// rounds dials until the bus opens or a span is over, waiting in between as the
// agent's supervisor does, and returns the last error.
func rounds(t *testing.T, dial can.Dialer, span time.Duration) (can.Bus, error) {
	t.Helper()
	var last error
	for until := time.Now().Add(span); time.Now().Before(until); time.Sleep(5 * time.Second) {
		bus, err := dial(t.Context())
		if err == nil {
			return bus, nil
		}
		last = err
	}
	return nil, last
}

func rateOf(t *testing.T, b can.Bus) (rate int, mute bool) {
	t.Helper()
	return b.(interface{ Bitrate() int }).Bitrate(), b.(interface{ ListenOnly() bool }).ListenOnly()
}

// TestRateByListening: on a bus that speaks nothing is ever sent to find the
// rate, in a mode that does not even acknowledge; at a rate that ISO 15765-4
// does not have the controller stays in it.
func TestRateByListening(t *testing.T) {
	for _, want := range []int{fast, slow, 125_000, 1_000_000} {
		for _, mutes := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{clk: clock.Virtual(), rate: want, speaks: 10 * time.Millisecond, mutes: mutes}
				bus, err := s.managed(can.Managed{Ignition: always})(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer bus.Close()
				rate, mute := rateOf(t, bus)
				if rate != want || mute != (want != fast && want != slow) {
					t.Errorf("%d bit/s, listen only %v", rate, mute)
				}
				all := s.settings()
				for _, set := range all[:len(all)-1] {
					if !set.ListenOnly {
						t.Errorf("searched with %+v", set)
					}
				}
				if last := all[len(all)-1]; last != (link.Settings{Bitrate: want, ListenOnly: mute, Restart: time.Second}) {
					t.Errorf("brought up with %+v", last)
				}
				if n := len(s.sentFrames()); n != 0 {
					t.Errorf("%d frames sent", n)
				}
			})
		}
	}
}

// TestRateIsRemembered: a bus that comes back is heard at its old rate first.
func TestRateIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{clk: clock.Virtual(), rate: slow, speaks: 10 * time.Millisecond}
		dial := s.managed(can.Managed{})
		for range 2 {
			bus, err := dial(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			bus.Close()
			s.mu.Lock()
			s.now.Up = false
			s.mu.Unlock()
		}
		if got := len(s.settings()); got != 5 { // 500, 250, open; 250, open
			t.Errorf("set %v", s.settings())
		}
	})
}

// TestSilentBusIsNotAsked: without a word that the ignition is on, or on a
// unit that only listens, no frame is sent however long it takes.
func TestSilentBusIsNotAsked(t *testing.T) {
	for name, m := range map[string]can.Managed{
		"ignition not known": {}, "ignition off": {Ignition: func() bool { return false }},
		"passive": {Passive: true, Ignition: always},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{clk: clock.Virtual(), rate: fast, answer: answers00(false)}
				_, err := rounds(t, s.managed(m), time.Hour)
				if !errors.Is(err, can.ErrSilent) || len(s.sentFrames()) != 0 {
					t.Errorf("%v, sent %v", err, s.sentFrames())
				}
				for _, set := range s.settings() {
					if !set.ListenOnly {
						t.Fatalf("set to %+v", set)
					}
				}
			})
		})
	}
}

// TestSilentBusIsAsked as ISO 15765-4 says: one shot of 01 00, each width of
// identifiers once, at 500 kbit/s first.
func TestSilentBusIsAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		rate     int
		extended bool
		asked    int // frames on the wire
	}{
		"500 kbit/s, 11 bits": {fast, false, 1}, "500 kbit/s, 29 bits": {fast, true, 2},
		"250 kbit/s, 11 bits": {slow, false, 2}, "250 kbit/s, 29 bits": {slow, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{clk: clock.Virtual(), rate: tt.rate, answer: answers00(tt.extended)}
				bus, err := rounds(t, s.managed(can.Managed{Ignition: always}), 5*time.Minute)
				if err != nil {
					t.Fatal(err)
				}
				defer bus.Close()
				if rate, mute := rateOf(t, bus); rate != tt.rate || mute {
					t.Errorf("%d bit/s, listen only %v", rate, mute)
				}
				wire := s.sentFrames()
				if len(wire) != tt.asked {
					t.Errorf("%d frames on the wire: %v", len(wire), wire)
				}
				for _, w := range wire {
					if !w.oneShot || !can.AllowedRequest(&w.frame) || w.frame.Data[1] != 1 || w.frame.Data[2] != 0 {
						t.Errorf("%v, one shot %v", w.frame, w.oneShot)
					}
				}
			})
		})
	}
}

// TestProbeStopsAtTheFirstError: whether by an error frame or by a counter
// alone, the first rise ends what is sent at once. The other rate has its turn
// after the bus was left alone, and a bus on which nobody acknowledges sees
// less and less.
func TestProbeStopsAtTheFirstError(t *testing.T) {
	for name, s := range map[string]*simulated{"error frames alone": {uncounted: true}, "counters alone": {mutes: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s.clk, s.rate, s.asleep, s.answer = clock.Virtual(), slow, true, answers00(false)
				dial := s.managed(can.Managed{Ignition: always})
				_, err := dial(t.Context())
				if wire := s.sentFrames(); !errors.Is(err, can.ErrProbeFailed) || len(wire) != 1 || wire[0].rate != fast {
					t.Fatalf("%v, sent %v", err, wire)
				}
				if all := s.settings(); !all[len(all)-1].ListenOnly {
					t.Errorf("left with %+v", all[len(all)-1])
				}
				if _, err := rounds(t, dial, time.Hour); err == nil {
					t.Fatal("opened")
				}
				wire := s.sentFrames()
				if len(wire) < 10 || len(wire) > 20 {
					t.Errorf("%d frames in an hour", len(wire))
				}
				for i := range wire[1:] {
					if wire[i].rate == wire[i+1].rate {
						t.Errorf("frames %d and %d both at %d bit/s", i, i+1, wire[i].rate)
					}
					if d := wire[i+1].at.Sub(wire[i].at); d < 10*time.Second {
						t.Errorf("%v between probes that failed", d)
					}
				}
			})
		})
	}
}

// TestProbeMeetsATester: requests of somebody else end the probe without
// another frame, and the bus, which speaks now, is then found by ear.
func TestProbeMeetsATester(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{clk: clock.Virtual(), rate: fast}
		s.answer = func(can.Frame) []can.Frame {
			return []can.Frame{{ID: 0x7E0, Len: 8, Data: [64]byte{2, 0x3E, 0}}}
		}
		_, err := rounds(t, s.managed(can.Managed{Ignition: always}), 10*time.Second)
		if !errors.Is(err, can.ErrSilent) || len(s.sentFrames()) != 1 {
			t.Errorf("%v, sent %v", err, s.sentFrames())
		}
	})
}

// TestNoiseIsNotAsked: a bus of which only errors are heard is neither silent
// nor readable.
func TestNoiseIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{clk: clock.Virtual(), rate: 83_333, speaks: 10 * time.Millisecond}
		_, err := rounds(t, s.managed(can.Managed{Ignition: always}), 10*time.Minute)
		if !errors.Is(err, can.ErrUnreadable) || len(s.sentFrames()) != 0 {
			t.Errorf("%v, sent %v", err, s.sentFrames())
		}
	})
}

// TestTechniciansRateIsProof: the interface is brought up at it without a
// search, one that is up so is left as it is, and a silent bus is asked.
func TestTechniciansRateIsProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{clk: clock.Virtual(), rate: slow, answer: answers00(false)}
		out := &sink{}
		cfg := out.config(s.clk, nil, speedOnly())
		cfg.Dial = s.managed(can.Managed{Bitrate: slow})
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			if err := src.Run(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		if got := s.settings(); len(got) != 1 || got[0] != (link.Settings{Bitrate: slow, Restart: time.Second}) {
			t.Errorf("set %+v", got)
		}
		if st := src.Stats(); st.Requests == 0 || st.Bitrate != slow || uint64(len(s.sentFrames())) != st.Requests {
			t.Errorf("%+v, %d frames on the wire", st, len(s.sentFrames()))
		}
	})
}

// TestListeningControllerIsNotAsked: at a rate that OBD does not have, and on a
// unit that only listens, a whole Source sends nothing and tries nothing.
func TestListeningControllerIsNotAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		rate int
		m    can.Managed
	}{"125 kbit/s": {125_000, can.Managed{}}, "passive": {fast, can.Managed{Passive: true}}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &simulated{clk: clock.Virtual(), rate: tt.rate, speaks: 10 * time.Millisecond}
				out := &sink{}
				cfg := out.config(s.clk, nil, speedOnly())
				cfg.Dial = s.managed(tt.m)
				src, err := can.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := src.Run(ctx); err != nil {
					t.Fatal(err)
				}
				if st := src.Stats(); st.Frames < 5000 || st.Requests+st.SendErrors != 0 || len(s.sentFrames()) != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// TestWrongRateOfTheTechnician: the request that nobody acknowledges is
// repeated by the controller until it leaves the bus; the agent then leaves it
// alone, longer each time, and the controller comes back by itself.
func TestWrongRateOfTheTechnician(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{clk: clock.Virtual(), rate: slow}
		out := &sink{}
		cfg := out.config(s.clk, nil, speedOnly())
		cfg.Dial = s.managed(can.Managed{Bitrate: fast})
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			t.Fatal(err)
		}
		st := src.Stats()
		if n := st.Controller.Errors.BusOffs; n == 0 || n > 30 || st.Controller.Errors.Restarts != n || st.Requests != n {
			t.Errorf("%+v", st)
		}
		if len(out.gaps) == 0 {
			t.Error("no gap for the time off the bus")
		}
	})
}

// TestCountersAreWatched: a driver that sends no error frames is asked for its
// counters, and their rise makes the agent fall silent.
func TestCountersAreWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &simulated{clk: clock.Virtual(), rate: fast, mutes: true}
		s.answer = func(f can.Frame) []can.Frame {
			if f.Data[2] == 0x0D {
				return []can.Frame{{ID: 0x7E8, Len: 8, Data: [64]byte{3, 0x41, 0x0D, 0x4A}}}
			}
			return answers00(false)(f)
		}
		out := &sink{}
		cfg := out.config(s.clk, nil, speedOnly())
		cfg.Dial = s.managed(can.Managed{Bitrate: fast})
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var rose time.Time
		go func() {
			time.Sleep(20500 * time.Millisecond)
			s.mu.Lock()
			rose = time.Now()
			s.bus.failed(0x88, 0, 100)
			s.mu.Unlock()
			time.Sleep(2 * time.Second)
			c := src.Stats().Controller
			if c.State != can.ControllerWarning || c.RXErrors != 100 {
				t.Errorf("controller %+v", c)
			}
			s.mu.Lock()
			s.now.State, s.now.RXErrors = can.ControllerActive, 0
			s.mu.Unlock()
			time.Sleep(2 * time.Second)
			if c := src.Stats().Controller; c.State != can.ControllerActive || c.RXErrors != 0 {
				t.Errorf("controller %+v", c)
			}
		}()
		if err := src.Run(ctx); err != nil {
			t.Fatal(err)
		}
		before, during := 0, 0
		for _, w := range s.sentFrames() {
			switch d := w.at.Sub(rose); {
			case d < 0:
				before++
			case d > 1500*time.Millisecond && d < 10*time.Second:
				during++
			}
		}
		if before < 18 || during != 0 {
			t.Errorf("%d requests before the counters rose, %d while they had risen", before, during)
		}
	})
}

// TestNotAllowed: what the kernel refuses is the error of the dialler.
func TestNotAllowed(t *testing.T) {
	for _, want := range []error{link.ErrNotAdmin, link.ErrMode} {
		s := &simulated{clk: clock.Virtual(), rate: fast, fails: want}
		if _, err := s.managed(can.Managed{})(t.Context()); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

// nowhere is a kernel without CAN: rtnetlink knows no such interface.
type nowhere struct{}

func (nowhere) Set(link.Settings) error    { return link.ErrNoDevice }
func (nowhere) State() (link.State, error) { return link.State{}, link.ErrNoDevice }

// TestManagedKernelWithoutCAN: the agent says what is missing as `obu check` does.
func TestManagedKernelWithoutCAN(t *testing.T) {
	for _, why := range []error{can.ErrNoCAN, can.ErrDown} {
		want := why
		if why != can.ErrNoCAN {
			want = link.ErrNoDevice
		}
		for _, rate := range []int{0, fast} {
			m := can.Managed{Link: nowhere{}, Bitrate: rate, Dial: func(context.Context) (can.Bus, error) { return nil, why }}
			if _, err := m.Dialer()(t.Context()); !errors.Is(err, want) {
				t.Errorf("at %d: %v, want %v", rate, err, want)
			}
		}
	}
}
