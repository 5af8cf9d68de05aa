package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/internal/clock"
	"obu/internal/trip"
	"obu/telemetry"
)

// TestZoneThatFollowsAnotherIsStored: a car that leaves one zone and enters the
// next between two looks at its state is in the next after a power cut, and
// neither event is told again.
func TestZoneThatFollowsAnotherIsStored(t *testing.T) {
	square := func(name string, lat float64) string {
		return fmt.Sprintf(`{"type":"Feature","properties":{"name":%q},"geometry":{"type":"Polygon","coordinates":[[[8,%[2]v],[9,%[2]v],[9,%[3]v],[8,%[3]v],[8,%[2]v]]]}}`, name, lat, lat+1)
	}
	z, err := trip.ParseZones([]byte(`{"type":"FeatureCollection","features":[` + square("south", 50) + "," + square("north", 52) + "]}"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), tripName)
	s := &trips{watch: trip.New(trip.Rules{Zones: z, Emit: func([]telemetry.Sample) {}}), clock: clock.Virtual(), path: path}
	for i, place := range []struct {
		lat  float64
		want string
	}{{50.5, "south"}, {52.5, "north"}} {
		for n := range 2 {
			f := telemetry.NoFix()
			f.At = telemetry.At(time.Duration(2*i+n+1) * time.Second)
			f.Valid, f.LatDeg, f.LonDeg = true, place.lat, 8.5
			s.fix(&f, false)
		}
		s.tick()
		raw, err := os.ReadFile(path)
		var got trip.State
		if err != nil || json.Unmarshal(raw, &got) != nil || len(got.Zones) != 1 || got.Zones[0] != place.want {
			t.Errorf("stored %s (%v), want zone %s", raw, err, place.want)
		}
	}
}
