package uplink_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink/brokertest"
)

// TestOversizeIsCutThenRefused: the broker closes the connection on packets
// of more than 20,000 bytes. What can be cut arrives in parts; the one value
// that cannot is listed as a Gap; everything else arrives whole.
func TestOversizeIsCutThenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) { f.MaxPacket = 20_000 })
		names := g.m.commit(telemetry.ClassTelemetry, g.m.speed(1), g.m.speed(2))
		cuttable := g.m.commit(telemetry.ClassTelemetry, fat(g, 30_000))
		names = append(names, g.m.commit(telemetry.ClassTelemetry, g.m.speed(3))...)
		stone := g.m.commit(telemetry.ClassTelemetry, noise(g, 60_000))
		names = append(names, g.m.commit(telemetry.ClassTelemetry, g.m.speed(4))...)
		names = append(names, g.m.commit(telemetry.ClassEvent, g.m.speed(5))...)
		names = append(names, g.m.commit(telemetry.ClassMedia, chunk(rand.New(rand.NewPCG(1, 1)), 256<<10))...)
		g.start()
		names = append(names, g.drive(3600)...)
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("innocent and not delivered: %s", span(lost))
		}
		if lost := g.r.missing(cuttable); len(lost) > 0 {
			t.Errorf("not delivered in parts: %s", span(lost))
		}
		if why := g.m.refused[stone[0]]; why != telemetry.ReasonRefused || len(g.m.refused) != 1 {
			t.Errorf("refused %v, want only %v", g.m.refused, stone[0])
		}
		s := g.u.Stats()
		if s.Connects > 40 {
			t.Errorf("%d sessions: a poison loop", s.Connects)
		}
		t.Logf("%d sessions, failures %v, refused %d", s.Connects, s.Failures, s.Refused)
		g.stop()
	})
}

// noise is one text value of n bytes that does not compress.
func noise(g *rig, n int) telemetry.Content {
	sig, _ := telemetry.Lookup("Vehicle.VehicleIdentification.VIN")
	var b strings.Builder
	for range n {
		b.WriteByte(byte('!' + rand.IntN(90)))
	}
	return telemetry.Content{Samples: []telemetry.Sample{{At: g.clk.Now(), Signal: sig, Value: telemetry.Text(b.String())}}}
}

// TestForbiddenTopicKeepsData: a broker that ends the session on everything
// published to one topic is no reason to throw the data away.
func TestForbiddenTopicKeepsData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.CutBefore = func(m brokertest.Message) bool { return strings.HasSuffix(m.Topic, "/event") }
		})
		events := g.m.commit(telemetry.ClassEvent, g.m.speed(1), g.m.speed(2))
		g.start()
		names := g.drive(1800)
		if len(g.m.refused) > 0 {
			t.Errorf("refused %v", g.m.refused)
		}
		if lost := g.r.missing(names[:len(names)-60]); len(lost) > 0 {
			t.Errorf("telemetry does not pass the forbidden topic: %s", span(lost))
		}
		t.Logf("%d sessions in half an hour", g.u.Stats().Connects)
		g.b.Set(func(f *brokertest.Faults) { f.CutBefore = nil })
		g.drive(1800)
		if lost := g.r.missing(events); len(lost) > 0 {
			t.Errorf("events not delivered once allowed: %s", span(lost))
		}
		g.stop()
	})
}

// TestRestartingBrokerRefusesNothing: a broker that dies every few seconds
// for an hour is not a packet's fault.
func TestRestartingBrokerRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil).start()
		var names []telemetry.Name
		for range 600 {
			names = append(names, g.drive(6)...)
			g.b.Cut()
		}
		names = append(names, g.drive(300)...)
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("not delivered: %s", span(lost))
		}
		if len(g.m.refused) > 0 {
			t.Errorf("refused %v", g.m.refused)
		}
		copies := 0
		for _, n := range names {
			copies += g.r.count(n) - 1
		}
		t.Logf("%d sessions, %d copies of %d batches", g.u.Stats().Connects, copies, len(names))
		g.stop()
		time.Sleep(0)
	})
}
