package gps

import (
	"math"
	"time"

	nmea "github.com/adrianmo/go-nmea"

	"obu/telemetry"
)

// claim is what one sentence says about there being a fix.
type claim uint8

const (
	claimNothing claim = iota
	claimVoid
	claimFix
)

// address is talker and sentence type, "GPRMC".
type address [5]byte

// sentence is what one NMEA sentence contributes to an epoch. Empty fields
// are NaN, -1 or false: go-nmea's own structs turn them into zeroes, which is
// why its sentence types are parsed by the functions in parsers.
type sentence struct {
	nmea.BaseSentence
	addr      address
	timed     bool          // RMC, GGA, GLL, GNS: opens an epoch
	tod       time.Duration // since midnight UTC; -1 unknown
	badTime   bool          // a time or date field that cannot be
	day       time.Time     // midnight of the date; zero when not given
	says      claim
	badPos    bool // a position field that cannot be
	hasPos    bool
	lat, lon  angle
	digits    int // decimals of the minutes
	estimated bool
	quality   int // as GGA counts it; -1 unknown
	speed     float64
	course    float64
	alt       float64
	geoid     float64
	hdop      float64
	vdop      float64
	pdop      float64
	sats      int      // -1 unknown
	system    int      // of GSA, NMEA 4.1; 0 not told
	used      []string // satellites of GSA
	mode      telemetry.Mode
}

// newSentence starts a sentence in which nothing is known.
func newSentence(b nmea.BaseSentence) *sentence {
	nan := math.NaN()
	s := &sentence{BaseSentence: b, tod: -1, quality: -1, sats: -1,
		speed: nan, course: nan, alt: nan, geoid: nan, hdop: nan, vdop: nan, pdop: nan}
	copy(s.addr[:2], b.Talker)
	copy(s.addr[2:], b.Type)
	return s
}

// field returns field i, or "" when the sentence is of an older, shorter form.
func (s *sentence) field(i int) string {
	if i < len(s.Fields) {
		return s.Fields[i]
	}
	return ""
}

// time reads the UTC of the epoch.
func (s *sentence) time(i int) {
	f := s.field(i)
	if f == "" {
		return
	}
	if t, ok := parseTime(f); ok {
		s.tod = t
	} else {
		s.badTime = true
	}
}

// position reads four fields: latitude, N/S, longitude, E/W.
func (s *sentence) position(i int) {
	if s.field(i) == "" && s.field(i+2) == "" {
		return
	}
	lat, latDigits, okLat := parseAngle(s.field(i), s.field(i+1), 'N', 'S', 90)
	lon, lonDigits, okLon := parseAngle(s.field(i+2), s.field(i+3), 'E', 'W', 180)
	if !okLat || !okLon {
		s.badPos = true
		return
	}
	s.hasPos, s.lat, s.lon, s.digits = true, lat, lon, min(latDigits, lonDigits)
}

// status reads the A (valid) or V (void) of RMC and GLL and the mode letter
// that NMEA 2.3 added behind it. Some receivers say D for a differential fix.
func (s *sentence) status(i, mode int) error {
	switch s.field(i) {
	case "A", "D":
		s.says = claimFix
	case "V", "":
		s.says = claimVoid
	default:
		return errFields
	}
	letter := s.field(mode)
	if len(letter) != 1 {
		return nil
	}
	q, ok := modeQuality(letter[0])
	switch {
	case !ok: // makers invent letters
	case q == 0:
		s.says = claimVoid
	default:
		s.quality, s.estimated = q, q >= 6
	}
	return nil
}

// date reads ddmmyy; 70-99 is the last century: GPS time began in 1980, and that
// of a receiver which does not know it yet may in 1970.
func (s *sentence) date(f string) {
	if f == "" {
		return
	}
	if len(f) != 6 || !allDigits(f) {
		s.badTime = true
		return
	}
	year := int(atoi(f[4:])) + 2000
	if year >= noSuchYear {
		year -= 100
	}
	s.setDay(year, int(atoi(f[2:4])), int(atoi(f[:2])))
}

func (s *sentence) setDay(year, month, day int) {
	d := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if d.Year() != year || int(d.Month()) != month || d.Day() != day {
		s.badTime = true
		return
	}
	s.day = d
}

// modeQuality maps a mode letter of RMC, GLL or GNS to the quality GGA would
// show.
func modeQuality(mode byte) (quality int, ok bool) {
	switch mode {
	case 'N':
		return 0, true
	case 'A':
		return 1, true
	case 'D':
		return 2, true
	case 'P':
		return 3, true
	case 'R':
		return 4, true
	case 'F':
		return 5, true
	case 'E':
		return 6, true
	case 'M':
		return 7, true
	case 'S':
		return 8, true
	}
	return 0, false
}

// better reports whether constellation quality a says more than b: RTK before
// RTK float, precise, differential, plain, estimated.
func better(a, b int) bool {
	rank := [...]int{0, 4, 5, 6, 8, 7, 3, 2, 1}
	return b < 0 || rank[a] > rank[b]
}

// knots reads a speed over ground in knots and returns the metres per second
// nearest to it: 1 knot is 1852 m in 3600 s, exactly.
func knots(f string) float64 {
	whole, frac, _ := cutPoint(f)
	if whole == "" || len(whole) > 4 || len(frac) > 6 || !allDigits(whole) || !allDigits(frac) {
		return numberIn(f, 0, 9999) * 1852 / 3600
	}
	// In 1e-6 knots both operands are whole and exact.
	micro := atoi(whole)*1_000_000 + scale9(frac)/1000
	return float64(micro*463) / (900 * 1_000_000)
}

// dop reads a dilution of precision. No geometry has 0: it means unknown.
func dop(f string) float64 {
	if v := numberIn(f, 0, 1000); v > 0 {
		return v
	}
	return math.NaN()
}

// altitude reads metres.
func altitude(f string) float64 { return numberIn(f, -100_000, 100_000) }

func count(f string) int {
	if f == "" || len(f) > 2 || !allDigits(f) {
		return -1
	}
	return int(atoi(f))
}
