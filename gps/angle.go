package gps

import (
	"math"
	"strconv"
	"time"
)

// angle is a latitude or longitude as the receiver wrote it, in 1e-9 minutes:
// exact, so that rounding to degrees happens once.
type angle int64

// Positions are rounded to a grid in degrees: wireGrid by default, fineGrid
// where the receiver reports RTK, and in Decode.
const (
	wireGrid = 10_000_000    // 1e-7 degrees, 11 mm
	fineGrid = 1_000_000_000 // 1e-9 degrees
)

// nanoPerDegree is the number of angle units in one degree.
const nanoPerDegree = 60 * 1_000_000_000

// degrees returns a rounded to 1/grid of a degree, as the float64 nearest to
// that decimal. An exact half goes where the double of degrees + minutes/60
// lies, so that every decoder computing in doubles prints the same digits.
func (a angle) degrees(grid int64) float64 {
	v, sign := int64(a), 1.0
	if v < 0 {
		v, sign = -v, -1
	}
	div := nanoPerDegree / grid
	q, rest := v/div, v%div
	switch {
	case 2*rest > div:
		q++
	case 2*rest == div:
		x := float64(v/nanoPerDegree) + float64(v%nanoPerDegree)/1e9/60
		decimals := 7
		if grid == fineGrid {
			decimals = 9
		}
		if x, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', decimals, 64), 64); err == nil {
			return sign * x
		}
	}
	return sign * float64(q) / float64(grid)
}

// parseAngle reads "dddmm.mmmm" with its hemisphere letter. digits is the
// number of decimals of the minutes; ok is false when the field is not an
// angle of at most limit degrees.
func parseAngle(s, hemisphere string, positive, negative byte, limit int64) (a angle, digits int, ok bool) {
	if len(hemisphere) != 1 || hemisphere[0] != positive && hemisphere[0] != negative {
		return 0, 0, false
	}
	whole, frac, point := cutPoint(s)
	if len(whole) < 3 || len(whole) > 5 || !allDigits(whole) || point && !allDigits(frac) {
		return 0, 0, false
	}
	split := len(whole) - 2
	deg, minutes := atoi(whole[:split]), atoi(whole[split:])
	if minutes >= 60 {
		return 0, 0, false
	}
	v := deg*nanoPerDegree + minutes*1_000_000_000 + scale9(frac)
	if v > limit*nanoPerDegree {
		return 0, 0, false
	}
	if hemisphere[0] == negative {
		v = -v
	}
	return angle(v), len(frac), true
}

// parseTime reads "hhmmss" or "hhmmss.sss" as time since midnight. Second 60
// is the leap second and counts into the next minute.
func parseTime(s string) (time.Duration, bool) {
	whole, frac, point := cutPoint(s)
	if len(whole) != 6 || !allDigits(whole) || point && !allDigits(frac) {
		return 0, false
	}
	h, m, sec := atoi(whole[:2]), atoi(whole[2:4]), atoi(whole[4:])
	if h > 23 || m > 59 || sec > 60 {
		return 0, false
	}
	return time.Duration((h*3600+m*60+sec)*1_000_000_000 + scale9(frac)), true
}

// number reads a plain decimal. Anything else is unknown: NaN.
func number(s string) float64 {
	if s == "" || len(s) > 24 {
		return math.NaN()
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && (i != 0 || c != '-' && c != '+') {
			return math.NaN()
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// numberIn reads a plain decimal between low and high, else NaN.
func numberIn(s string, low, high float64) float64 {
	if v := number(s); v >= low && v <= high {
		return v
	}
	return math.NaN()
}

func cutPoint(s string) (whole, frac string, found bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == '.' {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

func allDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// atoi reads a short run of digits.
func atoi(s string) int64 {
	var v int64
	for i := 0; i < len(s); i++ {
		v = v*10 + int64(s[i]-'0')
	}
	return v
}

// scale9 reads the digits behind a decimal point as 1e-9 units; digits beyond
// the ninth are cut.
func scale9(frac string) int64 {
	var v int64
	for i := 0; i < 9; i++ {
		v *= 10
		if i < len(frac) {
			v += int64(frac[i] - '0')
		}
	}
	return v
}
