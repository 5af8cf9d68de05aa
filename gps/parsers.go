package gps

import (
	"errors"
	"math"
	"strings"

	nmea "github.com/adrianmo/go-nmea"

	"obu/telemetry"
)

// errFields is returned by the parsers for a sentence with too few fields or
// a status nobody defined.
var errFields = errors.New("sentence has the wrong fields")

// parsers read the sentences that make up an epoch. Read only.
var parsers = map[string]nmea.ParserFunc{
	nmea.TypeRMC: parseRMC,
	nmea.TypeGGA: parseGGA,
	nmea.TypeGLL: parseGLL,
	nmea.TypeGNS: parseGNS,
	nmea.TypeGSA: parseGSA,
	nmea.TypeVTG: parseVTG,
	nmea.TypeZDA: parseZDA,
}

// parse reads the body of a sentence that is wanted. The frame was checked;
// go-nmea's own dispatcher would link the sixty types that it knows besides,
// 0.2 MB. A talker is two letters even where it starts with the P of
// proprietary sentences (Quectel's PQGSA).
func parse(body []byte) (*sentence, error) {
	f := strings.Split(strings.TrimSpace(string(body)), nmea.FieldSep)
	b := nmea.BaseSentence{Talker: f[0][:2], Type: f[0][2:], Fields: f[1:]}
	parsed, err := parsers[b.Type](b)
	s, ok := parsed.(*sentence)
	if err == nil && !ok {
		err = errFields
	}
	return s, err
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

// parseGSA: A/M, fix type 1-3, 12 satellites (24 on some receivers), PDOP,
// HDOP, VDOP, system (4.1).
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
	dops := 14
	if len(b.Fields) > 20 {
		dops = len(b.Fields) - 3
	} else if id := s.field(17); len(id) == 1 && allDigits(id) {
		s.system = int(id[0] - '0')
	}
	s.used = b.Fields[2:dops]
	n := 0
	for _, f := range s.used {
		if f != "" {
			n++
		}
	}
	if n > 0 { // none listed may mean none told
		s.sats = n
	}
	s.pdop, s.hdop, s.vdop = dop(s.field(dops)), dop(s.field(dops+1)), dop(s.field(dops+2))
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
	if len(year) != 4 { // two digits are no date
		return s, nil
	}
	if len(day) > 2 || len(month) > 2 || !allDigits(day+month+year) {
		s.badTime = true
		return s, nil
	}
	s.setDay(int(atoi(year)), int(atoi(month)), int(atoi(day)))
	return s, nil
}
