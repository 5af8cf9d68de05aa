package gps

import (
	"math"
	"time"

	"obu/telemetry"
)

// modeAges is for how many epochs a mode said by GSA is used after it: many
// receivers send GSA every fifth epoch.
const modeAges = 10

// oldestTime is the year before which no receiver's time is believed: before
// its first fix a receiver may show 1980, after a week rollover 1999.
const oldestTime = 2000

// fix draws the conclusion of an epoch.
//
// Valid needs every sentence that makes a claim to say there is a fix, and a
// position, and all of them the same. Where they disagree the position is delivered, not Valid, with
// DoubtModeMismatch. Without a claim of a fix there is no position: what a
// receiver repeats from before is not one.
func (m *merger) fix(e *epoch) telemetry.Fix {
	f := telemetry.NoFix()
	f.At = e.at
	m.utc(&f, e)
	f.HDOP, f.VDOP, f.PDOP = e.hdop, e.vdop, e.pdop
	known(&f.HDOP, e.gsaHDOP)
	f.Sats = e.sats
	if f.Sats < 0 {
		f.Sats = e.gsaSats
		if n := m.detail.sky.solution(); n > 0 {
			f.Sats = min(f.Sats, n) // lists may have been repeated
		}
	}
	if !e.fix {
		m.modeAge, m.flat = modeAges, modeAges
		if e.gsaFix && e.void {
			f.Doubt |= telemetry.DoubtModeMismatch
		}
		return f
	}
	f.Quality = 1 // a fix of unknown kind
	if e.quality > 0 {
		f.Quality = uint8(e.quality)
	}
	f.Mode = m.modeOf(e)
	f.SpeedMPS, f.CourseDeg, f.AltM, f.GeoidM = e.speed, e.course, e.alt, e.geoid
	f.Valid = e.hasPos
	if e.void || e.gsaVoid && !e.gsaFix || !e.hasPos && !e.badPos || e.apart || m.fromNothing(e) {
		f.Doubt |= telemetry.DoubtModeMismatch
		f.Valid = false
	}
	if e.badPos {
		f.Doubt |= telemetry.DoubtRange
	}
	if e.estimated {
		f.Doubt |= telemetry.DoubtEstimated
	}
	if !e.hasPos {
		f.Mode = telemetry.ModeNone
		return f
	}
	grid := int64(wireGrid)
	if m.fine || f.Quality == 4 || f.Quality == 5 {
		grid = fineGrid
	}
	f.LatDeg, f.LonDeg = e.lat.degrees(grid), e.lon.degrees(grid)
	if f.LatDeg == 0 && f.LonDeg == 0 {
		f.Doubt |= telemetry.DoubtZeroIsland
	}
	return f
}

// fromNothing reports a fix that claims to come from fewer satellites than any
// can, with no GSA of late that knows of more.
func (m *merger) fromNothing(e *epoch) bool {
	return e.sats >= 0 && e.sats < 3 && !e.estimated && (m.modeAge >= modeAges || m.mode == telemetry.ModeNone)
}

// modeOf returns 3D when GGA or GNS give an altitude from four satellites: some
// modems' GSA says 2D for ever, and gpsd does not believe it either. With fewer
// it is what GSA says, in this epoch or one of the last few; without GSA 3D as
// long as there are altitudes.
func (m *merger) modeOf(e *epoch) telemetry.Mode {
	m.flat++
	m.modeAge++
	if e.mode != telemetry.ModeNone {
		m.mode, m.modeAge = e.mode, 0
	}
	switch {
	case !math.IsNaN(e.alt) && e.sats >= 4:
		m.flat = 0
		return telemetry.Mode3D
	case m.modeAge < modeAges && m.mode != telemetry.ModeNone:
		return m.mode
	case !math.IsNaN(e.alt) && e.sats != 0 || e.sats < 0 && m.flat < modeAges:
		return telemetry.Mode3D
	}
	return telemetry.Mode2D
}

// utc sets the time of the epoch: its own date, or the last one known, moved
// over midnight. A receiver that never tells the date has no UTC.
func (m *merger) utc(f *telemetry.Fix, e *epoch) {
	if e.badTime {
		f.Doubt |= telemetry.DoubtTime
		return
	}
	if e.tod < 0 {
		return
	}
	day := e.day
	const half, whole = 12 * time.Hour, 24 * time.Hour
	switch {
	case day.IsZero() && m.day.IsZero():
		return
	case day.IsZero():
		if e.at.Sub(m.dayAt) > half {
			m.day = time.Time{} // too long ago to know how many midnights passed
			return
		}
		day = m.day
		switch {
		case m.dayTod-e.tod > half:
			day = day.Add(whole)
		case e.tod-m.dayTod > half: // its clock went back a little
			day = day.Add(-whole)
		}
	case e.zdaTod >= 0 && e.tod-e.zdaTod > half: // ZDA came after midnight
		day = day.Add(-whole)
	case e.zdaTod >= 0 && e.zdaTod-e.tod > half:
		day = day.Add(whole)
	}
	m.day, m.dayTod, m.dayAt = day, e.tod, e.at
	f.UTC = day.Add(e.tod)
	if y := f.UTC.Year(); y < oldestTime || y >= noSuchYear {
		f.Doubt |= telemetry.DoubtTime
	}
}
