package uplink_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink"
)

// quiet is a content of n samples that compress to nearly nothing.
func quiet(g *rig, n int) telemetry.Content {
	one := g.m.speed(50).Samples[0]
	c := telemetry.Content{Samples: make([]telemetry.Sample, n)}
	for i := range c.Samples {
		c.Samples[i] = one
		c.Samples[i].At += telemetry.At(i) * telemetry.At(time.Millisecond)
	}
	return c
}

// drained runs a rig until its telemetry is gone and checks that all of it
// arrived and nothing was refused.
func drained(t *testing.T, g *rig, names []telemetry.Name) {
	t.Helper()
	g.start()
	for i := 0; i < 600 && g.m.held(telemetry.ClassTelemetry) > 0; i++ {
		time.Sleep(time.Second)
	}
	if lost := g.r.missing(names); len(lost) > 0 {
		t.Errorf("not delivered: %s; %+v", span(lost), g.u.Stats())
	}
	if len(g.m.refused) > 0 {
		t.Errorf("refused: %v", g.m.refused)
	}
	g.stop()
}

// TestGroupOverTheEnvelopeLimitIsHalved: quiet batches reach the number of
// values an envelope may hold long before they fill a packet.
func TestGroupOverTheEnvelopeLimitIsHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil)
		var names []telemetry.Name
		for range 4 {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, quiet(g, telemetry.MaxValues/2-1))...)
		}
		drained(t, g, names)
	})
}

// TestBatchOverTheEnvelopeLimitGoesInParts: one batch that is legal on disk
// and too long for a JSON envelope.
func TestBatchOverTheEnvelopeLimitGoesInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *uplink.Config) { c.Encoding, c.MaxPacket = uplink.JSON, 4<<20 })
		long := quiet(g, 5_000)
		vin, _ := telemetry.Lookup("Vehicle.VehicleIdentification.VIN")
		for i := range long.Samples {
			long.Samples[i].Signal, long.Samples[i].Value = vin, telemetry.Text(strings.Repeat("x", 2_000))
		}
		names := g.m.commit(telemetry.ClassTelemetry, long)
		if _, err := telemetry.EncodeEnvelopeJSON(&telemetry.Envelope{Unit: "u1", Store: names[0].Store, Class: names[0].Class,
			Batches: []telemetry.Batch{{Unit: "u1", Name: names[0], Content: long}}}); err == nil {
			t.Error("the batch fits: the test shows nothing")
		}
		drained(t, g, append(names, g.m.commit(telemetry.ClassTelemetry, g.m.speed(1))...))
		if parts := g.r.arrivals(telemetry.ClassTelemetry); len(parts) < 3 || parts[len(parts)-1].part == nil && parts[0].part == nil {
			t.Errorf("%d arrivals, want parts", len(parts))
		}
	})
}
