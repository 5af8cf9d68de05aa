package trip

import (
	"math"

	"obu/telemetry"
)

// A zone counts as entered by two fixes inside, and as left by two that are
// further outside than a receiver scatters under houses.
const (
	zoneFixes  = 2
	zoneLeaveM = 15
)

// Zones are the areas whose entering and leaving is told, and where the car was
// seen with regard to each. They belong to one Watch.
type Zones struct {
	list []zone
	seen []sighting
}

// sighting is what is known of the car and a zone.
type sighting struct {
	inside bool
	runs   int // fixes in a row that say otherwise
}

type zone struct {
	name     string
	polygons []polygon
}

type polygon struct {
	south, west, north, east float64
	rings                    [][]corner // the first is the outline, the others are holes
}

type corner struct{ lon, lat float64 }

// Len returns how many zones there are.
func (z *Zones) Len() int { return len(z.list) }

// Inside returns the names of the zones that hold the place.
func (z *Zones) Inside(lat, lon float64) (names []string) {
	for i := range z.list {
		if z.list[i].near(lat, lon, 0) {
			names = append(names, z.list[i].name)
		}
	}
	return names
}

// note takes a good fix and calls told for each zone entered or left.
func (z *Zones) note(f *telemetry.Fix, told func(name string, entered bool)) {
	for i := range z.list {
		s, margin := &z.seen[i], 0.0
		if s.inside {
			margin = zoneLeaveM
		}
		if z.list[i].near(f.LatDeg, f.LonDeg, margin) == s.inside {
			s.runs = 0
			continue
		}
		if s.runs++; s.runs >= zoneFixes {
			s.inside, s.runs = !s.inside, 0
			told(z.list[i].name, s.inside)
		}
	}
}

// names returns the zones the car is in.
func (z *Zones) names() (names []string) {
	for i, s := range z.seen {
		if s.inside {
			names = append(names, z.list[i].name)
		}
	}
	return names
}

// resume takes what names said before a restart.
func (z *Zones) resume(names []string) {
	for _, n := range names {
		for i := range z.list {
			if z.list[i].name == n {
				z.seen[i].inside = true
			}
		}
	}
}

// near reports whether a place is in the zone, or up to margin metres beside it.
func (z *zone) near(lat, lon, margin float64) bool {
	perLat, perLon := perDegree(lat)
	for i := range z.polygons {
		p := &z.polygons[i]
		dLat, dLon := margin/perLat, margin/max(perLon, 1)
		if lat < p.south-dLat || lat > p.north+dLat || lon < p.west-dLon || lon > p.east+dLon {
			continue
		}
		if p.holds(lat, lon) || margin > 0 && p.edgeM(lat, lon, perLat, perLon) <= margin {
			return true
		}
	}
	return false
}

// holds reports whether an odd number of edges lies east of the place: in the
// outline, and in no hole.
func (p *polygon) holds(lat, lon float64) (in bool) {
	for _, r := range p.rings {
		for i := 1; i < len(r); i++ {
			a, b := r[i-1], r[i]
			if (a.lat > lat) != (b.lat > lat) && lon < a.lon+(lat-a.lat)/(b.lat-a.lat)*(b.lon-a.lon) {
				in = !in
			}
		}
	}
	return in
}

// edgeM is the distance of the nearest edge.
func (p *polygon) edgeM(lat, lon, perLat, perLon float64) float64 {
	least := math.Inf(1)
	for _, r := range p.rings {
		for i := 1; i < len(r); i++ {
			x, y := (r[i-1].lon-lon)*perLon, (r[i-1].lat-lat)*perLat
			dx, dy := (r[i].lon-lon)*perLon-x, (r[i].lat-lat)*perLat-y
			along := 0.0
			if dd := dx*dx + dy*dy; dd > 0 {
				along = max(0, min(1, -(x*dx+y*dy)/dd))
			}
			least = min(least, math.Hypot(x+along*dx, y+along*dy))
		}
	}
	return least
}

// perDegree is how many metres a degree of latitude and one of longitude have on
// the WGS-84 ellipsoid.
func perDegree(lat float64) (perLat, perLon float64) {
	const a, e2 = 6378137.0, 0.00669437999014
	sin, cos := math.Sincos(lat * math.Pi / 180)
	w := 1 - e2*sin*sin
	n := math.Pi / 180 * a / math.Sqrt(w)
	return n * (1 - e2) / w, n * cos
}
