package dbc_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"obu/can/dbc"
	"obu/telemetry"
)

const nameDBC = `BO_ 513 Engine: 8 X
 SG_ Speed : 0|16@1+ (0.1,0) [0|0] "mph" X
 SG_ Temp : 16|8@1+ (1,-40) [0|0] "degF" X
 SG_ Oil : 24|8@1+ (0.5,0) [0|0] "psi" X
 SG_ Load : 32|8@1+ (1,0) [0|100] "%" X
 SG_ Door : 40|1@1+ (1,0) [0|1] "" X
 SG_ Mode : 41|2@1+ (1,0) [0|3] "" X
 SG_ Bare : 48|8@1+ (1,0) [0|0] "" X
 SG_ Gear : 56|8@1- (1,0) [0|0] "gear" X
BO_ 514 Slow: 8 X
 SG_ Angle : 0|16@1- (0.1,0) [0|0] "deg" X
 SG_ Odo : 16|24@1+ (0.1,0) [0|0] "km" X
 SG_ Real : 40|8@1+ (0.25,0) [0|0] "bar" X
`

// TestNames: numbers come in the unit of the path and its datatype, without a
// lost digit where the factor is decimal.
func TestNames(t *testing.T) {
	for _, c := range []struct {
		name dbc.Name
		data []byte
		want string // value, kind and unit
	}{
		{dbc.Name{Signal: "Engine.Speed", Path: "Vehicle.Speed"}, []byte{0xE8, 3}, "160.9344 float km/h"}, // 100.0 mph
		{dbc.Name{Signal: "Engine.Temp", Path: "Vehicle.Exterior.AirTemperature"}, []byte{0, 0, 252}, "100 float Celsius"},
		{dbc.Name{Signal: "Engine.Oil", Path: "Vehicle.Obu.Oil.Pressure", Unit: "kPa"}, []byte{0, 0, 0, 2}, "6.894757293168 float kPa"},
		{dbc.Name{Signal: "Engine.Oil", Path: "Vehicle.Obu.Oil.Pressure"}, []byte{0, 0, 0, 2}, "1 float psi"},
		{dbc.Name{Signal: "Engine.Load", Path: "Vehicle.Chassis.Brake.PedalPosition"}, []byte{0, 0, 0, 0, 55}, "55 int percent"},
		{dbc.Name{Signal: "Engine.Load", Path: "Vehicle.OBD.EngineLoad"}, []byte{0, 0, 0, 0, 55}, "55 float percent"},
		{dbc.Name{Signal: "Engine.Door", Path: "Vehicle.Cabin.Door.Row1.DriverSide.IsOpen"}, []byte{0, 0, 0, 0, 0, 1}, "true bool "},
		{dbc.Name{Signal: "Engine.Bare", Path: "Vehicle.Speed", From: "m/s"}, []byte{0, 0, 0, 0, 0, 0, 10}, "36 float km/h"},
		{dbc.Name{Signal: "Engine.Gear", Path: "Vehicle.Powertrain.Transmission.CurrentGear"}, []byte{0, 0, 0, 0, 0, 0, 0, 0xFF}, "-1 int "},
		{dbc.Name{Signal: "Slow.Odo", Path: "Vehicle.TraveledDistance"}, []byte{0, 0, 15, 0, 0}, "1500 int m"},
		{dbc.Name{Signal: "Slow.Real", Path: "Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure"}, []byte{0, 0, 0, 0, 0, 9}, "225 int kPa"},
	} {
		f, err := dbc.Parse("car.dbc", []byte(nameDBC))
		if err != nil {
			t.Fatal(err)
		}
		if found, err := f.Apply(c.name); !found || err != nil {
			t.Errorf("%s: %v, %v", c.name.Signal, found, err)
			continue
		}
		id := uint32(513)
		if strings.HasPrefix(c.name.Signal, "Slow") {
			id = 514
		}
		got := ""
		dbc.Compile(f).Decode(id, false, c.data, func(s *dbc.Signal, _ int64, v telemetry.Value) {
			if s.Telemetry.Name == c.name.Path {
				got = fmt.Sprintf("%v %v %s", v, v.Kind(), s.Telemetry.Unit)
				if s.Telemetry.Kind != v.Kind() {
					t.Errorf("%s: declared as %v", c.name.Path, s.Telemetry.Kind)
				}
				if _, exact := s.Telemetry.Step.Steps(v.Float()); !s.Telemetry.Step.IsZero() && !exact {
					t.Errorf("%s: %v is no whole number of %+v", c.name.Path, v, s.Telemetry.Step)
				}
			}
		})
		if got != c.want {
			t.Errorf("%s as %s: %q, want %q", c.name.Signal, c.name.Path, got, c.want)
		}
	}
}

// TestNamesThatDoNotFit: each is refused with what is wrong and what to do, and
// the signal stays under its own name.
func TestNamesThatDoNotFit(t *testing.T) {
	for _, c := range []struct {
		name dbc.Name
		want string
	}{
		{dbc.Name{Signal: "Engine.Temp", Path: "Vehicle.Speed"}, "degF does not fit km/h"},
		{dbc.Name{Signal: "Engine.Bare", Path: "Vehicle.Speed"}, "the file does not say in which unit it is, and the path is in km/h; add `from`"},
		{dbc.Name{Signal: "Engine.Gear", Path: "Vehicle.Speed"}, "nothing converts gear to km/h"},
		{dbc.Name{Signal: "Slow.Angle", Path: "Vehicle.Chassis.SteeringWheel.Angle"}, "the path has whole numbers and the signal has fractions"},
		{dbc.Name{Signal: "Engine.Oil", Path: "Vehicle.Powertrain.CombustionEngine.EOP"}, "the path has whole numbers and the signal has fractions"},
		{dbc.Name{Signal: "Engine.Mode", Path: "Vehicle.Chassis.ParkingBrake.IsEngaged"}, "the path is true or false and the signal has 2 bits"},
		{dbc.Name{Signal: "Engine.Speed", Path: "Vehicle.Chassis.ParkingBrake.IsEngaged"}, "its numbers are in mph and the path has no unit"},
		{dbc.Name{Signal: "Engine.Speed", Path: "Vehicle.Speed", Unit: "m/s"}, "the path is in km/h; remove `unit`"},
		{dbc.Name{Signal: "Engine.Bare", Path: "Vehicle.VehicleIdentification.VIN"}, "the path is no number"},
	} {
		f, err := dbc.Parse("car.dbc", []byte(nameDBC))
		if err != nil {
			t.Fatal(err)
		}
		found, err := f.Apply(c.name)
		if !found || !errors.Is(err, dbc.ErrName) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.name.Signal) {
			t.Errorf("%s as %s: %v, want %s", c.name.Signal, c.name.Path, err, c.want)
		}
		own := 0
		dbc.Compile(f).Decode(513, false, make([]byte, 8), func(s *dbc.Signal, _ int64, _ telemetry.Value) {
			if strings.HasPrefix(s.Telemetry.Name, "Engine.") {
				own++
			}
		})
		if own != 8 {
			t.Errorf("%s: %d signals under their own names", c.name.Signal, own)
		}
	}
	f, _ := dbc.Parse("car.dbc", []byte(nameDBC))
	if found, err := f.Apply(dbc.Name{Signal: "Engine.None", Path: "Vehicle.Speed"}); found || err != nil {
		t.Errorf("%v, %v", found, err)
	}
}

// TestNamesOfOddFactors: what no whole numbers hold comes as the nearest double.
func TestNamesOfOddFactors(t *testing.T) {
	text := "BO_ 513 E: 8 X\n SG_ A : 0|32@1+ (0.123456789012345,-7.5) [0|0] \"psi\" X\n SG_ B : 32|32@1- (1,0) [0|0] \"mph\" X\nSIG_VALTYPE_ 513 B : 1;\n"
	f, err := dbc.Parse("car.dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []dbc.Name{{Signal: "E.A", Path: "Vehicle.Obu.A", Unit: "bar"}, {Signal: "E.B", Path: "Vehicle.Speed"}} {
		if found, err := f.Apply(n); !found || err != nil {
			t.Fatal(found, err)
		}
	}
	want := []float64{(1e6*0.123456789012345 - 7.5) * 6894.757293168 / 1e5, 1.5 * 1.609344}
	i := 0
	bits := math.Float32bits(1.5)
	data := []byte{0x40, 0x42, 0x0F, 0, byte(bits), byte(bits >> 8), byte(bits >> 16), byte(bits >> 24)}
	dbc.Compile(f).Decode(513, false, data, func(s *dbc.Signal, _ int64, v telemetry.Value) {
		if math.Abs(v.Float()-want[i]) > 1e-12*want[i] {
			t.Errorf("%s is %v, want %v", s.Telemetry.Name, v, want[i])
		}
		i++
	})
	if i != 2 {
		t.Errorf("%d values", i)
	}
}
