package uplink_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink/brokertest"
)

// trackNames are the ten signals that fleet's track load polls.
var trackNames = [...]string{"Vehicle.OBD.EngineLoad", "Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature",
	"Vehicle.Powertrain.CombustionEngine.Speed", "Vehicle.Speed", "Vehicle.OBD.TimingAdvance", "Vehicle.OBD.IntakeTemp", "Vehicle.OBD.MAF",
	"Vehicle.OBD.ThrottlePosition", "Vehicle.OBD.FuelLevel", "Vehicle.OBD.ControlModuleVoltage"}

// track is one second of the track load: ten signals and a fix that move as a
// car does.
func track(t testing.TB, at telemetry.At) telemetry.Content {
	s := time.Duration(at).Seconds()
	var c telemetry.Content
	for i, name := range trackNames {
		sig, ok := telemetry.Lookup(name)
		if !ok {
			t.Fatalf("no signal %s", name)
		}
		v := 40 + 30*math.Sin(s/(20+7*float64(i))) + 5*math.Sin(s*1.7+float64(i))
		c.Samples = append(c.Samples, telemetry.Sample{At: at.Add(-time.Duration(900-90*i) * time.Millisecond), Signal: sig,
			Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}, Value: telemetry.Float(sig.Step.Value(int64(v * float64(sig.Step.Den) / float64(sig.Step.Num))))})
	}
	f := telemetry.NoFix()
	f.At, f.Receiver, f.Mode, f.Valid, f.Quality, f.Sats = at, "gps", telemetry.Mode3D, true, 1, 9
	f.LatDeg, f.LonDeg = 50+math.Round(1e7*s*1e-5)/1e7, 8+math.Round(1e7*math.Sin(s/300)/100)/1e7
	f.AltM, f.SpeedMPS, f.CourseDeg, f.HDOP = 120+math.Round(10*math.Sin(s/60))/10, 12, 90, 0.9
	c.Fixes = append(c.Fixes, f)
	return c
}

// TestDayOfBacklogBehindLive holds the law of live first: 24 hours of the track
// load wait, 86,400 batches, and the link carries 1 Mbit/s with a round trip of
// 100 ms. The newest state is there within 2 s of CONNACK, live p99 stays below
// 3 s while history drains in order, and the link is used to 90 %.
func TestDayOfBacklogBehindLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day, rate = 86_400, 125_000
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = brokertest.Link{Up: rate, Down: rate, Delay: 50 * time.Millisecond}
		})
		var names []telemetry.Name
		var seconds []telemetry.Content
		flush := func() {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, seconds...)...)
			seconds = nil
		}
		for range day {
			time.Sleep(time.Second)
			if seconds = append(seconds, track(t, g.clk.Now())); len(seconds) == 600 {
				flush()
			}
		}
		g.start()
		for g.m.held(telemetry.ClassTelemetry) > 100 || len(names) == day {
			time.Sleep(time.Second)
			seconds = append(seconds, track(t, g.clk.Now()))
			flush()
			g.u.Notify()
		}
		time.Sleep(5 * time.Second)
		flush()
		d := judge(g, names)
		t.Logf("newest %v after CONNACK, live p99 %v, %d batches of history in %v, %.1f %% of the link", d.newest, d.p99, d.history, d.took, 100*d.used(rate))
		if d.newest > 2*time.Second {
			t.Errorf("newest state %v after CONNACK", d.newest)
		}
		if d.p99 > 3*time.Second {
			t.Errorf("live p99 %v", d.p99)
		}
		if d.used(rate) < 0.90 {
			t.Errorf("link used %.3f, want 0.90", d.used(rate))
		}
		if n := len(names) - d.history - d.live; n != 0 {
			t.Errorf("%d of %d batches came twice or not at all", n, len(names))
		}
		g.stop()
	})
}

// verdict is what a drain looked like at the broker.
type verdict struct {
	newest  time.Duration // from CONNACK to the newest state
	p99     time.Duration // of live
	took    time.Duration // from CONNACK to the last history
	bytes   int           // that came meanwhile
	history int           // batches
	live    int
}

func (d verdict) used(rate float64) float64 { return float64(d.bytes) / (rate * d.took.Seconds()) }

// judge checks that the first to arrive was the newest, that history came in
// order and that nothing is missing.
func judge(g *rig, names []telemetry.Name) verdict {
	connack := g.b.ConnectTimes()[0]
	all := g.r.arrivals(telemetry.ClassTelemetry)
	d := verdict{newest: all[0].at.Sub(connack), p99: p99(all[1:])}
	if a := all[0]; a.history || a.lag > d.newest+2*time.Second {
		g.Errorf("first to arrive is seq %d (history %v), %v old", a.Seq, a.history, a.lag)
	}
	last := uint64(0)
	for _, a := range all {
		if !a.history {
			d.live++
			continue
		}
		if a.Seq <= last {
			g.Fatalf("history seq %d after %d", a.Seq, last)
		}
		last = a.Seq
		d.history++
		d.took = a.at.Sub(connack)
	}
	var packet time.Time
	for _, a := range all {
		if a.at.Sub(connack) <= d.took && a.at != packet {
			packet = a.at
			d.bytes += a.size
		}
	}
	if lost := g.r.missing(names); len(lost) > 0 {
		g.Errorf("not delivered: %s", span(lost))
	}
	return d
}
