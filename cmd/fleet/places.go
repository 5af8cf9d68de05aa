package main

import (
	"math"
	"slices"
	"time"

	"obu/internal/virtual"
	"obu/telemetry"
)

// Positions and their companions are compared to half a last digit of what
// NMEA prints, speeds after conversion from knots.
const (
	degTolerance   = 1.01e-7
	altTolerance   = 0.051
	speedTolerance = 0.006
	angleTolerance = 0.006
)

// positions compares the fixes by the receiver's own time.
func (a *account) positions(e emission, in *intake) (missing []lost) {
	type key struct{ nanos int64 }
	want := e.Journal.Positions()
	a.Emitted += len(want)
	open := make(map[key][]int, len(want))
	for i, p := range want {
		open[key{p.UTC.UnixNano()}] = append(open[key{p.UTC.UnixNano()}], i)
	}
	came := make([]bool, len(want))
	for _, g := range in.fixes {
		k := key{g.fix.UTC.UnixNano()}
		at := slices.IndexFunc(open[k], func(i int) bool { return samePlace(want[i], g.fix) })
		if at < 0 {
			a.Strange++
			a.problems.add("strange: fix of %s at %.7f %.7f was never emitted", g.fix.UTC.Format(time.RFC3339Nano), g.fix.LatDeg, g.fix.LonDeg)
			continue
		}
		i := open[k][at]
		open[k] = slices.Delete(open[k], at, at+1)
		came[i] = true
		a.Received++
		if e.Live {
			a.latency.observe(g.recv - e.Zero - time.Duration(want[i].At))
		}
	}
	for i, ok := range came {
		if !ok {
			missing = append(missing, lost{want[i].At, "fix of " + want[i].UTC.Format(time.RFC3339Nano)})
		}
	}
	return missing
}

// samePlace reports whether a fix says what the receiver wrote.
func samePlace(p virtual.Position, f telemetry.Fix) bool {
	if p.Valid != f.Valid {
		return false
	}
	near := func(a, b, tolerance float64) bool {
		return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= tolerance
	}
	if !p.Valid {
		return true
	}
	return near(p.LatDeg, f.LatDeg, degTolerance) && near(p.LonDeg, f.LonDeg, degTolerance) &&
		near(p.AltM, f.AltM, altTolerance) && near(p.SpeedMPS, f.SpeedMPS, speedTolerance) &&
		near(p.CourseDeg, f.CourseDeg, angleTolerance) && near(p.HDOP, f.HDOP, angleTolerance) &&
		(p.Sats < 0 || p.Sats == f.Sats)
}
