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

// driveKnown is drive with a car of which something else knows whether the
// ignition is on.
func driveKnown(t *testing.T, e *ecu, o *can.OBDConfig, d time.Duration, ignition func() bool, during func()) can.Stats {
	t.Helper()
	clk := clock.Virtual()
	agent, car := can.Pair(clk)
	e.bus = car
	e.run()
	cfg := new(sink).config(clk, agent, o)
	cfg.Ignition = ignition
	src, err := can.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	e.wg.Go(during)
	if err := src.Run(ctx); err != nil {
		t.Error(err)
	}
	e.wg.Wait()
	return src.Stats()
}

// TestListensFirst: nothing is sent before a bus was listened to, and who is
// heard asking meanwhile is left alone for the whole time.
func TestListensFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, start := engine(), time.Now()
		drive(t, e, speedOnly(), 3*time.Second, nil)
		if n := e.transmittedBetween(start.Add(-1), start.Add(can.DefaultListen)); n != 0 || len(e.transmitted()) == 0 {
			t.Errorf("%d frames sent while listening, %d altogether", n, len(e.transmitted()))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e, start := engine(), time.Now()
		drive(t, e, speedOnly(), 20*time.Second, func(*can.Source) {
			time.Sleep(500 * time.Millisecond)
			e.bus.Send(can.Frame{ID: 0x7DF, Len: 8, Data: [64]byte{2, 1, 0x0C}})
		})
		if n := e.transmittedBetween(start.Add(-1), start.Add(500*time.Millisecond+can.TesterSilence)); n != 0 || len(e.transmitted()) == 0 {
			t.Errorf("%d frames sent beside a tester that was there first, %d altogether", n, len(e.transmitted()))
		}
	})
}

// TestBusLoadCeiling: above it nothing is asked, below it all goes on.
func TestBusLoadCeiling(t *testing.T) {
	for name, tt := range map[string]struct {
		each    int // frames a millisecond; four are a full bus of 500 kbit/s
		silence bool
	}{"full": {4, true}, "three quarters": {3, false}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := engine()
				var from, to time.Time
				_, st := drive(t, e, speedOnly(), time.Minute, func(*can.Source) {
					time.Sleep(10 * time.Second)
					from = time.Now()
					for range 20_000 {
						for range tt.each {
							e.bus.Send(can.Frame{ID: 0x123, Len: 8})
						}
						time.Sleep(time.Millisecond)
					}
					to = time.Now()
				})
				during := e.transmittedBetween(from.Add(2*time.Second), to)
				if (during == 0) != tt.silence || (st.Withheld > 0) != tt.silence {
					t.Errorf("%d requests while the bus was loaded; %+v", during, st)
				}
				if n := e.transmittedBetween(to.Add(2*time.Second), to.Add(20*time.Second)); n < 15 {
					t.Errorf("%d requests afterwards", n)
				}
			})
		})
	}
}

// TestSilentBesideAnyTester: whichever way somebody else asks, nothing is asked
// until ten seconds after; what only looks a little like it stops nothing.
func TestSilentBesideAnyTester(t *testing.T) {
	for name, tt := range map[string]struct {
		frame  can.Frame
		tester bool
	}{
		"functional":                     {can.Frame{ID: 0x7DF, Len: 8, Data: [64]byte{2, 1, 0x0C}}, true},
		"physical":                       {can.Frame{ID: 0x7E3, Len: 8, Data: [64]byte{3, 0x22, 0xF1, 0x90}}, true},
		"flow control":                   {can.Frame{ID: 0x7E0, Len: 8, Data: [64]byte{0x30}}, true},
		"29 bits, functional":            {can.Frame{ID: 0x18DB33F1, Extended: true, Len: 8, Data: [64]byte{2, 1, 0}}, true},
		"29 bits, physical":              {can.Frame{ID: 0x18DA10F1, Extended: true, Len: 8, Data: [64]byte{2, 1, 0}}, true},
		"29 bits, a workshop's address":  {can.Frame{ID: 0x18DA10F9, Extended: true, Len: 8, Data: [64]byte{2, 0x10, 3}}, true},
		"29 bits, its functional one":    {can.Frame{ID: 0x18DBFEF9, Extended: true, Len: 8, Data: [64]byte{2, 0x3E, 0x80}}, true},
		"session of a maker's ECU":       {can.Frame{ID: 0x714, Len: 8, Data: [64]byte{2, 0x10, 3}}, true},
		"tester present":                 {can.Frame{ID: 0x700, Len: 8, Data: [64]byte{2, 0x3E, 0x80, 0x55, 0x55, 0x55, 0x55, 0x55}}, true},
		"tester present, without filler": {can.Frame{ID: 0x745, Len: 3, Data: [64]byte{2, 0x3E, 0}}, true},
		"session behind an address":      {can.Frame{ID: 0x6F1, Len: 5, Data: [64]byte{0x12, 2, 0x10, 3}}, true},
		"tester present for all":         {can.Frame{ID: 0x6F1, Len: 8, Data: [64]byte{0xEF, 2, 0x3E, 0x80}}, true},
		"an address on a maker's id":     {can.Frame{ID: 0x750, Len: 8, Data: [64]byte{0x40, 2, 0x3E, 0, 0x55, 0x55, 0x55, 0x55}}, true},
		"a broadcast with an address":    {can.Frame{ID: 0x6F1, Len: 8, Data: [64]byte{0x12, 2, 0x3E, 0x80, 1, 2, 3, 4}}, false},
		"tester present of GMLAN":        {can.Frame{ID: 0x101, Len: 8, Data: [64]byte{0xFE, 1, 0x3E}}, true},
		"tester present of KWP2000":      {can.Frame{ID: 0x710, Len: 8, Data: [64]byte{2, 0x3E, 1}}, true},
		"101 of another car":             {can.Frame{ID: 0x101, Len: 8, Data: [64]byte{0xFD, 1, 0x3E}}, false},
		"a short broadcast":              {can.Frame{ID: 0x714, Len: 8, Data: [64]byte{1, 0x3E}}, false},
		"an answer":                      {can.Frame{ID: 0x7E9, Len: 8, Data: [64]byte{2, 0x7E, 0}}, false},
		"an answer of 29 bits":           {can.Frame{ID: 0x18DAF9A0, Extended: true, Len: 8, Data: [64]byte{2, 0x7E, 0}}, false},
		"a broadcast":                    {can.Frame{ID: 0x714, Len: 8, Data: [64]byte{2, 0x3E, 0, 1, 2, 3, 4, 5}}, false},
		"another one":                    {can.Frame{ID: 0x520, Len: 8, Data: [64]byte{2, 0x10, 3}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := engine()
				var from time.Time
				drive(t, e, speedOnly(), 40*time.Second, func(*can.Source) {
					time.Sleep(15500 * time.Millisecond)
					from = time.Now()
					e.bus.Send(tt.frame)
				})
				if n := e.transmittedBetween(from, from.Add(can.TesterSilence)); (n == 0) != tt.tester {
					t.Errorf("%d requests in the ten seconds after %v", n, tt.frame)
				}
				if n := e.transmittedBetween(from.Add(can.TesterSilence), from.Add(2*can.TesterSilence)); n < 8 {
					t.Errorf("%d requests in the ten seconds after those", n)
				}
			})
		})
	}
}

// quiet is an engine whose answers can be switched off.
func quiet(awake *atomic.Bool) *ecu {
	e := engine()
	e.answer = func(service, pid byte) [][]byte {
		switch {
		case !awake.Load():
			return nil
		case pid == 0:
			return [][]byte{{0x41, 0, 0, 0x08, 0, 0}}
		}
		return [][]byte{{0x41, 0x0D, 0x4A}}
	}
	return e
}

// TestParkedCarIsLeftAlone counts what the bus of a car sees that is parked for
// a night: twenty times two requests, one of them an hour at last.
func TestParkedCarIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var awake atomic.Bool
		awake.Store(true)
		e := quiet(&awake)
		var parked time.Time
		drive(t, e, speedOnly(), 13*time.Hour, func(*can.Source) {
			time.Sleep(time.Minute)
			awake.Store(false)
			parked = time.Now()
		})
		night := e.transmittedBetween(parked.Add(time.Minute), parked.Add(12*time.Hour))
		late := e.transmittedBetween(parked.Add(6*time.Hour), parked.Add(12*time.Hour))
		if night > 2*20 || late > 2*6 || late < 2*5 {
			t.Errorf("%d requests in twelve hours, %d in the last six", night, late)
		}
	})
}

// TestBusThatWakesForAMoment each ten minutes, as parked cars do, gets one search
// and falls asleep again.
func TestBusThatWakesForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var awake atomic.Bool
		e := quiet(&awake)
		start := time.Now()
		drive(t, e, speedOnly(), 6*time.Hour, func(*can.Source) {
			for range 35 {
				time.Sleep(10 * time.Minute)
				e.bus.Send(can.Frame{ID: 0x500, Len: 8})
			}
		})
		if n := e.transmittedBetween(start.Add(10*time.Minute), start.Add(6*time.Hour)); n > 2*(35+8) || n < 2*30 {
			t.Errorf("%d requests beside 35 moments", n)
		}
	})
}

// TestBusThatSpeaksOfOtherThings: where no ECU ever answers, as behind a gateway
// that does not let requests through, a bus that speaks all the time is asked
// less and less as well.
func TestBusThatSpeaksOfOtherThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var awake atomic.Bool
		e := quiet(&awake)
		start := time.Now()
		drive(t, e, speedOnly(), time.Hour, func(*can.Source) {
			for range 3599 {
				e.bus.Send(can.Frame{ID: 0x500, Len: 8})
				time.Sleep(time.Second)
			}
		})
		if n := e.transmittedBetween(start.Add(-1), start.Add(time.Hour)); n > 2*20 || n < 2*15 {
			t.Errorf("%d requests in an hour", n)
		}
	})
}

// TestSignsOfLife: a car that was parked for a day, and searched a moment ago, is
// asked at once when its bus speaks or the ignition is known to be on, and again
// until its ECUs answer.
func TestSignsOfLife(t *testing.T) {
	for _, name := range []string{"the bus speaks", "the ignition is on"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var awake, driven atomic.Bool
				e := quiet(&awake)
				var first time.Time
				st := driveKnown(t, e, speedOnly(), 26*time.Hour, driven.Load, func() {
					time.Sleep(24 * time.Hour)
					for n := len(e.transmitted()); n == len(e.transmitted()); {
						time.Sleep(time.Second)
					}
					time.Sleep(20 * time.Second)
					first = time.Now()
					for i := range 120 {
						if name == "the bus speaks" {
							e.bus.Send(can.Frame{ID: 0x100, Len: 8})
						} else {
							driven.Store(true)
						}
						awake.Store(i >= 12) // ECUs that take their time
						time.Sleep(time.Second)
					}
					driven.Store(false)
				})
				if n := e.transmittedBetween(first, first.Add(12*time.Second)); n == 0 {
					t.Error("not asked at once")
				}
				if n := e.transmittedBetween(first.Add(30*time.Second), first.Add(90*time.Second)); n < 55 {
					t.Errorf("%d requests in a minute of the drive; %+v", n, st)
				}
			})
		})
	}
}

// TestRestLeavesGaps: ECUs that fall asleep when nobody has asked for five
// minutes get those five minutes, and an engine that starts is noticed early
// when the car is known to be driven.
func TestRestLeavesGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rpm, driven atomic.Bool
		e := engine()
		e.answers[[2]byte{1, 0x0D}], e.answers[[2]byte{1, 0x42}] = []byte{0}, []byte{0x2E, 0xE0}
		e.answer = func(service, pid byte) [][]byte {
			if service == 1 && pid == 0x0C {
				if rpm.Load() {
					return [][]byte{{0x41, 0x0C, 0x1A, 0}}
				}
				return [][]byte{{0x41, 0x0C, 0, 0}}
			}
			hook := e.answers[[2]byte{service, pid}]
			switch {
			case pid == 0:
				return [][]byte{{0x41, 0, 0, 0x18, 0, 0}}
			case hook == nil:
				return nil
			}
			return [][]byte{append([]byte{0x41, pid}, hook...)}
		}
		var off, on time.Time
		driveKnown(t, e, speedOnly(), 3*time.Hour, driven.Load, func() {
			off = time.Now()
			time.Sleep(2*time.Hour + 90*time.Second)
			on = time.Now()
			rpm.Store(true)
			driven.Store(true)
		})
		longest := time.Duration(0)
		var last time.Time
		for _, at := range e.times {
			if at.After(off.Add(10*time.Minute)) && at.Before(on) {
				if !last.IsZero() {
					longest = max(longest, at.Sub(last))
				}
				last = at
			}
		}
		if n := e.transmittedBetween(off.Add(time.Hour), on); longest < 5*time.Minute || n > 2*14 {
			t.Errorf("%d requests in an hour of rest, %v without one", n, longest)
		}
		if n := e.transmittedBetween(on.Add(35*time.Second), on.Add(time.Minute)); n < 20 {
			t.Errorf("%d requests in 25 seconds after the engine had started", n)
		}
	})
}
