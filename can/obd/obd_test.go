package obd_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"obu/can/obd"
	"obu/telemetry"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	s = strings.ReplaceAll(s, " ", "")
	b := make([]byte, len(s)/2)
	if len(b) == 0 {
		return b
	}
	if _, err := fmt.Sscanf(s, "%X", &b); err != nil {
		t.Fatal(err)
	}
	return b
}

func show(rs []obd.Reading) string {
	var out []string
	for _, r := range rs {
		name := r.Signal.Name[strings.LastIndexByte(r.Signal.Name, '.')+1:]
		s := name + "=" + r.Value.String()
		if r.Quality != telemetry.QualityLive {
			s += "!" + r.Quality.String()
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// TestDecode pins one answer of each PID of the table, and the odd ones.
func TestDecode(t *testing.T) {
	for _, c := range []struct{ payload, want string }{
		{"41 00 BE 1F A8 13", "PidsA=01,03,04,05,06,07,0C,0D,0E,0F,10,11,13,15,1C,1F,20"},
		{"41 20 80 00 00 01", "PidsB=21,40"},
		{"41 40 40 00 00 00", "PidsC=42"},
		{"41 60 40 00 00 00", "PidsD=62"},
		{"41 01 83 07 65 04", "IsMILOn=true DTCCount=3 IgnitionType=SPARK Supported=MIS,FUEL,CCM,CAT,EVAP,O2S,HTR Incomplete=EVAP"},
		{"41 01 00 0F 00 00", "IsMILOn=false DTCCount=0 IgnitionType=COMPRESSION Supported=MIS,FUEL,CCM Incomplete="},
		{"41 02 03 01", "FreezeDTC=P0301"},
		{"41 02 00 00", "FreezeDTC="},
		{"41 03 02 00", "FuelStatus=CL"},
		{"41 03 02 04", "FuelStatus=CL,OL-Drive"},
		{"41 03 00 00", "FuelStatus=OFF"},
		{"41 03 06 00", "FuelStatus=0x06!doubtful"},
		{"41 04 FF", "EngineLoad=100"},
		{"41 05 00", "Temperature=-40"},
		{"41 06 00", "ShortTermFuelTrim1=-100"},
		{"41 07 FF", "LongTermFuelTrim1=99.21875"},
		{"41 08 8B", "ShortTermFuelTrim2=8.59375"},
		{"41 09 71", "LongTermFuelTrim2=-11.71875"},
		{"41 0A FF", "FuelPressure=765"},
		{"41 0B 63", "MAP=99"},
		{"41 0C 1A F8", "Speed=1726"},
		{"41 0C 18 A9", "Speed=1578.25"},
		{"41 0D 4A", "Speed=74"},
		{"41 0E 00", "TimingAdvance=-64"},
		{"41 0F 41", "IntakeTemp=25"},
		{"41 10 18 EB", "MAF=63.79"},
		{"41 11 2E", "ThrottlePosition=18.03921568627451"},
		{"41 13 33", "OxygenSensorsIn2Banks=51"},
		{"41 15 A1 80", "Voltage=0.805 ShortTermFuelTrim=0"},
		{"41 15 9C FF", "Voltage=0.78"}, // FF: not used for the trim
		{"41 1C 06", "OBDStandards=6 Standard=EOBD"},
		{"41 1E 01", "IsPTOActive=true"},
		{"41 1F 14 76", "RunTime=5238"},
		{"41 21 00 10", "DistanceWithMIL=16"},
		{"41 2E FF", "CommandedEVAP=100"},
		{"41 2F 51", "FuelLevel=31.764705882352942"},
		{"41 30 FF", "WarmupsSinceDTCClear=255"},
		{"41 31 51 B4", "DistanceSinceDTCClear=20916"},
		{"41 33 63", "BarometricPressure=99"},
		{"41 34 80 00 80 01", "Lambda=1 Current=3.90625e-06"},
		{"41 3C 1C 70", "Temperature1=688"},
		{"41 3F 00 00", "Temperature2=-40"},
		{"41 42 39 99", "ControlModuleVoltage=14.745"},
		{"41 43 01 00", "AbsoluteLoad=100.3921568627451"},
		{"41 44 80 00", "CommandedEquivalenceRatio=1"},
		{"41 45 15", "RelativeThrottlePosition=8.235294117647058"},
		{"41 46 3B", "AirTemperature=19"},
		{"41 49 45", "AcceleratorPositionD=27.058823529411764"},
		{"41 4D 00 01", "RunTimeMIL=1"},
		{"41 4E 42 05", "TimeSinceDTCCleared=16901"},
		{"41 51 01", "FuelType=1 FuelTypeName=GAS"},
		{"41 52 FF", "EthanolPercent=100"},
		{"41 53 4B DA", "EVAPVaporPressureAbsolute=97.09"},
		{"41 5A 33", "RelativeAcceleratorPosition=20"},
		{"41 5B 7E", "HybridBatteryRemaining=49.411764705882355"},
		{"41 5C 7E", "Temperature=86"},
		{"41 5E 00 35", "FuelRate=2.65"},
		{"41 61 00", "DemandTorque=-125"},
		{"41 62 D1", "ActualTorque=84"},
		{"41 63 01 CF", "ReferenceTorque=463"},
		{"41 9B 3F 82 3C 80", "Level=50.19607843137255 Condition=PROPER Concentration=32.5 Temperature=20"},
		{"41 9B 01 00 00 80", "Level=50.19607843137255!unsupported Condition=UREA TOO HIGH Concentration=0!unsupported Temperature=-40!unsupported"}, // says it has no level
		{"41 A4 01 70 00 00", "CurrentGear=7 GearRatio=0!unsupported"},
		{"41 A6 00 0C 8A 2E", "TraveledDistance=82180600"},
		{"41 6C 03 01 15 00 00", "Commanded=0.39215686274509803 Position=8.235294117647058 Commanded=0!unsupported Position=0!unsupported"},
		{"41 12 04", "AirStatus=OFF"},
		// several PIDs in one answer, and padding behind one
		{"41 0C 1A F8 0D 4A 05 7E", "Speed=1726 Speed=74 Temperature=86"},
		{"41 0D 4A 6C 03 01", "Speed=74!doubtful"},
		{"41 0D 4A 55 55", "Speed=74"},
		{"41 0D 4A C7 34", "Speed=74!doubtful"},
		// other services
		{"49 02 01 57 56 57 5A 5A 5A 31 4A 5A 58 57 30 30 30 30 30 31", "VIN=WVWZZZ1JZXW000001"},
		{"49 02 01 00 00 00 57 56 57 5A 5A 5A 31 4A 5A 58 57 30 30 30 30 30 31", "VIN=WVWZZZ1JZXW000001"},
		{"49 02 01 4E 5A 45 31 32 31 2D 30 30 30 31", "VIN=NZE121-0001!doubtful"},
		{"49 04 01 41 42", "PID04=014142"},
		{"43 00", "DTCList="},
		{"43 02 03 01 C1 23", "DTCList=P0301,U0123"},
		{"47 01 04 20", "PendingDTCList=P0420"},
		{"4A 01 82 6D", "PermanentDTCList=B026D"},
	} {
		rs, err := obd.Decode(nil, unhex(t, c.payload))
		if got := show(rs); got != c.want || err != nil {
			t.Errorf("%s: %s (%v)\nwant %s", c.payload, got, err, c.want)
		}
	}
}

func TestDamagedAnswers(t *testing.T) {
	for payload, want := range map[string]error{
		"": obd.ErrShort, "41": obd.ErrShort, "41 0C": obd.ErrShort, "41 0C 1A": obd.ErrShort,
		"41 A6 00 00 00": obd.ErrShort, "49 02": obd.ErrShort, "43": obd.ErrShort, "43 02 03 01": obd.ErrShort,
		"62 F1 90": obd.ErrService, "7F 01 12": obd.ErrService, "01 0C": obd.ErrService,
		"49 02 01 00 00 00": obd.ErrVIN, "49 02 01 80 81 82": obd.ErrVIN,
		"49 02 01" + strings.Repeat("41", 40): obd.ErrVIN,
	} {
		rs, err := obd.Decode(nil, unhex(t, payload))
		if !errors.Is(err, want) || len(rs) != 0 {
			t.Errorf("%q: %v and %v, want %v", payload, show(rs), err, want)
		}
	}
}

// TestEncodeIsTheInverse runs every value of every byte through Decode, Encode
// and Decode again, for each PID with a formula.
func TestEncodeIsTheInverse(t *testing.T) {
	checked := 0
	for pid := range 256 {
		if !obd.HasFormula(byte(pid)) {
			continue
		}
		data := make([]byte, obd.Size(byte(pid)))
		for at := range data {
			for b := range 256 {
				data[at] = byte(b)
				first := decodeOne(t, byte(pid), data)
				if len(first) != len(obd.Signals(byte(pid))) {
					continue // a quantity that is not there
				}
				values := make([]telemetry.Value, len(first))
				for i, r := range first {
					values[i] = r.Value
					if n, exact := r.Signal.Step.Steps(r.Value.Float()); r.Signal.Kind == telemetry.KindFloat && !exact {
						t.Fatalf("PID %02X % X: %v is no whole step of %s (%d)", pid, data, r.Value, r.Signal.Name, n)
					}
				}
				again, err := obd.Encode(byte(pid), values...)
				if err != nil {
					t.Fatalf("PID %02X % X: %v", pid, data, err)
				}
				for i, r := range decodeOne(t, byte(pid), again) {
					if r.Value != first[i].Value {
						t.Fatalf("PID %02X % X: %v became % X and %v", pid, data, first, again, r.Value)
					}
				}
				checked++
			}
		}
	}
	t.Logf("%d values", checked)
}

func decodeOne(t *testing.T, pid byte, data []byte) []obd.Reading {
	t.Helper()
	rs, err := obd.Decode(nil, append([]byte{0x41, pid}, data...))
	if err != nil {
		t.Fatalf("PID %02X % X: %v", pid, data, err)
	}
	return rs
}

func TestEncodeRefuses(t *testing.T) {
	for _, c := range []struct {
		pid byte
		v   []telemetry.Value
	}{
		{0x0D, []telemetry.Value{telemetry.Float(256)}},
		{0x0D, []telemetry.Value{telemetry.Float(-1)}},
		{0x05, []telemetry.Value{telemetry.Float(-41)}},
		{0x0D, []telemetry.Value{{}}},
		{0x0D, nil},
		{0x15, []telemetry.Value{telemetry.Float(1)}},
		{0x03, []telemetry.Value{telemetry.Text("nonsense")}},
		{0x02, []telemetry.Value{telemetry.Text("P9999")}},
		{0x01, []telemetry.Value{telemetry.Bool(true), telemetry.Int(128), telemetry.Text("SPARK")}},
		{0xC7, []telemetry.Value{telemetry.Float(1)}},
	} {
		if b, err := obd.Encode(c.pid, c.v...); err == nil {
			t.Errorf("PID %02X %v became % X", c.pid, c.v, b)
		}
	}
	if b, err := obd.Encode(0x15, telemetry.Float(0.805), telemetry.Value{}); err != nil || !bytes.Equal(b, []byte{0xA1, 0xFF}) {
		t.Errorf("a sensor without trim: % X, %v", b, err)
	}
	if b, err := obd.Encode(0x05, telemetry.Float(19.6)); err != nil || b[0] != 60 {
		t.Errorf("19.6 °C is % X, %v; want the nearest step", b, err)
	}
}

// TestTable: every OBD signal with a unit is reachable, and lookups agree.
func TestTable(t *testing.T) {
	for pid := range 256 {
		for _, sig := range obd.Signals(byte(pid)) {
			lambda := strings.HasSuffix(sig.Name, ".Lambda") && pid >= 0x34 && pid <= 0x3B // 24 to 2B carry it, too
			if p, ok := obd.PIDOf(sig.Name); !ok || int(p) != pid && !(lambda && int(p) == pid-0x10) {
				t.Errorf("%s: PID %02X, looked up as %02X (%v)", sig.Name, pid, p, ok)
			}
		}
	}
	if _, ok := obd.PIDOf("Vehicle.Nowhere"); ok {
		t.Error("unknown signal has a PID")
	}
	for _, pid := range []byte{0x13, 0x15, 0x2E, 0x34, 0x53, 0x61, 0x62, 0x63, 0x9B, 0xA4, 0xA6} {
		if !obd.HasFormula(pid) {
			t.Errorf("PID %02X has no formula", pid)
		}
	}
}

func TestSupportedPIDs(t *testing.T) {
	want := map[byte]bool{0x21: true, 0x2F: true, 0x40: true}
	bits := obd.EncodeSupported(0x20, func(p byte) bool { return want[p] })
	obd.SupportedPIDs(0x20, bits[:], func(p byte) {
		if !want[p] {
			t.Errorf("PID %02X", p)
		}
		delete(want, p)
	})
	if len(want) != 0 {
		t.Errorf("missing %v", want)
	}
	obd.SupportedPIDs(0xE0, []byte{0xFF, 0xFF, 0xFF, 0xFF}, func(p byte) {
		if p < 0xE1 {
			t.Errorf("PID %02X behind FF", p)
		}
	})
}

func TestNRC(t *testing.T) {
	s, code, ok := obd.ParseNegative(obd.EncodeNegative(1, obd.NRCPending))
	if !ok || s != 1 || code.String() != "response-pending" || obd.NRC(0x9A).String() != "nrc-9A" {
		t.Errorf("%X %v %v", s, code, ok)
	}
	if _, _, ok := obd.ParseNegative([]byte{0x7F, 1}); ok {
		t.Error("two bytes passed as a negative answer")
	}
}

// FuzzDecode: any payload is read without a panic, and every number is a
// whole count of its signal's step.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"\x41\x0C\x1A\xF8", "\x41\x34\x80\x00\x80\x01", "\x49\x02\x01WVWZZZ1JZXW000001", "\x43\x01\x03\x01", "\x41\x0C\x1A\xF8\x0D\x4A", "\x7F\x01\x12",
		"\x41\x01\x83\x07\x65\x04", "\x41\x06\x7C\x84", "\x41\x6B\x20\x00\x28\x00\x00", "\x41\x83\x01\x00\x7B\x00\x00", "\x42\x0C\x00\x1A\xF8",
		"\x42\x02\x00\x03\x01", "\x49\x00\x55\x40\x00\x00", "\x49\x08\x02\x04\x00\x0E\x10", "\x49\x06\x01\x17\x91\xBC\x82"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		rs, err := obd.Decode(nil, p)
		if err == nil && len(rs) == 0 && !bytes.HasPrefix(p, []byte{0x41, 0x15}) {
			t.Fatalf("% X: nothing, and no error", p)
		}
		for _, r := range rs {
			if r.Value.Kind() != r.Signal.Kind {
				t.Fatalf("% X: %s holds %v", p, r.Signal.Name, r.Value.Kind())
			}
			if _, exact := r.Signal.Step.Steps(r.Value.Float()); r.Signal.Kind == telemetry.KindFloat && !exact {
				t.Fatalf("% X: %s is %v", p, r.Signal.Name, r.Value)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var rs []obd.Reading
	p := []byte{0x41, 0x0C, 0x1A, 0xF8}
	b.ReportAllocs()
	for b.Loop() {
		rs, _ = obd.Decode(rs[:0], p)
	}
}
