package trip_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// reduce returns the fixes of which a track with that tolerance keeps the line.
func reduce(fixes []telemetry.Fix, tol trip.Tolerance) []telemetry.Fix {
	var kept []telemetry.Fix
	t := trip.NewTrack(tol, func(f telemetry.Fix) { kept = append(kept, f) })
	for _, f := range fixes {
		t.Add(f)
	}
	t.Flush()
	return kept
}

// vincentyM is the distance of two places on the WGS-84 ellipsoid (Vincenty's
// inverse formula).
func vincentyM(lat1, lon1, lat2, lon2 float64) float64 {
	const a, f = 6378137.0, 1 / 298.257223563
	const b = a * (1 - f)
	rad := math.Pi / 180
	l := math.Remainder(lon2-lon1, 360) * rad
	u1, u2 := math.Atan((1-f)*math.Tan(lat1*rad)), math.Atan((1-f)*math.Tan(lat2*rad))
	s1, c1 := math.Sincos(u1)
	s2, c2 := math.Sincos(u2)
	lam := l
	var sinS, cosS, sigma, cos2A, cos2M float64
	for range 50 {
		sl, cl := math.Sincos(lam)
		sinS = math.Hypot(c2*sl, c1*s2-s1*c2*cl)
		if sinS == 0 {
			return 0
		}
		cosS = s1*s2 + c1*c2*cl
		sigma = math.Atan2(sinS, cosS)
		sinA := c1 * c2 * sl / sinS
		cos2A = 1 - sinA*sinA
		cos2M = 0
		if cos2A > 1e-12 {
			cos2M = cosS - 2*s1*s2/cos2A
		}
		c := f / 16 * cos2A * (4 + f*(4-3*cos2A))
		next := l + (1-c)*f*sinA*(sigma+c*sinS*(cos2M+c*cosS*(2*cos2M*cos2M-1)))
		if math.Abs(next-lam) < 1e-14 {
			break
		}
		lam = next
	}
	uu := cos2A * (a*a - b*b) / (b * b)
	aa := 1 + uu/16384*(4096+uu*(-768+uu*(320-175*uu)))
	bb := uu / 1024 * (256 + uu*(-128+uu*(74-47*uu)))
	d := bb * sinS * (cos2M + bb/4*(cosS*(2*cos2M*cos2M-1)-bb/6*cos2M*(4*sinS*sinS-3)*(4*cos2M*cos2M-3)))
	return b * aa * (sigma - d)
}

// dropped is what the guarantee is about.
type dropped struct {
	n              int
	m, mps, degree float64       // furthest of all
	apart          time.Duration // longest between two kept that had one dropped between
}

// own is the time from a to b by the clock of both.
func own(a, b *telemetry.Fix) float64 {
	if a.UTC.IsZero() || b.UTC.IsZero() {
		return float64(b.At - a.At)
	}
	return float64(b.UTC.Sub(a.UTC))
}

// nearM is how near to f the line from a to b is at a time that differs from f's
// by late or less: the least over the part of the line that can be, which is a
// distance from a segment and so has one minimum.
func nearM(a, b, f *telemetry.Fix, late time.Duration) float64 {
	at := func(part float64) float64 {
		return vincentyM(f.LatDeg, f.LonDeg, a.LatDeg+part*(b.LatDeg-a.LatDeg), a.LonDeg+part*math.Remainder(b.LonDeg-a.LonDeg, 360))
	}
	part, span := own(a, f)/own(a, b), own(a, b)
	lo, hi := max(0, part-float64(late)/span), min(1, part+float64(late)/span)
	for range 60 {
		if hi-lo < 1e-4 {
			break
		}
		l, h := lo+(hi-lo)/3, hi-(hi-lo)/3
		if at(l) < at(h) {
			hi = h
		} else {
			lo = l
		}
	}
	return min(at(lo), at((lo+hi)/2), at(hi))
}

// measure compares each fix that was dropped with the line between those that
// were kept, at its own time or at one that differs by late or less.
func measure(t *testing.T, fixes, kept []telemetry.Fix, late time.Duration) (d dropped) {
	t.Helper()
	k := -1
	for i := range fixes {
		f := &fixes[i]
		if k+1 < len(kept) && kept[k+1].Equal(*f) {
			k++
			continue
		}
		if k < 0 || k+1 >= len(kept) {
			t.Fatalf("fix %d of %d at %v lies outside of what was kept", i, len(fixes), f.At)
		}
		d.n++
		a, b := &kept[k], &kept[k+1]
		if f.Doubt != 0 || a.Valid != f.Valid || b.Valid != f.Valid {
			t.Fatalf("fix %d (valid %v, doubt %v) was dropped between valid %v and %v", i, f.Valid, f.Doubt, a.Valid, b.Valid)
		}
		d.apart = max(d.apart, b.At.Sub(a.At))
		if !f.Valid {
			continue
		}
		part := own(a, f) / own(a, b)
		d.m = max(d.m, nearM(a, b, f, late))
		d.mps = max(d.mps, math.Abs(f.SpeedMPS-a.SpeedMPS-part*(b.SpeedMPS-a.SpeedMPS)))
		d.degree = max(d.degree, math.Abs(math.Remainder(f.CourseDeg-a.CourseDeg, 360)-part*math.Remainder(b.CourseDeg-a.CourseDeg, 360)))
	}
	if k+1 != len(kept) {
		t.Fatalf("%d of %d kept fixes are none of those that came, in their order", len(kept)-k-1, len(kept))
	}
	return d
}

// wander makes a track as it may come: turns, stops, holes, jitter, doubts, with
// or without UTC, on all latitudes and over the antimeridian.
func wander(r *rand.Rand) []telemetry.Fix {
	lat, lon := r.Float64()*176-88, r.Float64()*360-180
	if r.IntN(4) == 0 {
		lon = 179.999
	}
	speed, course := 0.0, r.Float64()*360
	utc, at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), telemetry.At(5e9)
	dated, every := r.IntN(3) > 0, time.Duration(1+r.IntN(20))*100*time.Millisecond
	var out []telemetry.Fix
	for range 100 + r.IntN(400) {
		dt := every
		if r.IntN(60) == 0 {
			dt *= time.Duration(1 + r.IntN(100))
		}
		speed = max(0, min(60, speed+r.NormFloat64()*2))
		course = math.Mod(course+r.NormFloat64()*8+360, 360)
		sin, cos := math.Sincos(course * math.Pi / 180)
		lat += speed * dt.Seconds() * cos / 111_000
		lon = math.Remainder(lon+speed*dt.Seconds()*sin/111_000/math.Cos(lat*math.Pi/180), 360)
		utc, at = utc.Add(dt), at.Add(dt)
		f := telemetry.NoFix()
		f.At, f.Receiver = at.Add(time.Duration(r.IntN(50))*time.Millisecond), "gps"
		if dated {
			f.UTC = utc
		}
		if r.IntN(50) > 0 {
			f.Valid, f.Mode = true, telemetry.Mode3D
			f.LatDeg, f.LonDeg, f.SpeedMPS, f.CourseDeg = math.Round(lat*1e7)/1e7, math.Round(lon*1e7)/1e7, speed, course
		}
		if r.IntN(80) == 0 {
			f.Doubt = telemetry.DoubtJump
		}
		out = append(out, f)
	}
	return out
}

// TestTrackHoldsItsTolerance: no fix is dropped that was further off than the
// tolerance at its own time, give or take the tolerance of time, in place, speed,
// course and time, on 400 tracks of every kind; the first and the last one are
// kept, and something is dropped.
func TestTrackHoldsItsTolerance(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	total := 0
	for i := range 400 {
		tol := trip.Tolerance{ErrorM: 1 + r.Float64()*20, Time: time.Duration(5+r.IntN(100)) * time.Second}
		if r.IntN(2) == 0 {
			tol.SpeedMPS, tol.CourseDeg = 1+r.Float64()*5, 5+r.Float64()*40
		}
		if r.IntN(2) == 0 {
			tol.TimeError = time.Duration(100+r.IntN(3000)) * time.Millisecond
		}
		fixes := wander(r)
		kept := reduce(fixes, tol)
		d := measure(t, fixes, kept, tol.TimeError)
		total += d.n
		if d.m > tol.ErrorM || d.apart > tol.Time {
			t.Errorf("track %d, %+v: %.3f m, %v apart", i, tol, d.m, d.apart)
		}
		if tol.SpeedMPS > 0 && (d.mps > tol.SpeedMPS+1e-9 || d.degree > tol.CourseDeg+1e-9) {
			t.Errorf("track %d, %+v: %.3f m/s, %.3f°", i, tol, d.mps, d.degree)
		}
		if !kept[0].Equal(fixes[0]) || !kept[len(kept)-1].Equal(fixes[len(fixes)-1]) {
			t.Errorf("track %d: the ends are not kept", i)
		}
	}
	if total < 20_000 {
		t.Errorf("only %d fixes were dropped: the test shows little", total)
	}
}

// TestTrackTimeError: a car that brakes to a stand on a straight road and starts
// again. Without a tolerance of time its changes of speed are kept; with one the
// line is as near, less than that early or late, and needs fewer.
func TestTrackTimeError(t *testing.T) {
	var fixes []telemetry.Fix
	metres := 0.0
	for s := range 120 {
		f := telemetry.NoFix()
		f.At, f.Valid, f.LatDeg, f.LonDeg = telemetry.At(s)*1e9, true, 50+metres/111_000, 8
		fixes = append(fixes, f)
		metres += 20 - 5*math.Sin(float64(s)/8)
	}
	strict := reduce(fixes, trip.Tolerance{ErrorM: 3, Time: time.Hour})
	loose := reduce(fixes, trip.Tolerance{ErrorM: 3, Time: time.Hour, TimeError: time.Second})
	if 2*len(loose) > len(strict) {
		t.Errorf("kept %d fixes, and %d with a second's tolerance: want half of them at most", len(strict), len(loose))
	}
	if d := measure(t, fixes, loose, time.Second); d.m > 3 {
		t.Errorf("%.2f m off within a second", d.m)
	}
	if d := measure(t, fixes, loose, 0); d.m < 3 {
		t.Errorf("%.2f m off at their own time: the tolerance of time was not used", d.m)
	}
}

// TestTrackKeepsDoubtfulFixes: what is doubtful is passed on, each, and no line
// is drawn over it.
func TestTrackKeepsDoubtfulFixes(t *testing.T) {
	var fixes []telemetry.Fix
	for i := range 30 {
		f := telemetry.NoFix()
		f.At, f.Valid, f.LatDeg, f.LonDeg = telemetry.At(i)*1e9, true, 50+float64(i)*1e-4, 8
		if i >= 10 && i < 13 {
			f.Doubt = telemetry.DoubtFrozen
		}
		fixes = append(fixes, f)
	}
	var at []int
	for _, f := range reduce(fixes, trip.Tolerance{ErrorM: 3, Time: time.Minute}) {
		at = append(at, int(f.At/1e9))
	}
	if want := []int{0, 9, 10, 11, 12, 13, 29}; !slices.Equal(at, want) {
		t.Errorf("kept %v, want %v", at, want)
	}
}
