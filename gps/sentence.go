package gps

import (
	"errors"
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
// why its sentence types are parsed by the functions registered below.
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
	sats      int // -1 unknown
	mode      telemetry.Mode
}

// errFields is returned by the parsers for a sentence with too few fields or
// a status nobody defined.
var errFields = errors.New("sentence has the wrong fields")

// parsers are registered with go-nmea for the sentences that make up an
// epoch. Read only.
var parsers = map[string]nmea.ParserFunc{
	nmea.TypeRMC: parseRMC,
	nmea.TypeGGA: parseGGA,
	nmea.TypeGLL: parseGLL,
	nmea.TypeGNS: parseGNS,
	nmea.TypeGSA: parseGSA,
	nmea.TypeVTG: parseVTG,
	nmea.TypeZDA: parseZDA,
}

// newParser returns go-nmea's parser with the checks the frame already made
// switched off.
func newParser() nmea.SentenceParser {
	return nmea.SentenceParser{
		CustomParsers: parsers,
		CheckCRC:      func(nmea.BaseSentence, string) error { return nil },
		// A talker is two letters even where it starts with the P of
		// proprietary sentences (Quectel's PQGSA). wanted has seen them.
		ParsePrefix: func(p string) (string, string, error) { return p[:2], p[2:], nil },
	}
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

// parseRMC: time, status, position, speed, course, date, variation (2 fields,
// absent on some receivers), mode (2.3), navigational status (4.1: V there
// means "not provided", not "void").
func parseRMC(b nmea.BaseSentence) (nmea.Sentence, error) {
	s := newSentence(b)
	if len(b.Fields) < 9 {
		return nil, errFields
	}
	s.timed = true
	s.time(0)
	s.position(2)
	s.speed = knots(s.field(6))
	s.course = numberIn(s.field(7), 0, 360)
	s.date(s.field(8))
	return s, s.status(1, 11)
}

// date reads ddmmyy; 80-99 is the last century, GPS time began in 1980.
func (s *sentence) date(f string) {
	if f == "" {
		return
	}
	if len(f) != 6 || !allDigits(f) {
		s.badTime = true
		return
	}
	year := int(atoi(f[4:])) + 2000
	if year >= 2080 {
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

// parseGGA: time, position, quality, satellites used, HDOP, altitude above
// mean sea level, M, geoid separation, M, age, station.
func parseGGA(b nmea.BaseSentence) (nmea.Sentence, error) {
	s := newSentence(b)
	if len(b.Fields) < 9 {
		return nil, errFields
	}
	s.timed = true
	s.time(0)
	s.position(1)
	q := s.field(5)
	if len(q) > 1 || !allDigits(q) {
		return nil, errFields
	}
	s.quality = 0
	s.says = claimVoid
	if q != "" && q != "0" {
		s.quality = int(q[0] - '0')
		s.says = claimFix
		s.estimated = s.quality >= 6 && s.quality <= 8
	}
	s.sats = count(s.field(6))
	s.hdop = dop(s.field(7))
	s.alt = altitude(s.field(8))
	s.geoid = altitude(s.field(10))
	return s, nil
}

// parseGLL: position, time, status, mode (2.3). Before NMEA 2.0 it was only
// the position, which claims nothing.
func parseGLL(b nmea.BaseSentence) (nmea.Sentence, error) {
	s := newSentence(b)
	if len(b.Fields) < 4 {
		return nil, errFields
	}
	s.timed = true
	s.position(0)
	s.time(4)
	if len(b.Fields) < 6 {
		return s, nil
	}
	return s, s.status(5, 6)
}

// parseGNS: time, position, one mode letter per constellation, satellites
// used, HDOP, altitude, geoid separation, age, station. A companion sentence
// of one constellation has no mode letters and claims nothing.
func parseGNS(b nmea.BaseSentence) (nmea.Sentence, error) {
	s := newSentence(b)
	if len(b.Fields) < 9 {
		return nil, errFields
	}
	s.timed = true
	s.time(0)
	modes := s.field(5)
	if modes == "" {
		return s, nil
	}
	s.position(1)
	s.says = claimVoid
	for i := 0; i < len(modes); i++ {
		q, ok := modeQuality(modes[i])
		if !ok {
			return nil, errFields
		}
		if q == 0 {
			continue
		}
		s.says = claimFix
		if better(q, s.quality) {
			s.quality = q
		}
	}
	if s.says == claimVoid {
		s.quality = 0
	}
	s.estimated = s.quality >= 6
	s.sats = count(s.field(6))
	s.hdop = dop(s.field(7))
	s.alt = altitude(s.field(8))
	s.geoid = altitude(s.field(9))
	return s, nil
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

// parseGSA: A/M, fix type 1-3, 12 satellites, PDOP, HDOP, VDOP, system (4.1).
func parseGSA(b nmea.BaseSentence) (nmea.Sentence, error) {
	s := newSentence(b)
	if len(b.Fields) < 17 {
		return nil, errFields
	}
	switch s.field(1) {
	case "1", "":
		s.says = claimVoid
	case "2":
		s.says, s.mode = claimFix, telemetry.Mode2D
	case "3":
		s.says, s.mode = claimFix, telemetry.Mode3D
	default:
		return nil, errFields
	}
	n := 0
	for _, f := range b.Fields[2:14] {
		if f != "" {
			n++
		}
	}
	if n > 0 { // none listed may mean none told
		s.sats = n
	}
	s.pdop, s.hdop, s.vdop = dop(s.field(14)), dop(s.field(15)), dop(s.field(16))
	return s, nil
}

// parseVTG: true course, T, magnetic course, M, knots, N, km/h, K, mode (2.3).
// Before NMEA 2.0 the unit letters were missing.
func parseVTG(b nmea.BaseSentence) (nmea.Sentence, error) {
	s := newSentence(b)
	if len(b.Fields) < 4 {
		return nil, errFields
	}
	if s.field(8) == "N" {
		return s, nil
	}
	if s.field(1) != "T" {
		s.course, s.speed = numberIn(s.field(0), 0, 360), knots(s.field(2))
		return s, nil
	}
	s.course, s.speed = numberIn(s.field(0), 0, 360), knots(s.field(4))
	if kmh := numberIn(s.field(6), 0, 3600); math.IsNaN(s.speed) && !math.IsNaN(kmh) {
		s.speed = kmh / 3.6
	}
	return s, nil
}

// parseZDA: time, day, month, year. Its time may be later than the epoch's, so
// only the date counts.
func parseZDA(b nmea.BaseSentence) (nmea.Sentence, error) {
	s := newSentence(b)
	if len(b.Fields) < 4 {
		return nil, errFields
	}
	s.time(0)
	day, month, year := s.field(1), s.field(2), s.field(3)
	if day == "" || month == "" || year == "" {
		return s, nil
	}
	if len(day) > 2 || len(month) > 2 || len(year) != 4 || !allDigits(day+month+year) {
		s.badTime = true
		return s, nil
	}
	s.setDay(int(atoi(year)), int(atoi(month)), int(atoi(day)))
	return s, nil
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
