package telemetry_test

import (
	"errors"
	"math"
	"testing"

	"obu/telemetry"
)

// TestConvert: factors are exact, temperatures shifted, other quantities and
// unknown words refused.
func TestConvert(t *testing.T) {
	for _, c := range []struct {
		from, to string
		v, want  float64
	}{
		{"mph", "km/h", 100, 160.9344}, {"m/s", "km/h", 10, 36}, {"kph", "km/h", 7, 7}, {"km/h", "m/s", 36, 10}, {"mph", "m/s", 1, 0.44704},
		{"degF", "Celsius", 212, 100}, {"°F", "degC", -40, -40}, {"K", "°C", 0, -273.15}, {"Celsius", "K", 0, 273.15}, {"deg C", "Celsius", 5, 5},
		{"bar", "kPa", 2.5, 250}, {"psi", "kPa", 1, 6.894757293168}, {"psi", "bar", 14.5037737730, 1}, {"hPa", "kPa", 1013, 101.3}, {"MPa", "bar", 1, 10},
		{"mV", "V", 12500, 12.5}, {"l", "ml", 1, 1000}, {"gal", "l", 1, 3.785411784}, {"%", "percent", 50, 50}, {"ratio", "percent", 0.5, 50},
		{"km", "m", 1.5, 1500}, {"mi", "km", 1, 1.609344}, {"min", "s", 2, 120}, {"h", "s", 1, 3600}, {"1/min", "rpm", 800, 800}, {"rad", "degrees", math.Pi, 180},
		{"g", "m/s^2", 1, 9.80665}, {"mpg", "km/l", 1, 0.425143707}, {"KM/H", "km/h", 3, 3},
	} {
		f, err := telemetry.Convert(c.from, c.to)
		got := (c.v*float64(f.Num) + float64(f.Add)) / float64(f.Den)
		if err != nil || math.Abs(got-c.want) > 1e-9*math.Max(1, math.Abs(c.want)) {
			t.Errorf("%v %s is %v %s, want %v (%+v, %v)", c.v, c.from, got, c.to, c.want, f, err)
		}
		back, err := telemetry.Convert(c.to, c.from)
		if again := (got*float64(back.Num) + float64(back.Add)) / float64(back.Den); err != nil || math.Abs(again-c.v) > 1e-9*math.Max(1, math.Abs(c.v)) {
			t.Errorf("%v %s comes back as %v (%+v, %v)", c.v, c.from, again, back, err)
		}
	}
	for _, c := range []struct {
		from, to string
		want     error
	}{{"V", "km/h", telemetry.ErrQuantity}, {"furlong", "m", telemetry.ErrUnit}, {"", "m", telemetry.ErrUnit}, {"%", "Celsius", telemetry.ErrQuantity}} {
		if _, err := telemetry.Convert(c.from, c.to); !errors.Is(err, c.want) {
			t.Errorf("%q to %q: %v", c.from, c.to, err)
		}
	}
	for word, want := range map[string]string{"degC": "Celsius", "%": "percent", "KPA": "kPa", "furlong": "furlong", "mph": "mph", "mV": "mV"} {
		if got := telemetry.UnitName(word); got != want {
			t.Errorf("%s is called %s, want %s", word, got, want)
		}
	}
}

// TestConvertNeverOverflows: from each unit to each other one and back is the
// same number again.
func TestConvertNeverOverflows(t *testing.T) {
	units := telemetry.UnitWords()
	n := 0
	for _, from := range units {
		for _, to := range units {
			f, err := telemetry.Convert(from, to)
			if err != nil {
				continue
			}
			back, err := telemetry.Convert(to, from)
			there := (1000*float64(f.Num) + float64(f.Add)) / float64(f.Den)
			if again := (there*float64(back.Num) + float64(back.Add)) / float64(back.Den); err != nil || math.Abs(again-1000) > 1e-6 || f.Num <= 0 || f.Den <= 0 {
				t.Errorf("1000 %s is %v %s, which is %v %s", from, there, to, again, from)
			}
			n++
		}
	}
	if n < 200 {
		t.Errorf("%d pairs", n)
	}
}

// TestDeclaredPaths: the table first, then the core tree with its instances.
func TestDeclaredPaths(t *testing.T) {
	for path, want := range map[string]telemetry.Signal{
		"Vehicle.Speed": {Unit: "km/h", Kind: telemetry.KindFloat},
		"Vehicle.Chassis.Axle.Row1.Wheel.Left.Tire.Pressure": {Unit: "kPa", Kind: telemetry.KindInt},
		"Vehicle.Chassis.ParkingBrake.IsEngaged":             {Kind: telemetry.KindBool},
		"Vehicle.Powertrain.Transmission.SelectedGear":       {Kind: telemetry.KindInt},
		"Vehicle.Cabin.Door.Row2.DriverSide.IsOpen":          {Kind: telemetry.KindBool},
	} {
		if s, ok := telemetry.Declared(path); !ok || s.Name != path || s.Unit != want.Unit || s.Kind != want.Kind {
			t.Errorf("%s: %+v, %v", path, s, ok)
		}
	}
	for _, path := range []string{"Vehicle.Chassis.Axle.Row1.Wheel.Speed", "Chassis.ParkingBrake.IsEngaged", "Vehicle.Chassis.ParkingBrake", "Vehicle.int", "Vehicle.float", "Vehicle.", ""} {
		if s, ok := telemetry.Declared(path); ok {
			t.Errorf("%s: %+v", path, s)
		}
	}
}
