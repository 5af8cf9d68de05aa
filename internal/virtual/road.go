package virtual

import "math"

// roadPoints is how finely a road is drawn: 512 points on 4-12 km leave
// chords of 8-25 m, below the scatter of a receiver.
const roadPoints = 512

// Road is a closed road: a smooth loop around a centre, with a speed limit
// that follows its curves and a few places where cars must stop.
type Road struct {
	LatDeg, LonDeg float64 // centre, WGS-84
	AltM           float64 // mean height above sea level
	LengthM        float64

	x, y   [roadPoints + 1]float64 // metres east and north of the centre; last = first
	s      [roadPoints + 1]float64 // metres along the road
	limit  [roadPoints]float64     // m/s
	stops  []float64               // metres along the road, rising
	mPerLa float64                 // metres per degree of latitude at the centre
	mPerLo float64                 // metres per degree of longitude at the centre
}

// NewRoad draws the road that belongs to a seed.
func NewRoad(seed uint64) *Road {
	r := rng(seed ^ 0x726f6164)
	road := &Road{LatDeg: r.between(47.5, 54.0), LonDeg: r.between(7.0, 14.0), AltM: r.between(30, 500)}
	road.mPerLa, road.mPerLo = metresPerDegree(road.LatDeg)

	radius := r.between(600, 1800)
	var amp, phase [4]float64
	for k := range amp {
		amp[k] = r.between(0, 0.22) / float64(k+1)
		phase[k] = r.between(0, 2*math.Pi)
	}
	for i := range road.x {
		a := 2 * math.Pi * float64(i%roadPoints) / roadPoints
		d := radius
		for k := range amp {
			d += radius * amp[k] * math.Sin(float64(k+2)*a+phase[k])
		}
		road.x[i], road.y[i] = 1.3*d*math.Cos(a), d*math.Sin(a)
		if i > 0 {
			road.s[i] = road.s[i-1] + math.Hypot(road.x[i]-road.x[i-1], road.y[i]-road.y[i-1])
		}
	}
	road.LengthM = road.s[roadPoints]
	road.post(&r)
	return road
}

// post sets the speed limits and the stops.
func (road *Road) post(r *rng) {
	const lateral = 2.2 // m/s², what passengers put up with
	signs := [...]float64{30 / 3.6, 50 / 3.6, 50 / 3.6, 70 / 3.6, 100 / 3.6}
	sign := signs[1]
	for i := range road.limit {
		if i%64 == 0 {
			sign = signs[r.next()%uint64(len(signs))]
		}
		turn := math.Abs(angleBetween(road.heading(i), road.heading((i+1)%roadPoints)))
		limit := sign
		if turn > 1e-6 {
			curve := math.Sqrt(lateral * (road.s[i+1] - road.s[i]) / turn)
			limit = math.Min(limit, math.Max(curve, 4))
		}
		road.limit[i] = limit
	}
	for at := r.between(250, 500); at < road.LengthM-100; at += r.between(400, 1500) {
		road.stops = append(road.stops, at)
	}
}

// metresPerDegree returns the lengths of a degree of latitude and longitude
// on the WGS-84 ellipsoid.
func metresPerDegree(latDeg float64) (lat, lon float64) {
	const a, f = 6378137.0, 1 / 298.257223563
	const e2 = f * (2 - f)
	sin, cos := math.Sincos(latDeg * math.Pi / 180)
	w := 1 - e2*sin*sin
	return math.Pi / 180 * a * (1 - e2) / (w * math.Sqrt(w)), math.Pi / 180 * a * cos / math.Sqrt(w)
}

// heading is the course of chord i in radians, clockwise from north.
func (road *Road) heading(i int) float64 {
	return math.Atan2(road.x[i+1]-road.x[i], road.y[i+1]-road.y[i])
}

func angleBetween(a, b float64) float64 { return math.Remainder(b-a, 2*math.Pi) }

// chord returns the index of the chord on which s lies.
func (road *Road) chord(s float64) int {
	lo, hi := 0, roadPoints
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; road.s[mid] <= s {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// place returns where a car is that has driven distance metres since the
// start, and its course in degrees.
func (road *Road) place(distance float64) (latDeg, lonDeg, altM, courseDeg float64) {
	s := math.Mod(distance, road.LengthM)
	i := road.chord(s)
	part := (s - road.s[i]) / (road.s[i+1] - road.s[i])
	x := road.x[i] + part*(road.x[i+1]-road.x[i])
	y := road.y[i] + part*(road.y[i+1]-road.y[i])
	h, next := road.heading(i), road.heading((i+1)%roadPoints)
	courseDeg = math.Mod((h+part*angleBetween(h, next))*180/math.Pi+720, 360)
	altM = road.AltM + 12*math.Sin(2*math.Pi*s/road.LengthM) + 3*math.Sin(14*math.Pi*s/road.LengthM)
	return road.LatDeg + y/road.mPerLa, road.LonDeg + x/road.mPerLo, altM, courseDeg
}

// limitAt returns the speed limit in m/s at a distance since the start.
func (road *Road) limitAt(distance float64) float64 {
	return road.limit[road.chord(math.Mod(distance, road.LengthM))]
}

// nextStop returns the distance since the start of the first stop after it.
func (road *Road) nextStop(distance float64) float64 {
	lap := math.Floor(distance/road.LengthM) * road.LengthM
	for _, at := range road.stops {
		if lap+at > distance {
			return lap + at
		}
	}
	return lap + road.LengthM + road.stops[0]
}
