package gps

import (
	"math"
	"strconv"
	"time"

	"obu/telemetry"
)

// Sentences returns what a receiver would say about f, for simulators and
// tests: RMC, GGA and GSA of talker GP, each with checksum and CR LF.
//
// Positions are written with as many digits as the grid needs (1e-7 degrees;
// 1e-9 at quality 4 and 5), times to 1 ms, speeds to 0.001 knots, courses and
// altitudes and DOPs to 0.01: Rounded tells what remains. Satellite numbers
// are left empty: none are invented. A fix that is not Valid is written as
// void, without position.
func Sentences(f telemetry.Fix) []string {
	return []string{string(appendRMC(nil, &f)), string(appendGGA(nil, &f)), string(appendGSA(nil, &f))}
}

// AppendSentences appends the bytes of Sentences to dst.
func AppendSentences(dst []byte, f telemetry.Fix) []byte {
	return appendGSA(appendGGA(appendRMC(dst, &f), &f), &f)
}

// Frame returns body as a sentence: "$" body "*" checksum CR LF.
func Frame(body string) string { return string(frame(append([]byte{'$'}, body...), 0)) }

// Rounded returns f as a Source or Decode reads it from Sentences(f); At and
// Receiver stay.
func Rounded(f telemetry.Fix) telemetry.Fix {
	var stats Stats
	out := telemetry.NoFix()
	m := newMerger(&stats, func(g telemetry.Fix, _ time.Duration) { out = g })
	for _, s := range Sentences(f) {
		m.line(f.At, []byte(s[:len(s)-2]))
	}
	m.finish()
	out.At, out.Receiver = f.At, f.Receiver
	return out
}

// frame ends the sentence that began at dst[start] with its '$'.
func frame(dst []byte, start int) []byte {
	var sum byte
	for _, c := range dst[start+1:] {
		sum ^= c
	}
	const hex = "0123456789ABCDEF"
	return append(dst, '*', hex[sum>>4], hex[sum&15], '\r', '\n')
}

func appendRMC(dst []byte, f *telemetry.Fix) []byte {
	start := len(dst)
	dst = append(dst, "$GPRMC,"...)
	dst = appendTime(dst, f.UTC)
	if hasFix(f) {
		dst = append(dst, ",A,"...)
	} else {
		dst = append(dst, ",V,"...)
	}
	dst = appendPosition(dst, f)
	dst = append(dst, ',')
	if hasFix(f) {
		dst = appendFloat(dst, f.SpeedMPS*3600/1852, 3)
		dst = append(dst, ',')
		dst = appendFloat(dst, f.CourseDeg, 2)
	} else {
		dst = append(dst, ',')
	}
	dst = append(dst, ',')
	if !f.UTC.IsZero() {
		dst = f.UTC.UTC().Round(time.Millisecond).AppendFormat(dst, "020106")
	}
	dst = append(dst, ",,,"...)
	return frame(append(dst, modeLetter(f)), start)
}

func appendGGA(dst []byte, f *telemetry.Fix) []byte {
	start := len(dst)
	dst = append(dst, "$GPGGA,"...)
	dst = appendTime(dst, f.UTC)
	dst = append(dst, ',')
	dst = appendPosition(dst, f)
	dst = append(dst, ',')
	if hasFix(f) {
		dst = strconv.AppendUint(dst, uint64(quality(f)), 10)
	} else {
		dst = append(dst, '0')
	}
	dst = append(dst, ',')
	if f.Sats >= 0 {
		if f.Sats < 10 {
			dst = append(dst, '0')
		}
		dst = strconv.AppendInt(dst, int64(min(f.Sats, 99)), 10)
	}
	dst = append(dst, ',')
	dst = appendFloat(dst, f.HDOP, 2)
	dst = append(dst, ',')
	if hasFix(f) {
		dst = appendFloat(dst, f.AltM, 2)
		dst = append(dst, ",M,"...)
		dst = appendFloat(dst, f.GeoidM, 2)
	} else {
		dst = append(dst, ",M,"...)
	}
	return frame(append(dst, ",M,,"...), start)
}

func appendGSA(dst []byte, f *telemetry.Fix) []byte {
	start := len(dst)
	dst = append(dst, "$GPGSA,A,"...)
	mode := telemetry.ModeNone
	if hasFix(f) {
		mode = max(f.Mode, telemetry.Mode2D)
	}
	dst = append(dst, '1'+byte(mode), ',')
	dst = append(dst, ",,,,,,,,,,,,"...)
	dst = appendFloat(dst, f.PDOP, 2)
	dst = append(dst, ',')
	dst = appendFloat(dst, f.HDOP, 2)
	dst = append(dst, ',')
	dst = appendFloat(dst, f.VDOP, 2)
	return frame(dst, start)
}

// hasFix reports whether f is written with a position.
func hasFix(f *telemetry.Fix) bool {
	return f.Valid && math.Abs(f.LatDeg) <= 90 && math.Abs(f.LonDeg) <= 180
}

// quality returns the quality to write: 1-8.
func quality(f *telemetry.Fix) uint8 {
	switch {
	case f.Doubt&telemetry.DoubtEstimated != 0 && f.Quality < 6:
		return 6
	case f.Quality < 1 || f.Quality > 8:
		return 1
	}
	return f.Quality
}

func modeLetter(f *telemetry.Fix) byte {
	if !hasFix(f) {
		return 'N'
	}
	return "NADPRFEMS"[quality(f)]
}

func appendTime(dst []byte, utc time.Time) []byte {
	if utc.IsZero() {
		return dst
	}
	return utc.UTC().Round(time.Millisecond).AppendFormat(dst, "150405.000")
}

func appendFloat(dst []byte, v float64, decimals int) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return dst
	}
	return strconv.AppendFloat(dst, v, 'f', decimals, 64)
}

// appendPosition writes the four fields of latitude and longitude.
func appendPosition(dst []byte, f *telemetry.Fix) []byte {
	if !hasFix(f) {
		return append(dst, ",,,"...)
	}
	grid := int64(wireGrid)
	if q := quality(f); q == 4 || q == 5 {
		grid = fineGrid
	}
	dst = appendAngle(dst, f.LatDeg, 2, grid)
	dst = append(dst, ',', hemisphere(f.LatDeg, 'N', 'S'), ',')
	dst = appendAngle(dst, f.LonDeg, 3, grid)
	return append(dst, ',', hemisphere(f.LonDeg, 'E', 'W'))
}

func hemisphere(v float64, positive, negative byte) byte {
	if v < 0 {
		return negative
	}
	return positive
}

// appendAngle writes degrees as dddmm.mmmm, exactly on the grid: 1e-7 degrees
// are 6e-6 minutes, 1e-9 are 6e-8.
func appendAngle(dst []byte, v float64, width int, grid int64) []byte {
	units := int64(math.Round(math.Abs(v) * float64(grid)))
	deg, rest := units/grid, units%grid*60
	dst = appendPadded(dst, deg, width)
	dst = appendPadded(dst, rest/grid, 2)
	dst = append(dst, '.')
	if grid == wireGrid {
		return appendPadded(dst, rest%grid/10, 6)
	}
	return appendPadded(dst, rest%grid/10, 8)
}

func appendPadded(dst []byte, v int64, width int) []byte {
	for limit, w := int64(10), 1; w < width; limit, w = limit*10, w+1 {
		if v < limit {
			dst = append(dst, '0')
		}
	}
	return strconv.AppendInt(dst, v, 10)
}
