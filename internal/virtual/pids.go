package virtual

import (
	"math"

	"obu/telemetry"
)

// pid says how one SAE J1979 service 01 parameter is put into bytes: the
// reading in steps of its signal's resolution, plus an offset, big-endian.
type pid struct {
	id     byte
	name   string
	width  int   // bytes
	offset int64 // steps added before it is put into bytes: -40 °C is 0
	scale  int64 // of integer signals: units per step (A6: 0.1 km = 100 m); 0 means 1
	read   func(s *State) float64
	word   said // what the number means, where J1979 has a word for it
}

const engine = "Vehicle.Powertrain.CombustionEngine."

// enginePIDs are what the engine's ECU answers, in rising order.
func enginePIDs() []pid {
	percent := func(f func(s *State) float64) func(*State) float64 {
		return func(s *State) float64 { return 100 * f(s) }
	}
	constant := func(v float64) func(*State) float64 { return func(*State) float64 { return v } }
	return []pid{
		{id: 0x04, name: "Vehicle.OBD.EngineLoad", width: 1, read: percent(func(s *State) float64 { return s.Load })},
		{id: 0x05, name: engine + "EngineCoolant.Temperature", width: 1, offset: 40, read: func(s *State) float64 { return s.CoolantC }},
		{id: 0x06, name: "Vehicle.OBD.ShortTermFuelTrim1", width: 1, offset: 128, read: func(s *State) float64 { return s.TrimPct }},
		{id: 0x07, name: "Vehicle.OBD.LongTermFuelTrim1", width: 1, offset: 128, read: func(s *State) float64 { return s.LongTrim }},
		{id: 0x0A, name: "Vehicle.OBD.FuelPressure", width: 1, read: func(s *State) float64 { return 380 + 40*s.Load }},
		{id: 0x0B, name: engine + "MAP", width: 1, read: func(s *State) float64 { return s.MAPKPa }},
		{id: 0x0C, name: engine + "Speed", width: 2, read: func(s *State) float64 { return s.RPM }},
		{id: 0x0D, name: "Vehicle.Speed", width: 1, read: func(s *State) float64 { return s.SpeedMPS * 3.6 }},
		{id: 0x0E, name: "Vehicle.OBD.TimingAdvance", width: 1, offset: 128, read: func(s *State) float64 { return s.TimingDeg }},
		{id: 0x0F, name: "Vehicle.OBD.IntakeTemp", width: 1, offset: 40, read: func(s *State) float64 { return s.IntakeC }},
		{id: 0x10, name: "Vehicle.OBD.MAF", width: 2, read: func(s *State) float64 { return s.MAFGS }},
		{id: 0x11, name: "Vehicle.OBD.ThrottlePosition", width: 1, read: percent(func(s *State) float64 { return s.Throttle })},
		{id: 0x1C, name: "Vehicle.OBD.OBDStandards", width: 1, read: constant(6), word: said{signal: "Vehicle.Obu.OBD.Standard", value: telemetry.Text("EOBD")}},
		{id: 0x1F, name: "Vehicle.OBD.RunTime", width: 2, read: func(s *State) float64 { return math.Floor(s.T.Seconds()) }},
		{id: 0x21, name: "Vehicle.OBD.DistanceWithMIL", width: 2, read: constant(0)},
		{id: 0x2E, name: "Vehicle.OBD.CommandedEVAP", width: 1, read: func(s *State) float64 { return s.EVAPPct }},
		{id: 0x2F, name: "Vehicle.OBD.FuelLevel", width: 1, read: func(s *State) float64 { return s.FuelPct }},
		{id: 0x30, name: "Vehicle.OBD.WarmupsSinceDTCClear", width: 1, read: constant(42)},
		{id: 0x31, name: "Vehicle.OBD.DistanceSinceDTCClear", width: 2, read: func(s *State) float64 { return s.ClearedKM }},
		{id: 0x33, name: "Vehicle.OBD.BarometricPressure", width: 1, read: func(s *State) float64 { return s.BaroKPa }},
		{id: 0x3C, name: "Vehicle.OBD.Catalyst.Bank1.Temperature1", width: 2, offset: 400, read: func(s *State) float64 { return s.CatalystC }},
		{id: 0x42, name: "Vehicle.OBD.ControlModuleVoltage", width: 2, read: func(s *State) float64 { return s.Voltage }},
		{id: 0x43, name: "Vehicle.OBD.AbsoluteLoad", width: 2, read: percent(func(s *State) float64 { return s.Load * s.MAPKPa / 101 })},
		{id: 0x44, name: "Vehicle.OBD.CommandedEquivalenceRatio", width: 2, read: func(s *State) float64 { return s.Lambda }},
		{id: 0x45, name: "Vehicle.OBD.RelativeThrottlePosition", width: 1, read: percent(func(s *State) float64 { return s.Throttle - 0.12 })},
		{id: 0x46, name: "Vehicle.Exterior.AirTemperature", width: 1, offset: 40, read: func(s *State) float64 { return s.AmbientC }},
		{id: 0x49, name: "Vehicle.OBD.AcceleratorPositionD", width: 1, read: percent(func(s *State) float64 { return 0.15 + 0.8*s.Pedal })},
		{id: 0x4E, name: "Vehicle.OBD.TimeSinceDTCCleared", width: 2, read: func(s *State) float64 { return math.Floor(s.ClearedMin) }},
		{id: 0x51, name: "Vehicle.OBD.FuelType", width: 1, read: constant(1), word: said{signal: "Vehicle.Obu.OBD.FuelTypeName", value: telemetry.Text("GAS")}},
		{id: 0x5A, name: "Vehicle.OBD.RelativeAcceleratorPosition", width: 1, read: percent(func(s *State) float64 { return s.Pedal })},
		{id: 0x5C, name: engine + "EngineOil.Temperature", width: 1, offset: 40, read: func(s *State) float64 { return s.OilC }},
		{id: 0x5E, name: "Vehicle.OBD.FuelRate", width: 2, read: func(s *State) float64 { return s.FuelLH }},
		{id: 0x61, name: "Vehicle.Obu.Engine.DemandTorque", width: 1, offset: 125, read: percent(func(s *State) float64 { return s.Pedal })},
		{id: 0x62, name: "Vehicle.Obu.Engine.ActualTorque", width: 1, offset: 125, read: percent(func(s *State) float64 { return s.Load })},
		{id: 0x63, name: "Vehicle.Obu.Engine.ReferenceTorque", width: 2, read: constant(250)},
		{id: 0xA6, name: "Vehicle.TraveledDistance", width: 4, scale: 100, read: func(s *State) float64 { return s.OdometerM }},
	}
}

// gearboxPIDs are what the gearbox's ECU answers, in rising order.
func gearboxPIDs() []pid {
	return []pid{
		{id: 0x0D, name: "Vehicle.Speed", width: 1, read: func(s *State) float64 { return s.SpeedMPS * 3.6 }},
		{id: 0xA4, name: "Vehicle.Powertrain.Transmission.CurrentGear", width: 4, read: func(s *State) float64 { return float64(s.Gear) }},
	}
}

// quantise returns the data bytes of a reading and the value they say.
func (p *pid) quantise(s *State) ([]byte, telemetry.Value) {
	sig, ok := telemetry.Lookup(p.name)
	if !ok {
		panic("virtual: no signal " + p.name + " in the table") // a test walks every pid
	}
	steps := p.read(s)
	scale := max(p.scale, 1)
	if sig.Kind == telemetry.KindFloat {
		steps = steps * float64(sig.Step.Den) / float64(sig.Step.Num)
	} else {
		steps /= float64(scale)
	}
	bits := 8 * p.width
	if p.id == 0xA4 {
		bits = 4
	}
	n := max(int64(math.Round(steps))+p.offset, 0)
	n = min(n, int64(1)<<bits-1)
	v := telemetry.Int((n - p.offset) * scale)
	if sig.Kind == telemetry.KindFloat {
		v = telemetry.Float(sig.Step.Value(n - p.offset))
	}
	return p.bytes(n), v
}

// bytes lays n out as J1979 does.
func (p *pid) bytes(n int64) []byte {
	if p.id == 0xA4 { // gear in the high half of byte B, no ratio
		return []byte{0x01, byte(n) << 4, 0, 0}
	}
	out := make([]byte, p.width)
	for i := range out {
		out[i] = byte(n >> (8 * (p.width - 1 - i)))
	}
	return out
}
