package gps

import (
	"math"
	"time"

	"obu/telemetry"
)

// maxAddresses bounds the different sentences counted within one epoch. A
// receiver of five constellations sends under twenty.
const maxAddresses = 32

// epoch collects the sentences of one measurement.
type epoch struct {
	_         [0]func()    // never compared: no code for it
	at        telemetry.At // of its first sentence
	open      bool         // has a sentence
	timed     bool         // has RMC, GGA, GLL or GNS: worth a fix
	delivered bool         // its fix is out; what follows is late
	late      bool         // something did
	cut       bool         // it left because the line paused

	seen  [maxAddresses]address
	times [maxAddresses]uint8
	n     int
	last  address // last sentence that added something

	tod     time.Duration // -1 unknown
	badTime bool
	day     time.Time // zero unknown
	zdaTod  time.Duration

	fix, void  bool // some sentence, not GSA, says so
	gsaFix     bool
	gsaVoid    bool
	badPos     bool
	apart      bool // two sentences with a fix show different places
	estimated  bool
	hasPos     bool
	lat, lon   angle
	digits     int
	posBy      claimer // whose position
	voidPos    bool    // a sentence without a fix shows a position
	voidLat    angle
	voidLon    angle
	quality    int     // -1 unknown
	qualityBy  claimer // who said so
	speed      float64
	course     float64
	alt, geoid float64
	hdop       float64
	gsaHDOP    float64 // where no other sentence tells it
	vdop, pdop float64
	sats       int
	satsBy     address // whose sats
	gsaSats    int
	mode       telemetry.Mode
}

func newEpoch(at telemetry.At) epoch {
	nan := math.NaN()
	return epoch{at: at, open: true, tod: -1, zdaTod: -1, quality: -1, sats: -1, gsaSats: -1,
		speed: nan, course: nan, alt: nan, geoid: nan, hdop: nan, gsaHDOP: nan, vdop: nan, pdop: nan}
}

// count notes one more sentence of this address and returns how many there
// are now.
func (e *epoch) count(a address) int {
	for i := range e.seen[:e.n] {
		if e.seen[i] == a {
			if e.times[i] < math.MaxUint8 {
				e.times[i]++
			}
			return int(e.times[i])
		}
	}
	if e.n < maxAddresses {
		e.seen[e.n], e.times[e.n] = a, 1
		e.n++
	}
	return 1
}

// apart reports whether two angles of one epoch differ by more than digits left
// out and rounding explain: a tenth of a minute, 185 m of latitude.
func apart(a, b angle) bool {
	const tenth, circle = nanoPerDegree / 600, 360 * nanoPerDegree
	d := max(a-b, b-a)
	return min(d, circle-d) > tenth
}

// counted returns how many sentences of this address the epoch has.
func (e *epoch) counted(a address) int {
	for i := range e.seen[:e.n] {
		if e.seen[i] == a {
			return int(e.times[i])
		}
	}
	return 0
}

// sameEpoch is how far apart the times of one epoch are at most: some receivers
// print GLL in milliseconds and round it for the others.
const sameEpoch = 9 * time.Millisecond

// belongs reports whether s, which opens epochs, is of this one: the same time
// of day, and the receiver has not said it before. A receiver whose time
// stands still, or has none yet, or prints whole seconds at 5 Hz, repeats
// itself. What knew neither time nor place is not of the epoch of a fix.
func (e *epoch) belongs(s *sentence) bool {
	switch {
	case e.tod >= 0 && s.tod >= 0 && (e.tod-s.tod).Abs() > sameEpoch,
		e.tod < 0 && s.tod >= 0 && e.void && !e.fix && s.says == claimFix:
		return false
	}
	return e.counted(s.addr) == 0
}

// adds reports whether s says something the epoch does not know yet.
func (e *epoch) adds(s *sentence) bool {
	switch s.Type {
	case "ZDA":
		return e.day.IsZero() && !s.day.IsZero()
	case "GLL":
		return !e.hasPos && s.hasPos && s.says == claimFix || e.tod < 0 && s.tod >= 0
	case "VTG":
		return math.IsNaN(e.speed) && !math.IsNaN(s.speed) || math.IsNaN(e.course) && !math.IsNaN(s.course)
	}
	return true
}

// merge adds what s says. Of two sentences with a position, the one with more
// digits wins, then the higher claimer; so order does not matter.
func (e *epoch) merge(s *sentence) {
	e.timed = e.timed || s.timed
	e.badTime = e.badTime || s.badTime
	if s.Type == "ZDA" {
		if e.day.IsZero() {
			e.day, e.zdaTod = s.day, s.tod
		}
		return
	}
	if e.tod < 0 || s.tod >= 0 && s.Type != "GLL" {
		e.tod = s.tod
	}
	if !s.day.IsZero() {
		e.day, e.zdaTod = s.day, -1
	}
	if s.Type == "GSA" {
		e.mergeGSA(s)
		return
	}
	e.fix = e.fix || s.says == claimFix
	e.void = e.void || s.says == claimVoid
	e.estimated = e.estimated || s.estimated
	e.badPos = e.badPos || s.badPos && s.says == claimFix
	by := claimerOf(s.Type)
	e.apart = e.apart || s.hasPos && s.says == claimFix && e.hasPos && (apart(s.lat, e.lat) || apart(s.lon, e.lon))
	if s.hasPos && s.says == claimFix && (!e.hasPos || s.digits > e.digits || s.digits == e.digits && by > e.posBy) {
		e.hasPos, e.lat, e.lon, e.digits, e.posBy = true, s.lat, s.lon, s.digits, by
	}
	if s.hasPos && s.says == claimVoid && !e.voidPos {
		e.voidPos, e.voidLat, e.voidLon = true, s.lat, s.lon
	}
	e.mergeSats(s)
	if s.quality >= 0 && by > e.qualityBy {
		e.quality, e.qualityBy = s.quality, by
	}
	switch {
	case s.Type == "RMC" && s.says == claimFix: // VTG often has fewer digits
		preferred(&e.speed, s.speed)
		preferred(&e.course, s.course)
	case s.Type == "GGA" && s.says == claimFix: // and GNS another altitude
		preferred(&e.alt, s.alt)
		preferred(&e.geoid, s.geoid)
	}
	if s.Type == "GGA" {
		preferred(&e.hdop, s.hdop)
	}
	known(&e.hdop, s.hdop)
	if s.says == claimVoid { // it repeats old values
		return
	}
	known(&e.speed, s.speed)
	known(&e.course, s.course)
	known(&e.alt, s.alt)
	known(&e.geoid, s.geoid)
}

// mergeGSA: one GSA per constellation; the solution is the best of them.
func (e *epoch) mergeGSA(s *sentence) {
	e.gsaFix = e.gsaFix || s.says == claimFix
	e.gsaVoid = e.gsaVoid || s.says == claimVoid
	e.mode = max(e.mode, s.mode)
	known(&e.gsaHDOP, s.hdop)
	known(&e.vdop, s.vdop)
	known(&e.pdop, s.pdop)
	if s.sats >= 0 {
		e.gsaSats = max(e.gsaSats, 0) + s.sats
	}
}

// claimer ranks the sentences that tell the quality of a fix: GGA says it
// itself, GNS per constellation, RMC and GLL by their mode letter.
type claimer uint8

func claimerOf(kind string) claimer {
	switch kind {
	case "GGA":
		return 3
	case "GNS":
		return 2
	}
	return 1
}

// mergeSats: a talker of one constellation (GPGGA beside GLGGA) counts only
// its own satellites; a GN of the same kind counts all. GGA goes before GNS.
func (e *epoch) mergeSats(s *sentence) {
	if s.sats < 0 {
		return
	}
	ours, theirs := claimerOf(e.satsBy.kind()), claimerOf(s.Type)
	switch {
	case e.sats < 0 || theirs > ours:
		e.sats, e.satsBy = s.sats, s.addr
	case theirs < ours || e.satsBy.talker() == "GN" || s.Talker == e.satsBy.talker():
	case s.Talker == "GN":
		e.sats, e.satsBy = s.sats, s.addr
	default:
		e.sats += s.sats
	}
}

func (a address) talker() string { return string(a[:2]) }
func (a address) kind() string   { return string(a[2:]) }

// known fills an unknown value.
func known(dst *float64, v float64) {
	if math.IsNaN(*dst) {
		*dst = v
	}
}

// preferred replaces a value by a better one.
func preferred(dst *float64, v float64) {
	if !math.IsNaN(v) {
		*dst = v
	}
}
