package obd

import (
	"fmt"
	"math"
	"time"

	"obu/telemetry"
)

// row is one PID of service 01. Rows without fields have a known size and no
// formula.
type row struct {
	size   uint8         // data bytes
	every  time.Duration // how often asking makes sense, see DefaultEvery
	fields []field
}

// field places one quantity in the data bytes of its PID: the big endian
// number of width bytes at byte at, shifted right and masked; value =
// Step.Value(number + offset) for floats, number*scale + offset for integers.
type field struct {
	signal *telemetry.Signal
	at     uint8
	width  uint8
	shift  uint8
	mask   uint32 // 0: every bit
	offset int64
	scale  int64  // integers only; 0 means 1
	needs  uint8  // support bits in data byte 0; the quantity is doubtful without them
	absent uint32 // number that stands for "not there", when hasAbsent
	text   textCoder

	hasAbsent bool
}

// textCoder is the reading of a number as text, and back.
type textCoder interface {
	format(n uint32) (s string, sure bool)
	parse(s string) (n uint32, ok bool)
}

func (f *field) number(data []byte) uint32 {
	var n uint32
	for _, b := range data[f.at : f.at+f.width] {
		n = n<<8 | uint32(b)
	}
	n >>= f.shift
	if f.mask != 0 {
		n &= f.mask
	}
	return n
}

func (f *field) present(data []byte) bool {
	return !f.hasAbsent || f.number(data) != f.absent
}

func (f *field) read(data []byte) Reading {
	n := f.number(data)
	r := Reading{Signal: f.signal}
	switch f.signal.Kind {
	case telemetry.KindFloat:
		v := f.signal.Step.Value(int64(n) + f.offset)
		r.Value = telemetry.Float(v)
		if !f.signal.InRange(v) {
			r.Quality = telemetry.QualityDoubtful
		}
	case telemetry.KindInt:
		v := int64(n)*max(f.scale, 1) + f.offset
		r.Value = telemetry.Int(v)
		if !f.signal.InRange(float64(v)) {
			r.Quality = telemetry.QualityDoubtful
		}
	case telemetry.KindBool:
		r.Value = telemetry.Bool(n != 0)
	default:
		s, sure := f.text.format(n)
		r.Value = telemetry.Text(s)
		if !sure {
			r.Quality = telemetry.QualityDoubtful
		}
	}
	if data[0]&f.needs != f.needs {
		r.Quality = telemetry.QualityDoubtful
	}
	return r
}

// write puts v into data, rounded to the nearest step; it reports whether v
// can be expressed.
func (f *field) write(data []byte, v telemetry.Value) bool {
	var n int64
	switch f.signal.Kind {
	case telemetry.KindFloat:
		s := f.signal.Step
		n = int64(math.Round(v.Float()*float64(s.Den)/float64(s.Num))) - f.offset
	case telemetry.KindInt:
		n = int64(math.Round((v.Float() - float64(f.offset)) / float64(max(f.scale, 1))))
	case telemetry.KindBool:
		if v.Bool() {
			n = 1
		}
	default:
		u, ok := f.text.parse(v.Text())
		if !ok {
			return false
		}
		n = int64(u)
	}
	limit := int64(1)<<(8*f.width) - 1
	limit >>= f.shift
	if f.mask != 0 {
		limit &= int64(f.mask)
	}
	if v.Kind() == telemetry.KindNone || n < 0 || n > limit {
		return false
	}
	data[0] |= f.needs
	bits := uint32(n) << f.shift
	for i := int(f.width) - 1; i >= 0; i-- {
		data[int(f.at)+i] |= byte(bits)
		bits >>= 8
	}
	return true
}

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
	t[0x01] = row{4, seldom, []field{
		{signal: must("Vehicle.OBD.Status.IsMILOn"), width: 1, shift: 7},
		{signal: must("Vehicle.Diagnostics.DTCCount"), width: 1, mask: 0x7F},
		{signal: must("Vehicle.OBD.Status.IgnitionType"), at: 1, width: 1, shift: 3, mask: 1, text: ignition{}},
	}}
	t[0x02] = row{2, seldom, []field{{signal: must("Vehicle.OBD.FreezeDTC"), width: 2, text: dtc{}}}}
	t[0x03] = row{2, calmly, []field{{signal: must("Vehicle.OBD.FuelStatus"), width: 2, text: fuelStatus{}}}}
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
	t[0x15] = row{2, calmly, []field{
		{signal: must("Vehicle.OBD.O2.Sensor2.Voltage"), width: 1},
		{signal: must("Vehicle.OBD.O2.Sensor2.ShortTermFuelTrim"), at: 1, width: 1, offset: -128, absent: 0xFF, hasAbsent: true},
	}}
	t[0x1C] = one("Vehicle.OBD.OBDStandards", 1, 0, seldom)
	t[0x1E] = row{1, calmly, []field{{signal: must("Vehicle.OBD.IsPTOActive"), width: 1, mask: 1}}}
	t[0x1F] = one("Vehicle.OBD.RunTime", 2, 0, calmly)
	t[0x21] = one("Vehicle.OBD.DistanceWithMIL", 2, 0, seldom)
	t[0x2E] = one("Vehicle.OBD.CommandedEVAP", 1, 0, calmly)
	t[0x2F] = one("Vehicle.OBD.FuelLevel", 1, 0, calmly)
	t[0x30] = one("Vehicle.OBD.WarmupsSinceDTCClear", 1, 0, seldom)
	t[0x31] = one("Vehicle.OBD.DistanceSinceDTCClear", 2, 0, seldom)
	t[0x33] = one("Vehicle.OBD.BarometricPressure", 1, 0, seldom)
	t[0x34] = row{4, calmly, []field{
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
	t[0x9B] = row{4, seldom, []field{{signal: must("Vehicle.Obu.DieselExhaustFluid.Level"), at: 3, width: 1, needs: 0x08}}}
	t[0xA4] = row{4, often, []field{{signal: must("Vehicle.Powertrain.Transmission.CurrentGear"), at: 1, width: 1, shift: 4, needs: 0x01}}}
	t[0xA6] = row{4, seldom, []field{{signal: must("Vehicle.TraveledDistance"), width: 4, scale: 100}}}
	return t
}

// one is the row of a PID that is a single number.
func one(name string, width uint8, offset int64, every time.Duration) row {
	return row{width, every, []field{{signal: must(name), width: width, offset: offset}}}
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

// raw01 and raw09 are the signals of PIDs without a formula.
var (
	raw01 = rawSignals("01")
	raw09 = rawSignals("09")
)

func rawSignals(service string) (t [256]telemetry.Signal) {
	for pid := range t {
		t[pid] = telemetry.Signal{
			Name:  fmt.Sprintf("Vehicle.Obu.OBD.Service%s.PID%02X", service, pid),
			Kind:  telemetry.KindBytes,
			Level: telemetry.LevelDynamic,
		}
	}
	return t
}

var dtcSignals = [...]*telemetry.Signal{
	must("Vehicle.Diagnostics.DTCList"),
	must("Vehicle.Obu.Diagnostics.PendingDTCList"),
	must("Vehicle.Obu.Diagnostics.PermanentDTCList"),
}
