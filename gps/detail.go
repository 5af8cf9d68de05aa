package gps

import (
	"math"
	"strings"
	"time"

	"obu/telemetry"
)

// climbWithin is the longest time between two altitudes whose difference still
// says how fast the car climbs.
const climbWithin = 10 * time.Second

// maxClimbMPS is what no altitude changes by in a second.
const maxClimbMPS = 10_000

// accuracyAges is how long an accuracy estimate stands; receivers send GST
// with each epoch or every few.
const accuracyAges = 10 * time.Second

// estimate is one GST sentence.
type estimate struct {
	tod time.Duration // -1: none
	telemetry.Accuracy
}

// height is the altitude of an epoch.
type height struct {
	tod      time.Duration // -1: none
	alt, hae float64
}

// detail gathers what does not make up the position: satellites, accuracy,
// antenna, climb. Its sentences belong to no epoch by themselves and hold none
// up: a fix takes what is known when it leaves.
type detail struct {
	sky    sky
	gst    [2]estimate // newest first
	height height
	none   telemetry.Accuracy // nothing known
}

// begin makes d one that knows nothing.
func (d *detail) begin() {
	d.gst[0].tod, d.gst[1].tod, d.height.tod = -1, -1, -1
	for _, v := range accuracyOf(&d.none) {
		*v = math.NaN()
	}
}

// accuracyOf returns the fields of a in the order of GST.
func accuracyOf(a *telemetry.Accuracy) [7]*float64 {
	return [7]*float64{&a.RMSM, &a.MajorM, &a.MinorM, &a.OrientDeg, &a.LatM, &a.LonM, &a.AltM}
}

// line takes the body of a sentence and reports whether it was one of its own.
func (d *detail) line(body []byte) bool {
	if len(body) < 6 {
		return false
	}
	if body[5] == ',' {
		switch string(body[2:5]) {
		case "GSV":
			return d.sky.gsv([2]byte(body), strings.Split(string(body[6:]), ","))
		case "GST":
			return d.accuracy(strings.Split(string(body[6:]), ","))
		}
	}
	if a := antennaOf(string(body)); a != telemetry.AntennaUnknown {
		d.sky.antenna, d.sky.changed = a, true
		return true
	}
	return false
}

// accuracy reads GST: time, RMS, semi-major and semi-minor axis, orientation,
// errors of latitude, longitude, altitude.
func (d *detail) accuracy(f []string) bool {
	if len(f) < 8 {
		return false
	}
	tod, ok := parseTime(f[0])
	if !ok {
		return false
	}
	if d.gst[0].tod != tod {
		d.gst[1] = d.gst[0]
	}
	e := &d.gst[0]
	e.tod = tod
	for i, v := range accuracyOf(&e.Accuracy) {
		low := 0.0
		if v == &e.OrientDeg {
			low = -360
		}
		*v = numberIn(f[i+1], low, 1e6)
	}
	return true
}

// of returns the detail of a fix.
func (d *detail) of(f *telemetry.Fix, tod time.Duration) *telemetry.Detail {
	out := &telemetry.Detail{ClimbMPS: math.NaN(), Sky: d.sky.summary(), Accuracy: d.none}
	d.sky.epoch++
	for _, g := range d.gst {
		if age, ok := sinceTod(g.tod, tod); ok && age <= accuracyAges {
			out.Accuracy = g.Accuracy
			break
		}
	}
	if !f.Valid || math.IsNaN(f.AltM) {
		d.height.tod = -1
		return out
	}
	now := height{tod, f.AltM, f.AltM + f.GeoidM}
	if dt, ok := sinceTod(d.height.tod, tod); ok && dt > 0 && dt <= climbWithin {
		rise := now.hae - d.height.hae
		if math.IsNaN(rise) {
			rise = now.alt - d.height.alt
		}
		if climb := rise / dt.Seconds(); math.Abs(climb) < maxClimbMPS {
			out.ClimbMPS = math.Round(climb*1000) / 1000
		}
	}
	d.height = now
	return out
}

// sinceTod returns the time from one time of day to another not long after it;
// ok is false when one is unknown or the other way round.
func sinceTod(from, to time.Duration) (time.Duration, bool) {
	if from < 0 || to < 0 {
		return 0, false
	}
	dt := to - from
	if dt < -12*time.Hour {
		dt += 24 * time.Hour
	}
	return dt, dt >= 0
}

// antennaCodes are the sentences of makers that end in a number.
var antennaCodes = [...]struct {
	start string
	are   [4]telemetry.Antenna
}{
	{"PGTOP,11,", [4]telemetry.Antenna{1: telemetry.AntennaShort, 2: telemetry.AntennaInternal, 3: telemetry.AntennaOK}}, // MTK by GlobalTop
	{"PCD,11,", [4]telemetry.Antenna{1: telemetry.AntennaShort, 2: telemetry.AntennaInternal, 3: telemetry.AntennaOK}},   // and by CDtop
	{"PSTMANTENNASTATUS,", [4]telemetry.Antenna{0: telemetry.AntennaOK, 1: telemetry.AntennaOpen, 2: telemetry.AntennaShort}},
}

// antennaWords are what TXT says behind ANTSTATUS= (u-blox, Quectel) or ANTENNA
// (CASIC).
var antennaWords = [...]string{telemetry.AntennaOK: "OK", telemetry.AntennaOpen: "OPEN", telemetry.AntennaShort: "SHORT"}

// antennaOf returns what a sentence says of the antenna, AntennaUnknown when
// nothing.
func antennaOf(body string) telemetry.Antenna {
	for i := range antennaCodes {
		c := &antennaCodes[i]
		if rest, ok := strings.CutPrefix(body, c.start); ok {
			code, _, _ := strings.Cut(rest, ",")
			if len(code) == 1 && code[0] >= '0' && code[0] <= '3' {
				return c.are[code[0]-'0']
			}
			return telemetry.AntennaUnknown
		}
	}
	if body[2:6] != "TXT," {
		return telemetry.AntennaUnknown
	}
	_, word, ok := strings.Cut(body, "ANTSTATUS=")
	if !ok {
		_, word, ok = strings.Cut(body, ",ANTENNA ")
	}
	for a, w := range antennaWords {
		if ok && w != "" && strings.HasPrefix(word, w) {
			return telemetry.Antenna(a)
		}
	}
	return telemetry.AntennaUnknown
}
