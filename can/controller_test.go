package can_test

import (
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/telemetry"
)

// report is an error frame of linux/can/error.h.
func report(class uint32, controller, tx, rx byte) can.Frame {
	return can.Frame{ID: class, Error: true, Len: 8, Data: [64]byte{1: controller, 6: tx, 7: rx}}
}

// TestErrorFramesAreCountedByKind: each class has a counter, only what lost
// received frames is a Gap, and the state is the last one told.
func TestErrorFramesAreCountedByKind(t *testing.T) {
	for name, tt := range map[string]struct {
		frame can.Frame
		want  can.ErrorCounts
		state string
		lost  telemetry.Reason
		n     int64
	}{
		"lost arbitration": {report(0x02, 0, 0, 0), can.ErrorCounts{LostArbitrations: 1}, "", "", 0},
		"no ACK":           {report(0x20, 0, 0, 0), can.ErrorCounts{NoACKs: 1}, "", "", 0},
		"no ACK, in full":  {report(0x2A8, 0, 8, 0), can.ErrorCounts{NoACKs: 1, Protocol: 1}, "", "", 0},
		"broken frame":     {report(0x88, 0, 0, 0), can.ErrorCounts{Protocol: 1}, "", telemetry.ReasonBusError, 1},
		"transceiver":      {report(0x10, 0, 0, 0), can.ErrorCounts{Transceiver: 1}, "", "", 0},
		"overrun":          {report(0x04, 0x01, 0, 0), can.ErrorCounts{Overruns: 1}, "", telemetry.ReasonRXOverflow, telemetry.CountUnknown},
		"transmit queue":   {report(0x05, 0x02, 0, 0), can.ErrorCounts{TXFailures: 2}, "", "", 0},
		"warning":          {report(0x204, 0x08, 96, 0), can.ErrorCounts{Warnings: 1}, can.ControllerWarning, "", 0},
		"passive":          {report(0x204, 0x10, 0, 128), can.ErrorCounts{Passives: 1}, can.ControllerPassive, "", 0},
		"bus-off":          {report(0x40, 0, 0, 0), can.ErrorCounts{BusOffs: 1}, can.ControllerBusOff, telemetry.ReasonBusError, telemetry.CountUnknown},
		"restarted":        {report(0x100, 0, 0, 0), can.ErrorCounts{Restarts: 1}, "", "", 0},
		"active again":     {report(0x04, 0x40, 0, 0), can.ErrorCounts{}, "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := engine()
				var during can.Stats
				out, st := drive(t, e, speedOnly(), 10*time.Second, func(src *can.Source) {
					time.Sleep(5500 * time.Millisecond)
					e.bus.Send(tt.frame)
					synctest.Wait()
					during = src.Stats()
				})
				c := during.Controller
				if c.Errors != tt.want || c.State != tt.state || c.TXErrors != tt.frame.Data[6]*byte(tt.frame.ID>>9) || st.Controller.State != "" {
					t.Errorf("controller %+v, afterwards %+v", c, st.Controller)
				}
				if tt.lost == "" != (len(out.gaps) == 0) {
					t.Fatalf("gaps %+v", out.gaps)
				}
				for _, g := range out.gaps {
					if g.Reason != tt.lost || g.Count != tt.n || g.Source != "can0" {
						t.Errorf("gap %+v", g)
					}
				}
			})
		})
	}
}

// TestBusOffAndRecovery: from bus-off to the restart nothing is sent, and that
// span is one Gap of unknown count; then polling comes back by itself.
func TestBusOffAndRecovery(t *testing.T) {
	for name, sign := range map[string]can.Frame{
		"restarted": report(0x100, 0, 0, 0), "active": report(0x04, 0x40, 0, 0), "a frame": {ID: 0x123, Len: 8},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := engine()
				var off, back time.Time
				var during can.Stats
				out, st := drive(t, e, speedOnly(), 5*time.Minute, func(src *can.Source) {
					time.Sleep(20500 * time.Millisecond)
					off = time.Now()
					e.bus.Send(report(0x40, 0, 0, 0))
					time.Sleep(2 * time.Minute)
					during = src.Stats()
					back = time.Now()
					e.bus.Send(sign)
				})
				if during.Controller.State != can.ControllerBusOff || st.Controller.Errors.BusOffs != 1 {
					t.Errorf("state %+v", during.Controller)
				}
				if n := e.transmittedBetween(off, back.Add(10*time.Second)); n != 0 {
					t.Errorf("%d requests while bus-off and just after", n)
				}
				if n := e.transmittedBetween(back.Add(10*time.Second), back.Add(time.Minute)); n < 20 {
					t.Errorf("%d requests after the recovery", n)
				}
				var longest telemetry.Gap
				for _, g := range out.gaps {
					if g.Reason != telemetry.ReasonBusError || g.Count != telemetry.CountUnknown {
						t.Errorf("gap %+v", g)
					}
					if g.To.Sub(g.From) > longest.To.Sub(longest.From) {
						longest = g
					}
				}
				if d := longest.To.Sub(longest.From); d != 2*time.Minute || len(out.gaps) != 2 {
					t.Errorf("gaps %+v", out.gaps)
				}
			})
		})
	}
}

// TestBusOffUntilTheEnd: what a unit that is stopped meanwhile did not hear is
// listed up to then.
func TestBusOffUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		out, _ := drive(t, e, speedOnly(), time.Minute, func(*can.Source) {
			time.Sleep(10 * time.Second)
			e.bus.Send(report(0x40, 0, 0, 0))
		})
		if n := len(out.gaps); n != 2 || out.gaps[1].To.Sub(out.gaps[1].From) != 50*time.Second {
			t.Errorf("gaps %+v", out.gaps)
		}
	})
}

// TestRetreatOnRisingCounters: counters that rise are errors, whatever else
// the frame says; counters that stay or fall are none. A controller that is
// error-passive is left alone at its first word.
func TestRetreatOnRisingCounters(t *testing.T) {
	rising := func(n int) []can.Frame {
		var out []can.Frame
		for i := range n {
			out = append(out, report(0x202, 0, byte(8*i+8), 0))
		}
		return out
	}
	for name, tt := range map[string]struct {
		frames  []can.Frame
		retreat bool
	}{
		"rising":  {rising(3), true},
		"rose":    {rising(2), false},
		"falling": {[]can.Frame{report(0x200, 0, 40, 0), report(0x200, 0, 32, 0), report(0x200, 0, 24, 0), report(0x200, 0, 24, 0)}, false},
		"warning": {[]can.Frame{report(0x04, 0x08, 0, 0)}, true},
		"passive": {[]can.Frame{report(0x04, 0x20, 0, 0)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := engine()
				var start time.Time
				drive(t, e, speedOnly(), time.Minute, func(*can.Source) {
					time.Sleep(20500 * time.Millisecond)
					start = time.Now()
					for _, f := range tt.frames {
						e.bus.Send(f)
					}
				})
				if n := e.transmittedBetween(start, start.Add(10*time.Second)); (n == 0) != tt.retreat {
					t.Errorf("%d requests within ten seconds", n)
				}
			})
		})
	}
}

// TestComesBackSlowly counts what the bus sees after a retreat: one request a
// second at first, then twice as many each ten seconds, then all.
func TestComesBackSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := engine()
		o := &can.OBDConfig{SkipVIN: true, Polls: []can.Poll{{PID: 0x0C, Every: can.MinPeriod}, {PID: 0x0D, Every: can.MinPeriod}}}
		var end time.Time
		drive(t, e, o, 3*time.Minute, func(*can.Source) {
			time.Sleep(10 * time.Second)
			e.bus.Send(report(0x04, 0x20, 0, 0))
			end = time.Now().Add(10 * time.Second)
		})
		for i, most := range []int{11, 21, 41, 81, 161, 321, 641} {
			from := end.Add(time.Duration(i) * 10 * time.Second)
			n := e.transmittedBetween(from.Add(-time.Millisecond), from.Add(10*time.Second))
			if n > most || n < most/2 {
				t.Errorf("%d requests in ten seconds, %d to %d expected", n, most/2, most)
			}
		}
		if n := e.transmittedBetween(end.Add(80*time.Second), end.Add(90*time.Second)); n < 900 {
			t.Errorf("%d requests in ten seconds when all is well again", n)
		}
	})
}
