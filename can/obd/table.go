package obd

import (
	"fmt"
	"sync"
	"time"

	"obu/telemetry"
)

const ce = "Vehicle.Powertrain.CombustionEngine."

// DefaultEvery is how often a PID is asked for when nothing else is
// configured: motion each second, temperatures and levels now and then.
func DefaultEvery(pid byte) time.Duration {
	if e := service01[pid].every; e != 0 {
		return e
	}
	return seldom
}

// Periods of DefaultEvery.
const (
	often  = time.Second
	calmly = 10 * time.Second
	seldom = time.Minute
)

// service01 is SAE J1979 service 01. Sizes of PIDs without a formula stand
// here when they can share an answer with other PIDs.
var service01 = buildService01()

func buildService01() (t [256]row) {
	for pid := 0x00; pid <= 0xE0; pid += 0x20 {
		t[pid] = row{size: 4, every: seldom}
	}
	for i, name := range [...]string{"Vehicle.OBD.PidsA", "Vehicle.OBD.PidsB", "Vehicle.OBD.PidsC"} {
		t[i*0x20].fields = []field{{signal: must(name), width: 4, text: pidList(i * 0x20)}}
	}
	t[0x01] = row{size: 4, every: calmly, fields: []field{
		{signal: must("Vehicle.OBD.Status.IsMILOn"), width: 1, shift: 7},
		{signal: must("Vehicle.Diagnostics.DTCCount"), width: 1, mask: 0x7F},
		{signal: must("Vehicle.OBD.Status.IgnitionType"), at: 1, width: 1, shift: 3, mask: 1, text: ignition{}},
	}}
	t[0x02] = row{size: 2, every: seldom, fields: []field{{signal: must("Vehicle.OBD.FreezeDTC"), width: 2, text: dtc{}}}}
	t[0x03] = row{size: 2, every: calmly, fields: []field{{signal: must("Vehicle.OBD.FuelStatus"), width: 2, text: fuelStatus{}}}}
	t[0x04] = one("Vehicle.OBD.EngineLoad", 1, 0, often)
	t[0x05] = one(ce+"EngineCoolant.Temperature", 1, -40, calmly)
	for i, name := range [...]string{"ShortTermFuelTrim1", "LongTermFuelTrim1", "ShortTermFuelTrim2", "LongTermFuelTrim2"} {
		t[0x06+i] = one("Vehicle.OBD."+name, 1, -128, calmly)
	}
	t[0x0A] = one("Vehicle.OBD.FuelPressure", 1, 0, calmly)
	t[0x0B] = one(ce+"MAP", 1, 0, often)
	t[0x0C] = one(ce+"Speed", 2, 0, often)
	t[0x0D] = one("Vehicle.Speed", 1, 0, often)
	t[0x0E] = one("Vehicle.OBD.TimingAdvance", 1, -128, calmly)
	t[0x0F] = one("Vehicle.OBD.IntakeTemp", 1, -40, calmly)
	t[0x10] = one("Vehicle.OBD.MAF", 2, 0, often)
	t[0x11] = one("Vehicle.OBD.ThrottlePosition", 1, 0, often)
	t[0x13] = one("Vehicle.OBD.OxygenSensorsIn2Banks", 1, 0, seldom)
	t[0x15] = row{size: 2, every: calmly, fields: []field{
		{signal: must("Vehicle.OBD.O2.Sensor2.Voltage"), width: 1},
		{signal: must("Vehicle.OBD.O2.Sensor2.ShortTermFuelTrim"), at: 1, width: 1, offset: -128, absent: 0xFF, hasAbsent: true},
	}}
	t[0x1C] = one("Vehicle.OBD.OBDStandards", 1, 0, seldom)
	t[0x1E] = row{size: 1, every: calmly, fields: []field{{signal: must("Vehicle.OBD.IsPTOActive"), width: 1, mask: 1}}}
	t[0x1F] = one("Vehicle.OBD.RunTime", 2, 0, calmly)
	t[0x21] = one("Vehicle.OBD.DistanceWithMIL", 2, 0, seldom)
	t[0x2E] = one("Vehicle.OBD.CommandedEVAP", 1, 0, calmly)
	t[0x2F] = one("Vehicle.OBD.FuelLevel", 1, 0, calmly)
	t[0x30] = one("Vehicle.OBD.WarmupsSinceDTCClear", 1, 0, seldom)
	t[0x31] = one("Vehicle.OBD.DistanceSinceDTCClear", 2, 0, seldom)
	t[0x33] = one("Vehicle.OBD.BarometricPressure", 1, 0, seldom)
	t[0x34] = row{size: 4, every: calmly, fields: []field{
		{signal: must("Vehicle.OBD.O2WR.Sensor1.Lambda"), width: 2},
		{signal: must("Vehicle.OBD.O2WR.Sensor1.Current"), at: 2, width: 2, offset: -32768},
	}}
	for i, name := range [...]string{"Bank1.Temperature1", "Bank2.Temperature1", "Bank1.Temperature2", "Bank2.Temperature2"} {
		t[0x3C+i] = one("Vehicle.OBD.Catalyst."+name, 2, -400, calmly)
	}
	t[0x42] = one("Vehicle.OBD.ControlModuleVoltage", 2, 0, calmly)
	t[0x43] = one("Vehicle.OBD.AbsoluteLoad", 2, 0, often)
	t[0x44] = one("Vehicle.OBD.CommandedEquivalenceRatio", 2, 0, calmly)
	t[0x45] = one("Vehicle.OBD.RelativeThrottlePosition", 1, 0, often)
	t[0x46] = one("Vehicle.Exterior.AirTemperature", 1, -40, seldom)
	t[0x49] = one("Vehicle.OBD.AcceleratorPositionD", 1, 0, often)
	t[0x4D] = one("Vehicle.OBD.RunTimeMIL", 2, 0, seldom)
	t[0x4E] = one("Vehicle.OBD.TimeSinceDTCCleared", 2, 0, seldom)
	t[0x51] = one("Vehicle.OBD.FuelType", 1, 0, seldom)
	t[0x52] = one("Vehicle.OBD.EthanolPercent", 1, 0, seldom)
	t[0x53] = one("Vehicle.OBD.EVAPVaporPressureAbsolute", 2, 0, calmly)
	t[0x5A] = one("Vehicle.OBD.RelativeAcceleratorPosition", 1, 0, often)
	t[0x5B] = one("Vehicle.OBD.HybridBatteryRemaining", 1, 0, calmly)
	t[0x5C] = one(ce+"EngineOil.Temperature", 1, -40, calmly)
	t[0x5E] = one("Vehicle.OBD.FuelRate", 2, 0, often)
	t[0x61] = one("Vehicle.Obu.Engine.DemandTorque", 1, -125, often)
	t[0x62] = one("Vehicle.Obu.Engine.ActualTorque", 1, -125, often)
	t[0x63] = one("Vehicle.Obu.Engine.ReferenceTorque", 2, 0, seldom)
	t[0x9B] = row{size: 4, every: seldom, fields: []field{{signal: must("Vehicle.Obu.DieselExhaustFluid.Level"), at: 3, width: 1, needs: 0x08}}}
	t[0xA4] = row{size: 4, every: often, fields: []field{{signal: must("Vehicle.Powertrain.Transmission.CurrentGear"), at: 1, width: 1, shift: 4, needs: 0x01}}}
	t[0xA6] = row{size: 4, every: seldom, fields: []field{{signal: must("Vehicle.TraveledDistance"), width: 4, scale: 100}}}
	for pid, l := range layouts {
		if l.size != 0 {
			t[pid].size, t[pid].every = l.size, l.every
		}
	}
	for i := range sensors {
		sensors[i].place(&t)
	}
	for i := range exhaust {
		exhaust[i].place(&t)
	}
	return t
}

// entry is a quantity of the long lists, a field by the name of its signal.
// The lists are constant data: hundreds of rows built by code would cost more.
type entry struct {
	name                      string
	text                      textCoder
	offset                    int32
	pid, at, width, shift     uint8
	mask, needs, wide, absent uint8
	scale                     uint8
	signed                    bool
	more                      bool // row.second
}

func (e *entry) place(t *[256]row) {
	f := field{
		signal: must(e.name), at: e.at, width: e.width, shift: e.shift, mask: uint32(e.mask),
		offset: int64(e.offset), scale: int64(e.scale), needs: e.needs, wide: e.wide,
		absent: uint32(e.absent), hasAbsent: e.absent != 0, text: e.text, signed: e.signed,
	}
	r := &t[e.pid]
	if e.more {
		r.second = &f
		return
	}
	r.fields = append(r.fields, f)
}

// one is the row of a PID that is a single number. Fifty copies of it in the
// table's builder would be 10 kB of code.
//
//go:noinline
func one(name string, width uint8, offset int64, every time.Duration) row {
	return row{size: width, every: every, fields: []field{{signal: must(name), width: width, offset: offset}}}
}

// must returns a signal of the telemetry table. The table and this one are
// compiled together; a missing name is a mistake every test run shows.
func must(name string) *telemetry.Signal {
	s, ok := telemetry.Lookup(name)
	if !ok {
		panic("obd: no signal " + name)
	}
	return s
}

// raw01, raw02 and raw09 return the signals of PIDs without a formula. Most cars
// have none, so their names are made when the first one is met.
var (
	raw01 = rawSignals("01")
	raw02 = rawSignals("02")
	raw09 = rawSignals("09")
)

func rawSignals(service string) func(pid byte) *telemetry.Signal {
	all := sync.OnceValue(func() *[256]telemetry.Signal {
		t := new([256]telemetry.Signal)
		for pid := range t {
			t[pid] = telemetry.Signal{Name: rawName(service, byte(pid)), Kind: telemetry.KindBytes, Level: telemetry.LevelDynamic}
		}
		return t
	})
	return func(pid byte) *telemetry.Signal { return &all()[pid] }
}

func rawName(service string, pid byte) string {
	return fmt.Sprintf("Vehicle.Obu.OBD.Service%s.PID%02X", service, pid)
}

var dtcSignals = [...]*telemetry.Signal{
	must("Vehicle.Diagnostics.DTCList"),
	must("Vehicle.Obu.Diagnostics.PendingDTCList"),
	must("Vehicle.Obu.Diagnostics.PermanentDTCList"),
}
