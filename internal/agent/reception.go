package agent

import (
	"math"

	"obu/gps"
	"obu/telemetry"
)

// receptionEvery is how many of the unit's statistics pass between two accounts
// of the reception: one of four systems is 140 bytes, 1.6 KB an hour.
const receptionEvery = 5

// reception accounts for the satellites of all receivers.
func (a *Agent) reception(s *Status) (out []telemetry.Sample) {
	now := a.clock.Now()
	for _, r := range s.Sources {
		if s, ok := r.Stats.(gps.Stats); ok {
			out = append(out, receptionSamples(r.Name, now, &s)...)
		}
	}
	return out
}

// receptionSamples are what a receiver says of its satellites, by system, and
// of its error.
func receptionSamples(receiver string, at telemetry.At, s *gps.Stats) (out []telemetry.Sample) {
	src := telemetry.Source{Bus: receiver, Method: "nmea"}
	add := func(name string, v telemetry.Value) {
		if sig, ok := telemetry.Lookup(name); ok {
			out = append(out, telemetry.Sample{At: at, Signal: sig, Source: src, Value: v})
		}
	}
	for g, r := range s.Sky.Systems {
		if r.InView == 0 && r.Used == 0 {
			continue
		}
		src.Address = telemetry.GNSS(g).String()
		add("Vehicle.Obu.GNSS.InView", telemetry.Int(int64(r.InView)))
		add("Vehicle.Obu.GNSS.Used", telemetry.Int(int64(r.Used)))
		add("Vehicle.Obu.GNSS.Strong", telemetry.Int(int64(r.Strong)))
		if r.Best > 0 {
			add("Vehicle.Obu.GNSS.CN0.Best", telemetry.Int(int64(r.Best)))
		}
		if r.Mean > 0 {
			add("Vehicle.Obu.GNSS.CN0.Mean", telemetry.Float(steps(float64(r.Mean), 10)))
		}
	}
	src.Address = ""
	if s.HorizontalM > 0 {
		add("Vehicle.CurrentLocation.HorizontalAccuracy", telemetry.Float(steps(s.HorizontalM, 100)))
	}
	if s.VerticalM > 0 {
		add("Vehicle.CurrentLocation.VerticalAccuracy", telemetry.Float(steps(s.VerticalM, 100)))
	}
	return out
}

// steps returns v on the grid of a signal whose step is 1/den.
func steps(v float64, den int64) float64 {
	return telemetry.Step{Num: 1, Den: den}.Value(int64(math.Round(v * float64(den))))
}

// antenna tells of each change of what a receiver says of its antenna.
type antenna struct {
	emit func([]telemetry.Sample)
	last telemetry.Antenna
}

func (a *antenna) note(f *telemetry.Fix) {
	if f.Detail == nil {
		return
	}
	now := f.Detail.Sky.Antenna
	if now == a.last || now == telemetry.AntennaUnknown { // opened again: it may never say it again
		return
	}
	a.last = now
	if sig, ok := telemetry.Lookup("Vehicle.Obu.GNSS.Antenna"); ok {
		a.emit([]telemetry.Sample{{At: f.At, Signal: sig, Source: telemetry.Source{Bus: f.Receiver, Method: "nmea"}, Value: telemetry.Text(a.last.String())}})
	}
}
