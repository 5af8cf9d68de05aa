package main

import (
	"math"

	"obu/telemetry"
)

// qualities are the names of GGA's fix qualities.
var qualities = [...]string{"none", "gnss", "dgnss", "pps", "rtk", "rtk-float", "estimated", "manual", "simulated"}

// detailKeys and accuracyKeys are the keys of numbers, in order.
var (
	detailKeys   = [...]string{"vdop", "pdop", "geoid", "ellipsoid", "climb"}
	accuracyKeys = [...]string{"rms", "major", "minor", "orient", "lat", "lon", "alt"}
)

// appendDetail writes what a receiver says of an epoch beyond its position.
func appendDetail(b []byte, f *telemetry.Fix) []byte {
	quality := "gnss"
	if int(f.Quality) < len(qualities) {
		quality = qualities[f.Quality]
	}
	b = appendField(b, "quality", quality)
	d := f.Detail
	// A sum of two decimals in binary has a tail: four decimals are enough.
	b = appendNumbers(b, detailKeys[:], f.VDOP, f.PDOP, f.GeoidM, math.Round(f.EllipsoidM()*1e4)/1e4, d.ClimbMPS)
	if a := &d.Accuracy; !math.IsNaN(a.RMSM) || !math.IsNaN(a.LatM) {
		b = append(b, `,"accuracy":`...)
		open := len(b)
		b = appendNumbers(b, accuracyKeys[:], a.RMSM, a.MajorM, a.MinorM, a.OrientDeg, a.LatM, a.LonM, a.AltM)
		b[open] = '{'
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

func appendNumbers(b []byte, keys []string, vs ...float64) []byte {
	for i, v := range vs {
		b = append(append(append(b, `,"`...), keys[i]...), `":`...)
		b = appendNumber(b, v)
	}
	return b
}
