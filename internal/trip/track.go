package trip

import (
	"math"
	"time"

	"obu/telemetry"
)

// Tolerance is how closely the fixes that are kept follow those that came.
type Tolerance struct {
	ErrorM    float64       // largest distance of a dropped position
	TimeError time.Duration // largest difference between a dropped fix's time and that at which the line is so near
	Time      time.Duration // longest time between two that are kept, while more come
	SpeedMPS  float64       // largest difference of a dropped speed; 0: any
	CourseDeg float64       // largest difference of a dropped course; 0: any
	Detail    Detail        // what is left of those that are kept
}

// maxFollowed bounds the fixes that wait in a Track: a minute at 20 Hz, 300 kB.
const maxFollowed = 1200

// Track reduces fixes. Of those without doubt it passes on so few that each one
// dropped was, at its own time, no further than ErrorM from the straight line
// between its neighbours that were kept: latitude and longitude, linear in the
// UTC of the receiver, or in At where it says none (the synchronised Euclidean
// distance, on the WGS-84 ellipsoid). With a TimeError it was so near at a time
// that differs from its own by no more. What is doubtful is passed on, of what has
// no position the first and the last of a run and one each Time. A fix waits for
// at most Time, and until Flush.
//
// Each new fix is tried as the end of the line that begins with the last one
// kept, against all between. So what is kept last always holds, and nothing is
// proved later. Less Detail makes what is kept a corner of the line instead of a
// fix that came, see Detail; the line as passed on holds for all that came.
type Track struct {
	tol  Tolerance
	grid grid
	emit func(telemetry.Fix)

	first telemetry.Fix   // the last one passed on
	began bool            // there is a first
	held  []telemetry.Fix // those behind it
	end   telemetry.Fix   // of the last one held; a line to it holds for all
}

// NewTrack returns a Track that passes on what is to be kept.
func NewTrack(tol Tolerance, emit func(telemetry.Fix)) *Track {
	return &Track{tol: tol, grid: newGrid(tol.ErrorM), emit: emit}
}

// Add takes the next fix of the receiver.
func (t *Track) Add(f telemetry.Fix) {
	f.Detail = nil // it does not travel, and would be kept alive
	goesOn := t.began && f.Doubt == 0 && t.alike(&f)
	switch {
	case !t.began || t.tol.Detail == Full:
	case f.Doubt != 0: // left whole, but behind corners that came a little earlier than their time
		f.At = max(f.At, t.next())
	case !t.countOn(&f):
		goesOn = false
	}
	if !goesOn {
		t.start(f)
		return
	}
	end, ok := f, false
	if t.after(&f) <= t.tol.Time && len(t.held) < maxFollowed {
		end, ok = t.ending(&f)
	}
	if !ok {
		if len(t.held) == 0 {
			t.start(f)
			return
		}
		t.Flush()
		if end, ok = t.ending(&f); !ok || t.after(&f) > t.tol.Time {
			t.start(f)
			return
		}
	}
	t.held, t.end = append(t.held, f), end
}

// expireAfter is how much longer than Time the next fix is waited for: it is the
// end of a line, and comes a while after its moment.
const expireAfter = 2 * time.Second

// Expire passes on what waited as long as it may when no fix comes any more.
func (t *Track) Expire(now telemetry.At) {
	if now.Sub(t.first.At) > t.tol.Time+expireAfter {
		t.Flush()
	}
}

// Since is when the oldest of the fixes came that wait, or at.
func (t *Track) Since(at telemetry.At) telemetry.At {
	if len(t.held) > 0 {
		return t.held[0].At
	}
	return at
}

// Flush passes on what waits: the last fix that came.
func (t *Track) Flush() {
	if len(t.held) > 0 {
		t.held = t.held[:0]
		t.pass(t.end)
	}
}

// start ends the line and begins one with f.
func (t *Track) start(f telemetry.Fix) {
	t.Flush()
	if t.tol.Detail != Full && f.Doubt == 0 && located(&f) {
		t.grid.round(&f)
	}
	t.pass(f)
}

func (t *Track) pass(f telemetry.Fix) {
	t.first, t.began = f, true
	t.emit(t.tol.Detail.of(f))
}

// ending returns where a line that ends with f holds for all that wait.
func (t *Track) ending(f *telemetry.Fix) (telemetry.Fix, bool) {
	if t.tol.Detail == Full || !located(f) {
		return *f, t.fits(f)
	}
	for _, c := range t.grid.around(f) {
		end := *f
		end.LatDeg, end.LonDeg = c.place()
		if t.fits(&end) {
			return end, true
		}
	}
	return *f, false
}

// alike reports whether f can go on with the line of those before it.
func (t *Track) alike(f *telemetry.Fix) bool {
	p := &t.first
	if n := len(t.held); n > 0 {
		p = &t.held[n-1]
	}
	return p.Doubt == 0 && p.Valid == f.Valid && p.Receiver == f.Receiver && p.UTC.IsZero() == f.UTC.IsZero() &&
		(!f.Valid || located(f)) && between(p, f) > 0
}

// located reports whether there is a position.
func located(f *telemetry.Fix) bool { return f.Valid && !math.IsNaN(f.LatDeg) && !math.IsNaN(f.LonDeg) }

// between is the time from a to b, by the clock that both name.
func between(a, b *telemetry.Fix) time.Duration {
	if a.UTC.IsZero() || b.UTC.IsZero() {
		return b.At.Round().Sub(a.At.Round())
	}
	return b.UTC.Sub(a.UTC)
}

// after is the time from the last one kept, by either clock.
func (t *Track) after(f *telemetry.Fix) time.Duration {
	return max(between(&t.first, f), f.At.Sub(t.first.At))
}

// fits reports whether the line to end holds for all that wait.
func (t *Track) fits(end *telemetry.Fix) bool {
	a := &t.first
	if !a.Valid {
		return true
	}
	span := float64(between(a, end))
	for i := range t.held {
		f := &t.held[i]
		part := float64(between(a, f)) / span
		if late := float64(t.tol.TimeError) / span; nearLineM(a, end, f, max(0, part-late), min(1, part+late)) > t.tol.ErrorM {
			return false
		}
		if s := t.tol.SpeedMPS; s > 0 && off(f.SpeedMPS, a.SpeedMPS+part*(end.SpeedMPS-a.SpeedMPS), s) {
			return false
		}
		if c := t.tol.CourseDeg; c > 0 && off(math.Remainder(f.CourseDeg-a.CourseDeg, 360), part*math.Remainder(end.CourseDeg-a.CourseDeg, 360), c) {
			return false
		}
	}
	return true
}

// nearLineM is at most 1 % more than how near to f the line from a to b comes,
// between two of its parts from 0 to 1.
func nearLineM(a, b, f *telemetry.Fix, from, to float64) float64 {
	dLat, dLon := b.LatDeg-a.LatDeg, math.Remainder(b.LonDeg-a.LonDeg, 360)
	part := from
	if from < to {
		// the nearest place need not be exact: the distance holds for the one taken
		cos := math.Cos(f.LatDeg * math.Pi / 180)
		x, y := dLon*cos, dLat
		if long := x*x + y*y; long > 0 {
			part = (math.Remainder(f.LonDeg-a.LonDeg, 360)*cos*x + (f.LatDeg-a.LatDeg)*y) / long
		}
		part = max(from, min(part, to))
	}
	return atMostM(f.LatDeg, f.LonDeg, a.LatDeg+part*dLat, a.LonDeg+part*dLon)
}

// off reports whether a known value is not within limit of the line; a line that
// ends in the unknown says nothing of it.
func off(v, line, limit float64) bool {
	return !math.IsNaN(v) && !(math.Abs(v-line) <= limit)
}

// degreeM is the length of a degree at the poles, where it is longest.
const degreeM = 111_694

// atMostM is the distance of two near places in metres, or up to 1 % more.
func atMostM(lat, lon, lat2, lon2 float64) float64 {
	dLat, dLon := lat2-lat, math.Remainder(lon2-lon, 360)
	cos := math.Cos(min(math.Abs(lat), math.Abs(lat2)) * math.Pi / 180)
	return degreeM * math.Hypot(dLat, dLon*cos)
}
