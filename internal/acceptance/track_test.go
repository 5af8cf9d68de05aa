package acceptance_test

import (
	"math"
	"math/rand/v2"
	"time"

	"obu/internal/virtual"
	"obu/telemetry"
)

// trip makes the track load: ten signals and a fix each second, as the virtual
// car's drive has them and OBD-II rounds them, each read at its own moment.
type trip struct {
	drive *virtual.Drive
	rnd   *rand.Rand
	at    telemetry.At
}

func newTrip(seed uint64) *trip {
	return &trip{drive: virtual.NewDrive(seed), rnd: rand.New(rand.NewPCG(seed, 7)), at: telemetry.At(time.Minute)}
}

var trackSignals = [...]struct {
	name string
	read func(s *virtual.State) float64
}{
	{"Vehicle.OBD.EngineLoad", func(s *virtual.State) float64 { return 100 * s.Load }},
	{"Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", func(s *virtual.State) float64 { return s.CoolantC }},
	{"Vehicle.Powertrain.CombustionEngine.Speed", func(s *virtual.State) float64 { return s.RPM }},
	{"Vehicle.Speed", func(s *virtual.State) float64 { return s.SpeedMPS * 3.6 }},
	{"Vehicle.OBD.TimingAdvance", func(s *virtual.State) float64 { return s.TimingDeg }},
	{"Vehicle.OBD.IntakeTemp", func(s *virtual.State) float64 { return s.IntakeC }},
	{"Vehicle.OBD.MAF", func(s *virtual.State) float64 { return s.MAFGS }},
	{"Vehicle.OBD.ThrottlePosition", func(s *virtual.State) float64 { return 100 * s.Throttle }},
	{"Vehicle.OBD.FuelLevel", func(s *virtual.State) float64 { return s.FuelPct }},
	{"Vehicle.OBD.ControlModuleVoltage", func(s *virtual.State) float64 { return s.Voltage }},
}

// second returns what the next second of the trip holds.
func (d *trip) second() telemetry.Content {
	d.drive.Advance(time.Duration(d.at))
	s := d.drive.State()
	var c telemetry.Content
	at := d.at
	for _, sig := range trackSignals {
		known, _ := telemetry.Lookup(sig.name)
		steps := math.Round(sig.read(&s) * float64(known.Step.Den) / float64(known.Step.Num))
		at = at.Add(time.Duration(15+d.rnd.IntN(10)) * time.Millisecond)
		c.Samples = append(c.Samples, telemetry.Sample{At: at, Signal: known, Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"},
			Value: telemetry.Float(known.Step.Value(int64(steps)))})
	}
	f := telemetry.NoFix()
	f.At, f.Receiver, f.UTC = d.at.Add(time.Duration(600+d.rnd.IntN(40))*time.Millisecond), "gps", time.Unix(1_780_000_000, 0).UTC().Add(time.Duration(d.at))
	f.LatDeg, f.LonDeg = math.Round(s.LatDeg*1e7)/1e7, math.Round(s.LonDeg*1e7)/1e7
	f.AltM, f.SpeedMPS, f.CourseDeg = math.Round(s.AltM*10)/10, math.Round(s.SpeedMPS*1000)/1000, math.Round(s.CourseDeg*100)/100
	f.HDOP, f.Sats, f.Mode, f.Quality, f.Valid = 0.9, 11, telemetry.Mode3D, 1, true
	c.Fixes = []telemetry.Fix{f}
	d.at = d.at.Add(time.Second)
	return c
}
