package virtual

import (
	"fmt"
	"math"
	"time"
)

// epoch returns the sentences of one second (RMC, GGA, GSA, VTG; NMEA 0183
// 4.1), each with its checksum and line end, and the fix as the digits say it.
// Leap is the second that has no other name: 59 is written as 60.
func epoch(utc time.Time, leap bool, s *State, valid bool) (string, Position) {
	utc = utc.UTC().Round(10 * time.Millisecond)
	clock := utc.Format("150405.00")
	if leap {
		clock = utc.Format("1504") + "60" + utc.Format(".00")
	}
	if !valid {
		p := Position{UTC: utc, LatDeg: math.NaN(), LonDeg: math.NaN(), AltM: math.NaN(),
			SpeedMPS: math.NaN(), CourseDeg: math.NaN(), HDOP: math.NaN()}
		return sentence("GPRMC,%s,V,,,,,,,%s,,,N", clock, utc.Format("020106")) +
			sentence("GPGGA,%s,,,,,0,00,99.99,,M,,M,,", clock) +
			sentence("GPGSA,A,1,,,,,,,,,,,,,99.99,99.99,99.99") +
			sentence("GPVTG,,T,,M,,N,,K,N"), p
	}
	const geoid = 47.3
	lat, latDeg := minutes(s.LatDeg, 2)
	lon, lonDeg := minutes(s.LonDeg, 3)
	ns, ew := "N", "E"
	if latDeg < 0 {
		ns = "S"
	}
	if lonDeg < 0 {
		ew = "W"
	}
	knots := math.Round(s.SpeedMPS/0.514444*1000) / 1000
	course := math.Mod(math.Round(s.CourseDeg*100)/100, 360)
	alt := math.Round(s.AltM*10) / 10
	const sats, hdop = 9, 0.92
	p := Position{UTC: utc, Valid: true, LatDeg: latDeg, LonDeg: lonDeg, AltM: alt,
		SpeedMPS: knots * 1852 / 3600, CourseDeg: course, HDOP: hdop, Sats: sats}
	return sentence("GPRMC,%s,A,%s,%s,%s,%s,%.3f,%.2f,%s,,,A", clock, lat, ns, lon, ew, knots, course, utc.Format("020106")) +
		sentence("GPGGA,%s,%s,%s,%s,%s,1,%02d,%.2f,%.1f,M,%.1f,M,,", clock, lat, ns, lon, ew, sats, hdop, alt, geoid) +
		sentence("GPGSA,A,3,02,05,07,13,15,18,21,26,29,,,,1.62,%.2f,1.33", hdop) +
		sentence("GPVTG,%.2f,T,,M,%.3f,N,%.3f,K,A", course, knots, knots*1.852), p
}

// sentence formats a sentence with its checksum and line end.
func sentence(format string, a ...any) string {
	body := fmt.Sprintf(format, a...)
	var sum byte
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Sprintf("$%s*%02X\r\n", body, sum)
}

// minutes formats an angle as ddmm.mmmmmm and returns the angle those digits
// say, rounded to the 1e-7 degrees at which positions travel.
func minutes(deg float64, digits int) (string, float64) {
	micro := int64(math.Round(math.Abs(deg) * 60e6)) // millionths of a minute
	whole := micro / 60e6
	said := math.Round(float64(micro)/60e6*1e7) / 1e7
	if deg < 0 {
		said = -said
	}
	return fmt.Sprintf("%0*d%09.6f", digits, whole, float64(micro-whole*60e6)/1e6), said
}
