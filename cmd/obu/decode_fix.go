package main

import (
	"math"

	"obu/telemetry"
)

// qualities are the names of GGA's fix qualities.
var qualities = [...]string{"none", "gnss", "dgnss", "pps", "rtk", "rtk-float", "estimated", "manual", "simulated"}

// appendDetail writes what a receiver says of an epoch beyond its position.
func appendDetail(b []byte, f *telemetry.Fix) []byte {
	number := func(key string, v float64) {
		b = append(append(append(b, `,"`...), key...), `":`...)
		b = appendNumber(b, v)
	}
	quality := "gnss"
	if int(f.Quality) < len(qualities) {
		quality = qualities[f.Quality]
	}
	b = appendField(b, "quality", quality)
	number("vdop", f.VDOP)
	number("pdop", f.PDOP)
	number("geoid", f.GeoidM)
	number("ellipsoid", round4(f.EllipsoidM()))
	d := f.Detail
	if d == nil {
		return b
	}
	number("climb", d.ClimbMPS)
	if a := &d.Accuracy; !math.IsNaN(a.RMSM) || !math.IsNaN(a.LatM) {
		b = append(b, `,"accuracy":{"rms":`...)
		b = appendNumber(b, a.RMSM)
		number("major", a.MajorM)
		number("minor", a.MinorM)
		number("orient", a.OrientDeg)
		number("lat", a.LatM)
		number("lon", a.LonM)
		number("alt", a.AltM)
		b = append(b, '}')
	}
	if d.Sky.Systems != ([telemetry.GNSSCount]telemetry.Reception{}) {
		b = d.Sky.AppendJSON(append(b, `,"sky":`...))
	}
	if a := d.Sky.Antenna.String(); a != "" {
		b = appendField(b, "antenna", a)
	}
	return b
}

// round4 takes off what binary sums of decimals leave behind.
func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }
