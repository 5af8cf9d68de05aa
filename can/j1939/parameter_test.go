package j1939_test

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"

	"obu/can/j1939"
	"obu/telemetry"
)

// TestParameters decodes payloads worked out by hand from J1939-71.
func TestParameters(t *testing.T) {
	for _, c := range []struct {
		pgn     j1939.PGN
		payload string
		want    []string
		absent  j1939.Absent
	}{
		{61444, "F1 7D 8C 00 20 FF FF 7E", []string{"899 EngineTorqueMode 1", "512 DriverDemandTorque 0", "513 ActualTorque 15", "190 Speed 1024", "2432 DemandTorque 1"}, j1939.Absent{}},
		{61444, "FF FF FF FF FF FF FF FE", nil, j1939.Absent{Missing: 4, Failed: 1}},
		{61444, "F0 7D", []string{"899 EngineTorqueMode 0", "512 DriverDemandTorque 0"}, j1939.Absent{Short: 3}},
		{61444, "FF FF FF FF FA FF FF FF", []string{"190 Speed 8031.875"}, j1939.Absent{Missing: 4}},
		{61444, "FF FF FF 00 FB FF FF FF", nil, j1939.Absent{Missing: 4, Special: 1}},
		{65265, "F7 00 50 D1 FF 5A 1F FF", []string{"70 IsEngaged true", "84 Speed 80", "595 IsActive true", "596 IsEnabled false", "597 IsBrakePressed true", "86 SpeedSet 90", "527 CruiseControlState 0"}, j1939.Absent{Missing: 2}},
		{65262, "7D 5A 00 30 00 00 28 FF", []string{"110 Temperature 85", "174 FuelTemperature 50", "175 Temperature 111", "176 TurboOilTemperature -273", "52 IntercoolerTemperature 0"}, j1939.Absent{}},
		{65217, "40 42 0F 00 FF FF FF FF", []string{"917 TraveledDistance 5000000"}, j1939.Absent{Missing: 1}},
		{65253, "48 11 00 00 FF FF FF FF", []string{"247 EngineHours 221.2"}, j1939.Absent{Missing: 1}},
		{65257, "FF FF FF FF 03 00 00 00", []string{"250 TotalFuel 1.5"}, j1939.Absent{Missing: 1}},
		{64777, "FF FF FF FF 01 00 00 FA", []string{"5054 TotalFuelFine 4.194304001e+06"}, j1939.Absent{Missing: 1}},
		{65132, "42 1F 1F C0 FF FF 00 3C", []string{"1612 Driver1WorkingState 2", "1613 Driver2WorkingState 0", "1611 IsVehicleMoving true", "1615 HasDriver1Card true", "1614 IsOverspeed false", "1616 HasDriver2Card true", "1624 TachographSpeed 60"}, j1939.Absent{Missing: 4}},
		{65258, "10 10 27 FF FF FF FF FF", []string{"582 Weight 5000"}, j1939.Absent{}},
		{65258, "90 10 27 FF FF FF FF FF", nil, j1939.Absent{}}, // an axle beyond those that are named
		{65258, "", nil, j1939.Absent{}},
		{65266, "64 00 00 08 FF FF FA FF", []string{"183 FuelRate 5", "184 FuelEconomy 4", "51 ThrottlePosition 100"}, j1939.Absent{Missing: 1}},
		{65271, "7D 00 FF FF 1C 02 FF FF", []string{"114 BatteryCurrent 0", "115 AlternatorCurrent 0", "168 CurrentVoltage 27"}, j1939.Absent{Missing: 2}},
		{65276, "FF C8 FF FF FF FF FF FF", []string{"96 FuelLevel 80"}, j1939.Absent{Missing: 3}},
		{61445, "7E E8 03 7C FF FF FF FF", []string{"524 SelectedGear 1", "526 GearRatio 1", "523 CurrentGear -1"}, j1939.Absent{}},
		{61445, "FB FF FF FB FF FF FF FF", []string{"524 SelectedGear 126"}, j1939.Absent{Missing: 1, Special: 1}}, // park, which a gear that is in cannot be
		{1, "00 00", nil, j1939.Absent{}},
	} {
		p, err := hex.DecodeString(joined(c.payload))
		if err != nil {
			t.Fatal(err)
		}
		var absent j1939.Absent
		var got []string
		for _, r := range j1939.Read(nil, c.pgn, p, &absent) {
			got = append(got, fmt.Sprintf("%d %s %s", r.SPN, lastPart(r.Signal.Name), r.Value))
		}
		if !reflect.DeepEqual(got, c.want) || absent != c.absent {
			t.Errorf("%v %s: %q %+v, want %q %+v", c.pgn, c.payload, got, absent, c.want, c.absent)
		}
	}
}

func joined(s string) (out string) {
	for _, r := range s {
		if r != ' ' {
			out += string(r)
		}
	}
	return out
}

func lastPart(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i+1:]
		}
	}
	return name
}

// TestTable: the table is in order, no name stands twice, and no two
// parameters of a group share a bit.
func TestTable(t *testing.T) {
	names := make(map[string]bool)
	bits := make(map[string]string)
	last := j1939.PGN(0)
	for i, r := range j1939.Rows() {
		if r.PGN < last {
			t.Errorf("row %d: group %v stands behind %v", i, r.PGN, last)
		}
		last = r.PGN
		if names[r.Name] {
			t.Errorf("%s stands twice", r.Name)
		}
		names[r.Name] = true
		for b := r.Bit; b < r.Bit+r.Size; b++ {
			key := fmt.Sprintf("group %v axle %d bit %d", r.PGN, r.Axle, b)
			if bits[key] != "" {
				t.Errorf("%s is of %s and of %s", key, bits[key], r.Name)
			}
			bits[key] = r.Name
		}
		if r.Bit+r.Size > 64 || r.Size < 8 && r.Bit/8 != (r.Bit+r.Size-1)/8 || r.Size >= 8 && r.Bit%8 != 0 {
			t.Errorf("%s: %d bits from %d", r.Name, r.Size, r.Bit)
		}
	}
}

// TestFacts reads what rarely changes.
func TestFacts(t *testing.T) {
	for _, c := range []struct {
		pgn     j1939.PGN
		payload string
		want    []string
	}{
		{j1939.PGNDM1, "\x44\xff\xbe\x00\x02\x05\x6e\x00\x03\x7f", []string{"DM1.ProtectLamp off", "DM1.AmberLamp on", "DM1.RedStopLamp off", "DM1.MIL on", "DM1.DTCList SPN 190 FMI 2 OC 5,SPN 110 FMI 3"}},
		{j1939.PGNDM2, "\x00\xff\x00\x00\x00\x00\xff\xff", []string{"DM2.ProtectLamp off", "DM2.AmberLamp off", "DM2.RedStopLamp off", "DM2.MIL off", "DM2.DTCList "}},
		{j1939.PGNVehicleID, "WDB9634031L738123*", []string{"VIN WDB9634031L738123"}},
		{j1939.PGNVehicleID, "\xff\xff\xff\xff\xff\xff\xff\xff", nil},
		{j1939.PGNSoftwareID, "\x02V1.2*B7*\xff", []string{"SoftwareIdentification V1.2*B7"}},
		{j1939.PGNComponentID, "MAKR*M\xfcller*123*\x00", []string{"ComponentIdentification MAKR*Müller*123"}},
		{j1939.PGNECUID, "P1*S2*\xff\xff", []string{"ECUIdentification P1*S2"}},
		{j1939.PGNClaim, "\x45\x23\x61\x1f\x0b\x81\x02\x95", []string{"Name 9502810B1F612345"}},
	} {
		kind, ok := j1939.IsFact(c.pgn)
		if !ok || j1939.FactPGN(kind) != c.pgn {
			t.Errorf("%v is no fact", c.pgn)
		}
		all, err := j1939.Describe(nil, c.pgn, []byte(c.payload))
		var got []string
		for _, r := range all {
			name := r.Signal.Name
			for _, prefix := range []string{"Vehicle.Obu.J1939.", "Vehicle.VehicleIdentification."} {
				if len(name) > len(prefix) && name[:len(prefix)] == prefix {
					name = name[len(prefix):]
				}
			}
			got = append(got, name+" "+r.Value.Text())
		}
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v %q: %q %v, want %q", c.pgn, c.payload, got, err, c.want)
		}
	}
	for _, pgn := range []j1939.PGN{j1939.PGNDM1, j1939.PGNClaim, j1939.PGNSoftwareID} {
		if r, err := j1939.Describe(nil, pgn, []byte{1}); err == nil || len(r) > 0 {
			t.Errorf("%v of one byte: %v", pgn, r)
		}
	}
}

// TestChanges: a code whose occurrence rises has neither come nor gone.
func TestChanges(t *testing.T) {
	before := []byte("\x00\xff\xbe\x00\x02\x05\x6e\x00\x03\x01")
	now := []byte("\x00\xff\xbe\x00\x02\x06\x64\x00\x01\x01")
	var got []string
	for _, r := range j1939.Changes(nil, j1939.PGNDM1, before, now) {
		got = append(got, lastPart(r.Signal.Name)+" "+r.Value.Text())
	}
	if want := []string{"DTCAppeared SPN 100 FMI 1 OC 1", "DTCCleared SPN 110 FMI 3 OC 1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if r := j1939.Changes(nil, j1939.PGNDM1, nil, now); len(r) > 0 {
		t.Errorf("a first message: %v", r)
	}
}

// TestCorePaths holds the paths of the VSS core tree against release 6.0 (tag v6.0
// of github.com/COVESA/vehicle_signal_specification): datatype and unit.
func TestCorePaths(t *testing.T) {
	core := map[string]string{
		"Vehicle.ADAS.CruiseControl.IsActive":                           "bool ",
		"Vehicle.ADAS.CruiseControl.IsEnabled":                          "bool ",
		"Vehicle.ADAS.CruiseControl.SpeedSet":                           "float km/h",
		"Vehicle.Cabin.HVAC.AmbientAirTemperature":                      "float Celsius",
		"Vehicle.Chassis.ParkingBrake.IsEngaged":                        "bool ",
		"Vehicle.Exterior.AirTemperature":                               "float Celsius",
		"Vehicle.LowVoltageBattery.CurrentVoltage":                      "float V",
		"Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature": "float Celsius",
		"Vehicle.Powertrain.CombustionEngine.EngineHours":               "float h",
		"Vehicle.Powertrain.CombustionEngine.EngineOil.Temperature":     "float Celsius",
		"Vehicle.Powertrain.CombustionEngine.Speed":                     "float rpm",
		"Vehicle.Powertrain.Transmission.CurrentGear":                   "int ",
		"Vehicle.Powertrain.Transmission.SelectedGear":                  "int ",
		"Vehicle.Speed":            "float km/h",
		"Vehicle.TraveledDistance": "int m",
	}
	for i := range j1939.Parameters {
		s := j1939.Signal(i)
		if s.Level != telemetry.LevelCore {
			continue
		}
		if got := s.Kind.String() + " " + s.Unit; got != core[s.Name] {
			t.Errorf("%s is %q, VSS has %q", s.Name, got, core[s.Name])
		}
		if d, ok := telemetry.Declared(s.Name); !ok || d.Unit != s.Unit || d.Kind != s.Kind {
			t.Errorf("%s: declared as %+v", s.Name, d)
		}
	}
}
