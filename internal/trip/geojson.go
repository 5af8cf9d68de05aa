package trip

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
)

// Bounds of a file of zones: each fix is held against all of them.
const (
	MaxZoneBytes = 4 << 20
	maxZones     = 1000
	maxCorners   = 50_000
	maxZoneName  = 64
)

// geoObject is any object of GeoJSON (RFC 7946).
type geoObject struct {
	Type        string          `json:"type"`
	ID          json.RawMessage `json:"id"`
	Features    []geoObject     `json:"features"`
	Geometry    *geoObject      `json:"geometry"`
	Coordinates json.RawMessage `json:"coordinates"`
	Properties  struct {
		Name json.RawMessage `json:"name"`
	} `json:"properties"`
}

// ParseZones reads the zones of a GeoJSON file: a FeatureCollection or one
// Feature, of Polygons and MultiPolygons with holes, each with a name. The error
// says which feature is wrong and what to do.
func ParseZones(raw []byte) (*Zones, error) {
	if len(raw) > MaxZoneBytes {
		return nil, errors.New("the file is larger than 4 MiB: draw the zones with fewer corners")
	}
	var top geoObject
	if err := json.Unmarshal(raw, &top); err != nil {
		return nil, errors.New("this is not GeoJSON: " + err.Error())
	}
	features := top.Features
	switch top.Type {
	case "FeatureCollection":
	case "Feature":
		features = []geoObject{top}
	default:
		return nil, errors.New("it is a " + strconv.Quote(top.Type) + ": want a FeatureCollection, or one Feature, with the name of each zone in its properties")
	}
	if n := len(features); n == 0 || n > maxZones {
		return nil, errors.New("it has " + strconv.Itoa(n) + " features: want 1 to " + strconv.Itoa(maxZones) + ", or remove geofence from the configuration")
	}
	z, corners := &Zones{}, 0
	for i := range features {
		one := zone{name: word(features[i].Properties.Name)}
		if one.name == "" {
			one.name = word(features[i].ID)
		}
		wrong := one.take(&features[i], &corners)
		for _, other := range z.list {
			if other.name == one.name {
				wrong = "another feature has the same name: give each zone its own"
			}
		}
		if wrong != "" {
			return nil, errors.New("feature " + strconv.Itoa(i+1) + " (" + strconv.Quote(one.name) + "): " + wrong)
		}
		z.list = append(z.list, one)
	}
	z.seen = make([]sighting, len(z.list))
	return z, nil
}

// take reads the polygons of a feature. It returns what is wrong with them, or "".
func (z *zone) take(f *geoObject, total *int) (wrong string) {
	if n := len(z.name); n == 0 || n > maxZoneName {
		z.name = z.name[:min(n, maxZoneName)]
		return `its name is empty or has more than 64 bytes: give it one, "properties": {"name": "…"}`
	}
	g := f.Geometry
	if g == nil {
		g = &geoObject{}
	}
	var all [][][][]float64
	var err error
	switch g.Type {
	case "Polygon":
		all = make([][][][]float64, 1)
		err = json.Unmarshal(g.Coordinates, &all[0])
	case "MultiPolygon":
		err = json.Unmarshal(g.Coordinates, &all)
	default:
		return "its geometry is a " + strconv.Quote(g.Type) + ": a zone is a Polygon or a MultiPolygon"
	}
	if err != nil || len(all) == 0 {
		return "its coordinates are not those of a " + g.Type + ": draw it again"
	}
	for _, rings := range all {
		p := polygon{south: math.Inf(1), west: math.Inf(1), north: math.Inf(-1), east: math.Inf(-1)}
		if len(rings) == 0 {
			return "a polygon has no ring: draw it again"
		}
		for _, corners := range rings {
			if *total += len(corners); *total > maxCorners {
				return "the zones up to here have more than 50,000 corners: draw them with fewer"
			}
			if wrong = p.ring(corners); wrong != "" {
				return wrong
			}
		}
		z.polygons = append(z.polygons, p)
	}
	return ""
}

// word returns a JSON string or number as text, else "".
func word(raw json.RawMessage) (s string) {
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// ring adds an outline or a hole. It returns what is wrong with it, or "".
func (p *polygon) ring(corners [][]float64) (wrong string) {
	n := len(corners)
	if n < 4 {
		return "a ring has fewer than four corners, the last one equal to the first"
	}
	r := make([]corner, n)
	for i, c := range corners {
		if len(c) < 2 || !(math.Abs(c[1]) <= 90) || !(math.Abs(c[0]) <= 180) {
			return "corner " + strconv.Itoa(i+1) + " of a ring is nowhere on Earth: GeoJSON has [longitude, latitude], the longitude first (-180 to 180)"
		}
		r[i] = corner{lon: c[0], lat: c[1]}
		if i > 0 && math.Abs(r[i].lon-r[i-1].lon) > 180 {
			return "the edge to corner " + strconv.Itoa(i+1) + " of a ring crosses the antimeridian: cut the zone into a MultiPolygon at 180 and -180 (RFC 7946, 3.1.9)"
		}
		p.south, p.north = min(p.south, c[1]), max(p.north, c[1])
		p.west, p.east = min(p.west, c[0]), max(p.east, c[0])
	}
	if r[0] != r[n-1] {
		return "a ring is not closed: its last corner has to be the first one again"
	}
	p.rings = append(p.rings, r)
	return ""
}
