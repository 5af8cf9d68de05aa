package trip_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"obu/internal/trip"
)

// square is a zone of that half width around a place.
func square(name string, lat, lon, half float64) []byte {
	return fmt.Appendf(nil, `{"type":"Feature","properties":{"name":%q},"geometry":{"type":"Polygon","coordinates":[[[%[2]v,%[3]v],[%[4]v,%[3]v],[%[4]v,%[5]v],[%[2]v,%[5]v],[%[2]v,%[3]v]]]}}`,
		name, lon-half, lat-half, lon+half, lat+half)
}

// islands are two squares, the first with a hole, the second over 180° in two parts.
const islands = `{"type":"FeatureCollection","name":"all","crs":null,"features":[
{"type":"Feature","id":1,"properties":{"name":"yard","colour":"red"},"geometry":{"type":"Polygon","coordinates":[
 [[8,50],[8.02,50],[8.02,50.02],[8,50.02],[8,50]],[[8.005,50.005],[8.015,50.005],[8.015,50.015],[8.005,50.015],[8.005,50.005]]]}},
{"type":"Feature","id":"fiji","properties":null,"geometry":{"type":"MultiPolygon","coordinates":[
 [[[179,-17,12.5],[180,-17],[180,-16],[179,-16],[179,-17,12.5]]],[[[-180,-17],[-179,-17],[-179,-16],[-180,-16],[-180,-17]]]]}}]}`

func TestZonesHold(t *testing.T) {
	z, err := trip.ParseZones([]byte(islands))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		lat, lon float64
		want     string
	}{{50.002, 8.01, "yard"}, {50.01, 8.01, ""}, {50.01, 8.003, "yard"}, {50.03, 8.01, ""}, {50.01, 7.999, ""},
		{-16.5, 179.9, "fiji"}, {-16.5, -179.9, "fiji"}, {-16.5, 178.9, ""}, {-16.5, 0, ""}} {
		if got := strings.Join(z.Inside(tt.lat, tt.lon), " "); got != tt.want {
			t.Errorf("%v, %v: %q, want %q", tt.lat, tt.lon, got, tt.want)
		}
	}
}

// TestZonesAreEnteredAndLeftOnce: the drive through is told once, also when the
// receiver scatters at the edge; a parked car on the edge tells nothing more.
func TestZonesAreEnteredAndLeftOnce(t *testing.T) {
	z, err := trip.ParseZones(square("depot", 50.003, 8, 0.001)) // 222 m to 445 m north
	if err != nil {
		t.Fatal(err)
	}
	c := newCar(t, func(r *trip.Rules) { calm(r); r.Trips, r.Zones = false, z })
	c.mps = 5
	c.drive(46) // 8 m inside
	c.mps = 0
	for i := range 200 { // to 9 m outside, back
		c.lat += []float64{-17, 17}[i%2] / 111_241
		c.drive(3)
	}
	c.wants("Geofence.Entered")
	c.mps = 5
	c.drive(60)
	c.wants("Geofence.Entered Geofence.Left")
	near(t, c.of("Geofence.Entered")[0], "lat", 50.002, 1e-4)
	near(t, c.of("Geofence.Left")[0], "lat", 50.004, 3e-4)
	if n := len(c.w.State().Zones); n != 0 {
		t.Errorf("still in %d", n)
	}
}

// TestZonesAreNotToldTwice: after a restart the zone the car is in is known.
func TestZonesAreNotToldTwice(t *testing.T) {
	run := func(s *trip.State) *car {
		z, err := trip.ParseZones(square("depot", 50, 8, 0.001))
		if err != nil {
			t.Fatal(err)
		}
		c := newCar(t, func(r *trip.Rules) { r.Trips, r.Zones = false, z })
		if s != nil {
			c.w.Resume(*s, 50e9)
		}
		c.drive(10)
		return c
	}
	first := run(nil)
	first.wants("Geofence.Entered")
	s := first.w.State()
	run(&s).wants("")
}

// TestZonesThatAreWrongSayWhere: each message names the feature and the cure.
func TestZonesThatAreWrongSayWhere(t *testing.T) {
	feature := func(name, geometry string) string {
		return `{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"name":"` + name + `"},"geometry":` + geometry + `}]}`
	}
	ring := func(c string) string { return feature("yard", `{"type":"Polygon","coordinates":[[`+c+`]]}`) }
	for text, want := range map[string][]string{
		"zones: []":                                                                      {"not GeoJSON"},
		`{"type":"Polygon","coordinates":[]}`:                                            {"FeatureCollection", "properties"},
		`{"type":"FeatureCollection","features":[]}`:                                     {"0 features", "remove geofence"},
		feature("", `{"type":"Polygon","coordinates":[]}`):                               {"feature 1", "name is empty", "properties"},
		feature("yard", `{"type":"Point","coordinates":[8,50]}`):                         {"feature 1", "yard", "Point", "Polygon"},
		feature("yard", `{"type":"Polygon","coordinates":[8,50]}`):                       {"coordinates"},
		feature("yard", `{"type":"MultiPolygon","coordinates":[]}`):                      {"MultiPolygon", "draw it again"},
		ring(`[8,50],[9,50],[9,51]`):                                                     {"fewer than four"},
		ring(`[8,50],[9,50],[9,51],[8,51]`):                                              {"not closed"},
		ring(`[8,50],[9],[9,51],[8,50]`):                                                 {"corner 2", "[longitude, latitude]"},
		ring(`[-36,174],[-36,175],[-37,175],[-36,174]`):                                  {"longitude first"},
		ring(`[179,-17],[-179,-17],[-179,-16],[179,-16],[179,-17]`):                      {"antimeridian", "MultiPolygon"},
		strings.Replace(islands, `"properties":null`, `"properties":{"name":"yard"}`, 1): {"feature 2", "yard", "same name"},
		feature(strings.Repeat("a", 65), `{"type":"Polygon","coordinates":[]}`):          {"64 bytes"},
	} {
		_, err := trip.ParseZones([]byte(text))
		if err == nil {
			t.Errorf("%s: accepted", text)
			continue
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v: no word of %q", text, err, w)
			}
		}
	}
}

// FuzzZones: nothing makes the parser or a question panic, and what it takes has
// names, each once, and ends: no pole is in a zone that does not reach there.
func FuzzZones(f *testing.F) {
	f.Add([]byte(islands), 50.002, 8.01)
	f.Add(square("depot", 0, 0, 90), 90.0, 0.0)
	f.Add([]byte(`{"type":"Feature","id":7,"geometry":{"type":"Polygon","coordinates":[[[1,1],[1,1],[1,1],[1,1]]]}}`), 1.0, 1.0)
	f.Add([]byte(`{"type":"Feature","id":7,"geometry":{"type":"MultiPolygon","coordinates":[[[[0,0],[0,1e-300],[1e-300,0],[0,0]]]]}}`), 0.0, 0.0)
	f.Fuzz(func(t *testing.T, raw []byte, lat, lon float64) {
		z, err := trip.ParseZones(raw)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a word")
			}
			return
		}
		names := z.Inside(lat, lon)
		slices.Sort(names)
		if len(slices.Compact(names)) != len(names) || slices.Contains(names, "") || len(names) > z.Len() {
			t.Errorf("zones %q of %d", names, z.Len())
		}
		if beyond := z.Inside(91, 181); len(beyond) > 0 {
			t.Errorf("%q hold a place that is none", beyond)
		}
	})
}
