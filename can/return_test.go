package can_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/link"
	"obu/internal/clock"
)

// TestSilenceOutlivesTheDevice: another tester, and error frames, silence the
// agent for as long when the interface went and came back meanwhile.
func TestSilenceOutlivesTheDevice(t *testing.T) {
	for name, frame := range map[string]can.Frame{
		"another tester": {ID: 0x7DF, Len: 8, Data: [64]byte{2, 1, 0x0C}},
		"error passive":  {ID: 0x24, Error: true, Len: 8, Data: [64]byte{1: 0x20, 6: 130, 7: 130}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clk := clock.Virtual()
				var cars []*ecu
				began := make(chan time.Time, 1)
				cfg := new(sink).config(clk, nil, speedOnly())
				cfg.Dial = func(context.Context) (can.Bus, error) {
					agent, car := can.Pair(clk)
					e := engine()
					e.bus = car
					e.run()
					if cars = append(cars, e); len(cars) == 1 {
						go func() {
							time.Sleep(5 * time.Second)
							began <- time.Now()
							car.Send(frame)
						}()
					}
					return agent, nil
				}
				src, err := can.New(cfg)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range []time.Duration{5500 * time.Millisecond, 2 * time.Second, 20 * time.Second} {
					ctx, cancel := context.WithTimeout(t.Context(), d)
					if err := src.Run(ctx); err != nil {
						t.Error(err)
					}
					cancel()
				}
				from, during, after := <-began, 0, 0
				for _, e := range cars {
					e.wg.Wait()
					during += e.transmittedBetween(from, from.Add(can.TesterSilence))
					after += e.transmittedBetween(from.Add(can.TesterSilence), from.Add(2*can.TesterSilence))
				}
				if during != 0 || after == 0 {
					t.Errorf("%d frames in the ten seconds of silence, %d behind them", during, after)
				}
			})
		})
	}
}

// TestFilledUpStandstillRests: an ECU that fills its answers up beyond their
// data stands still all the same, and is left alone.
func TestFilledUpStandstillRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.answer = func(service, pid byte) [][]byte {
			switch pid {
			case 0:
				return [][]byte{{0x41, 0, 0, 0x18, 0, 0}}
			case 0x0C:
				return [][]byte{{0x41, 0x0C, 0, 0, 0xAA, 0xAA}}
			}
			return [][]byte{{0x41, 0x0D, 0, 0xAA, 0xAA, 0xAA}}
		}
		drive(t, e, speedOnly(), 10*time.Minute, func(s *can.Source) {
			time.Sleep(9 * time.Minute)
			if got := s.Stats().State; got != "resting" {
				t.Errorf("state %q with the engine off for nine minutes", got)
			}
		})
	})
}

// TestFlowControlsAreFew: an ECU that begins its answer again and again is given
// leave a few times, not each time.
func TestFlowControlsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		e.noFlow = true
		e.answer = func(service, pid byte) [][]byte {
			for range 200 {
				e.SendFrame([]byte{0x10, 0x20, service + 0x40, pid, 1, 2, 3, 4})
				time.Sleep(time.Millisecond)
			}
			return nil
		}
		_, st := drive(t, e, speedOnly(), time.Minute, func(*can.Source) {
			for over := time.After(time.Minute); ; {
				select {
				case <-e.fc:
				case <-over:
					return
				}
			}
		})
		if st.Requests == 0 || st.FlowControls > 3*st.Requests {
			t.Errorf("%d flow controls for %d requests", st.FlowControls, st.Requests)
		}
	})
}

// TestParkedCarOutlivesTheDevice: a car that does not answer is asked no more
// often because its interface comes and goes.
func TestParkedCarOutlivesTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		sent := 0
		cfg := new(sink).config(clk, nil, speedOnly())
		cfg.Dial = func(context.Context) (can.Bus, error) {
			agent, car := can.Pair(clk)
			go func() {
				for {
					if _, err := car.Receive(); err != nil {
						return
					}
					sent++
				}
			}()
			return agent, nil
		}
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for range 12 * 60 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if err := src.Run(ctx); err != nil {
				t.Error(err)
			}
			cancel()
			synctest.Wait()
		}
		if sent == 0 || sent > 50 { // twenty searches, as where the device stays
			t.Errorf("%d frames in twelve hours to a car that does not answer", sent)
		}
	})
}

// TestFiltersPassTesters: the kernel's filters let every frame through that
// silences the agent.
func TestFiltersPassTesters(t *testing.T) {
	filters := can.Filters("can0", nil)
	passes := func(f *can.Frame) bool {
		for _, r := range filters {
			if r.Extended == f.Extended && f.ID&r.Mask == r.ID {
				return true
			}
		}
		return false
	}
	present := [64]byte{2, 0x3E, 0x80}
	frames := []can.Frame{{ID: 0x18DB33F1, Extended: true}}
	for id := range uint32(0x800) {
		frames = append(frames, can.Frame{ID: id, Data: present}, can.Frame{ID: id, Data: [64]byte{0xFE, 2, 0x3E, 0x80}})
	}
	for id := range uint32(0x10000) {
		frames = append(frames, can.Frame{ID: 0x18DA0000 | id, Extended: true}, can.Frame{ID: 0x18DB0000 | id, Extended: true})
	}
	testers := 0
	for _, f := range frames {
		f.Len = 8
		if !can.IsTester(&f) {
			continue
		}
		if testers++; !passes(&f) {
			t.Fatalf("%v, of a tester, does not pass %v", f, filters)
		}
	}
	if testers < 2000 {
		t.Errorf("%d frames of testers", testers)
	}
	if passes(&can.Frame{ID: 0x123}) || passes(&can.Frame{ID: 0x18FEF100, Extended: true}) {
		t.Error("everything passes")
	}
}

// filtered is a bus of which the kernel passes little on, and the driver counts
// the rest.
type filtered struct {
	can.Bus
	perSecond uint64
	from      time.Time
	for_      time.Duration
}

func (b *filtered) LinkState() (link.State, error) {
	n := b.perSecond * uint64(max(0, min(time.Since(b.from), b.for_))/time.Second)
	return link.State{Up: true, Settings: link.Settings{Bitrate: 500_000}, Frames: n, Bytes: 8 * n}, nil
}

// TestLoadBehindFilters: what the kernel's filters hold back loads the bus as
// well, and is a sign of life.
func TestLoadBehindFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		agent, car := can.Pair(clk)
		e := engine()
		e.bus = car
		e.run()
		from := time.Now().Add(10 * time.Second)
		bus := &filtered{agent, 4000, from, 20 * time.Second}
		src, err := can.New(new(sink).config(clk, bus, speedOnly()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			t.Error(err)
		}
		e.wg.Wait()
		if n := e.transmittedBetween(from.Add(3*time.Second), from.Add(20*time.Second)); n != 0 {
			t.Errorf("%d requests on a full bus", n)
		}
		if n := e.transmittedBetween(from.Add(25*time.Second), from.Add(45*time.Second)); n < 15 {
			t.Errorf("%d requests in the twenty seconds after", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		agent, car := can.Pair(clk)
		e := engine()
		e.bus, e.answer = car, func(byte, byte) [][]byte { return nil }
		e.run()
		from := time.Now().Add(3 * time.Hour)
		src, err := can.New(new(sink).config(clk, &filtered{agent, 10, from, time.Hour}, speedOnly()))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour+10*time.Minute)
		defer cancel()
		if err := src.Run(ctx); err != nil {
			t.Error(err)
		}
		e.wg.Wait()
		if n := e.transmittedBetween(from, from.Add(10*time.Second)); n == 0 {
			t.Error("a bus that woke up was not asked")
		}
	})
}

// TestManyPutOff: ECUs that ask for time one after the other hold up what others
// are asked for no longer than one of them.
func TestManyPutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &ecu{response: 0x18DAF110, extended: true}
		e.answer = func(service, pid byte) [][]byte {
			if pid == 0 {
				for n := range uint32(32) {
					e.bus.Send(can.Frame{ID: 0x18DAF110 + n, Extended: true, Len: 8, Data: [64]byte{6, 0x41, 0, 0, 8}})
				}
				return nil
			}
			for n := range uint32(320) {
				if e.bus.Send(can.Frame{ID: 0x18DAF110 + n%32, Extended: true, Len: 8, Data: [64]byte{3, 0x7F, service, 0x78}}) != nil {
					break
				}
				time.Sleep(4 * time.Second)
			}
			return nil
		}
		drive(t, e, speedOnly(), 30*time.Minute, nil)
		if n := len(e.transmitted()); n < 20 {
			t.Errorf("%d requests in half an hour", n)
		}
	})
}

// TestCarWithoutEngineSpeedRests: an electric car has none; its speed and the
// voltage of its converter tell as well.
func TestCarWithoutEngineSpeedRests(t *testing.T) {
	for name, answers := range map[string]map[[2]byte][]byte{
		"speed": {{1, 0x0D}: {0}}, "voltage": {{1, 0x05}: {60}, {1, 0x42}: {0x2E, 0xE0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := &ecu{response: 0x7E8, answers: answers}
				drive(t, e, &can.OBDConfig{SkipVIN: true}, 30*time.Minute, func(s *can.Source) {
					time.Sleep(9 * time.Minute)
					if got := s.Stats().State; got != "resting" {
						t.Errorf("state %q, parked for nine minutes", got)
					}
				})
				if n := len(e.transmitted()); n < 30 || n > 3000 {
					t.Errorf("%d frames in half an hour", n)
				}
			})
		})
	}
}

// TestInterfaceThatFailsWhenAsked: one that goes away with each request is not
// asked each time it comes back.
func TestInterfaceThatFailsWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		sent := 0
		cfg := new(sink).config(clk, nil, speedOnly())
		cfg.Dial = func(context.Context) (can.Bus, error) {
			agent, car := can.Pair(clk)
			go func() {
				if _, err := car.Receive(); err == nil {
					sent++
				}
				car.Close()
			}()
			return agent, nil
		}
		src, err := can.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Hour)
		defer cancel()
		for ctx.Err() == nil {
			_ = src.Run(ctx) // the device is lost
			time.Sleep(time.Second)
		}
		if sent == 0 || sent > 50 {
			t.Errorf("%d frames in twelve hours", sent)
		}
	})
}
