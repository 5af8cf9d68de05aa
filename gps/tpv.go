package gps

import (
	"math"
	"time"

	"obu/telemetry"
)

// data takes one report of position, satellites or errors.
func (r *reports) data(m *report) {
	switch m.Class {
	case "TPV":
		r.position(m)
	case "SKY":
		r.sky.at = r.at
		for i, v := range [...]*decimal{m.HDOP, m.VDOP, m.PDOP} {
			if r.sky.dops[i] = bounded(v, 0, 1000); r.sky.dops[i] == 0 {
				r.sky.dops[i] = math.NaN()
			}
		}
		if len(m.Satellites) > 0 { // some reports have only the dilutions
			r.satellites(m.Satellites)
		}
	case "GST":
		r.errAt = r.at
		to := accuracyOf(&r.errors)
		for i, v := range [...]*decimal{m.RMS, m.Major, m.Minor, m.Orient, m.Lat, m.Lon, m.Alt} {
			low := 0.0
			if v == m.Orient {
				low = -360
			}
			*to[i] = bounded(v, low, 1e6)
		}
	}
}

// position begins an epoch, or says more of the one that is not complete: gpsd
// reports some epochs several times, each time knowing more.
func (r *reports) position(m *report) {
	f := r.fixOf(m)
	same := f.UTC.Equal(r.fix.UTC) && f.At.Sub(r.fix.At) < repeatedWithin
	switch {
	case r.pending && same:
		f.At = r.fix.At
	case r.pending:
		r.finish()
	}
	if !f.UTC.IsZero() && f.UTC.Equal(r.last.UTC) && f.At.Sub(r.last.At) < repeatedWithin {
		r.source.stats.Late++
		return
	}
	r.fix, r.skyFix, r.pending = f, r.sky, true
}

// fixOf is what a TPV report says, by itself.
func (r *reports) fixOf(m *report) telemetry.Fix {
	f := telemetry.NoFix()
	f.At, f.Receiver = r.at, r.source.cfg.Name
	f.Detail = &telemetry.Detail{ClimbMPS: bounded(m.Climb, -maxClimbMPS, maxClimbMPS), Behind: reportBehind}
	if t, err := time.Parse(time.RFC3339Nano, m.Time); err == nil {
		f.UTC = t.UTC()
	}
	if y := f.UTC.Year(); m.Time != "" && (y < oldestTime || y >= noSuchYear) {
		f.Doubt |= telemetry.DoubtTime
	}
	if m.Mode < gpsd2D {
		return f
	}
	f.Quality = 1
	if m.Status >= 0 && m.Status < len(qualityOf) {
		f.Quality = qualityOf[m.Status]
	}
	if f.Quality >= 6 {
		f.Doubt |= telemetry.DoubtEstimated
	}
	f.SpeedMPS, f.CourseDeg = bounded(m.Speed, 0, 9999), bounded(m.Track, 0, 360)
	lat, lon := bounded(m.Lat, -90, 90), bounded(m.Lon, -180, 180)
	if math.IsNaN(lat) || math.IsNaN(lon) {
		f.Doubt |= telemetry.DoubtModeMismatch
		if m.Lat != nil || m.Lon != nil {
			f.Doubt = f.Doubt&^telemetry.DoubtModeMismatch | telemetry.DoubtRange
		}
		return f
	}
	grid := float64(wireGrid)
	if f.Quality == 4 || f.Quality == 5 {
		grid = fineGrid
	}
	f.LatDeg, f.LonDeg = math.Round(lat*grid)/grid, math.Round(lon*grid)/grid
	if f.LatDeg == 0 && f.LonDeg == 0 {
		f.Doubt |= telemetry.DoubtZeroIsland
	}
	f.Mode, f.Valid = telemetry.Mode2D, true
	if m.Mode > gpsd2D {
		f.Mode = telemetry.Mode3D
		f.AltM = bounded(m.AltMSL, -1e5, 1e5)
		known(&f.AltM, bounded(m.Alt, -1e5, 1e5))
		f.GeoidM = bounded(m.GeoidSep, -1e5, 1e5)
		known(&f.GeoidM, math.Round((bounded(m.AltHAE, -1e5, 1e5)-f.AltM)*1000)/1000)
	}
	return f
}

// finish completes the epoch that waits, if one does.
func (r *reports) finish() {
	if !r.pending {
		return
	}
	r.pending = false
	f := r.fix
	if k := &r.skyFix; f.At.Sub(k.at) <= reportAges {
		f.Detail.Sky = k.sky
		if f.At.Sub(k.at) <= dilutionAges {
			f.HDOP, f.VDOP, f.PDOP, f.Sats = k.dops[0], k.dops[1], k.dops[2], k.sats
		}
	}
	f.Detail.Accuracy = r.errors
	if f.At.Sub(r.errAt) > reportAges {
		for _, v := range accuracyOf(&f.Detail.Accuracy) {
			*v = math.NaN()
		}
	}
	e := newEpoch(f.At)
	e.digits = gpsdDigits
	r.judge.doubt(&f, &e)
	r.last = f
	r.source.stats.fix(&f)
	r.source.cfg.Emit(f)
}

// satellites counts those of a SKY report; one that is heard on several
// frequencies is listed several times.
func (r *reports) satellites(list []satReport) {
	var best heardSats
	var used usedSats
	for i := range list {
		s := &list[i]
		sys, id := s.number()
		if id == 0 {
			continue
		}
		cn0 := uint8(0)
		if s.SS >= 0.5 && s.SS <= 99 {
			cn0 = uint8(s.SS + 0.5)
		}
		best[sys][id] = max(best[sys][id], cn0+1)
		if s.Used {
			used.add(sys, id)
		}
	}
	r.sky.sky = telemetry.Sky{}
	countSky(&r.sky.sky, &best, &used)
	t := r.sky.sky.Total()
	r.sky.sats = int(t.Used)
}

// number returns the system of a satellite and its number within it, 0 when
// there is none.
func (s *satReport) number() (sys telemetry.GNSS, id uint8) {
	if s.GNSS == nil {
		return numbered(s.PRN)
	}
	n := *s.GNSS
	if n < 0 || n >= len(gnssOf) || n == 4 || s.SV < 1 || s.SV > math.MaxUint8 {
		return 0, 0
	}
	return gnssOf[n], uint8(s.SV)
}

// bounded returns what d points to where it lies between low and high, else NaN.
func bounded(d *decimal, low, high float64) float64 {
	if d == nil {
		return math.NaN()
	}
	if v := float64(*d); v >= low && v <= high {
		return v
	}
	return math.NaN()
}
