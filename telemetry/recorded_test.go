package telemetry_test

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"obu/telemetry"
)

// TestRecordedDrives encodes real OBD-II drives and holds what a sample costs
// on the wire; the recordings are the ones that `obu decode` is checked with.
func TestRecordedDrives(t *testing.T) {
	for _, tt := range []struct {
		file     string
		ten, all float64 // bytes per sample in envelopes of 10 s, and of 60 s
	}{
		{"can/css_obd_gps_drive/3BA199E2_164_1.expect.obd.jsonl.gz", 3.2, 1.5},
		{"can/css_obd_session_skoda/skoda_obd_after600s.expect.obd.jsonl.gz", 7.9, 2.7},
	} {
		t.Run(filepath.Base(filepath.Dir(tt.file)), func(t *testing.T) {
			batches := recordedDrive(t, filepath.Join(recordings(t), tt.file))
			for _, seconds := range []int{1, 10, 60} {
				bytes, samples := 0, 0
				for from := 0; from < len(batches); from += seconds {
					e := envelopeOf(batches[from:min(from+seconds, len(batches))])
					p, err := telemetry.EncodeEnvelope(&e)
					if err != nil {
						t.Fatal(err)
					}
					got, err := telemetry.DecodeEnvelope(p)
					if err != nil {
						t.Fatal(err)
					}
					if diff := diffEnvelopes(e, got); diff != "" {
						t.Fatal(diff)
					}
					bytes += len(p)
					samples += e.Values()
				}
				each := float64(bytes) / float64(samples)
				t.Logf("%d s: %d samples in %d bytes, %.2f a sample, envelope headers included", seconds, samples, bytes, each)
				if seconds == 10 && each > tt.ten || seconds == 60 && each > tt.all {
					t.Errorf("envelopes of %d s cost %.2f bytes a sample", seconds, each)
				}
			}
		})
	}
}

// recordings returns the folder of recorded drives, or skips the test.
func recordings(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("OBU_RECORDINGS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "recordings")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no recordings at %s: set OBU_RECORDINGS to run this test", dir)
	}
	return dir
}

// recordedDrive reads an expectation of decoded OBD-II responses into batches
// of one second.
func recordedDrive(t *testing.T, path string) []telemetry.Batch {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	const combustion = "Vehicle.Powertrain.CombustionEngine."
	type scale struct {
		name   string
		offset int64
	}
	pids := map[string]scale{"04": {"Vehicle.OBD.EngineLoad", 0}, "05": {combustion + "EngineCoolant.Temperature", -40}, "0C": {combustion + "Speed", 0},
		"0D": {"Vehicle.Speed", 0}, "0E": {"Vehicle.OBD.TimingAdvance", -128}, "0F": {"Vehicle.OBD.IntakeTemp", -40}, "10": {"Vehicle.OBD.MAF", 0},
		"11": {"Vehicle.OBD.ThrottlePosition", 0}, "1F": {"Vehicle.OBD.RunTime", 0}, "2F": {"Vehicle.OBD.FuelLevel", 0}, "31": {"Vehicle.OBD.DistanceSinceDTCClear", 0},
		"33": {"Vehicle.OBD.BarometricPressure", 0}, "42": {"Vehicle.OBD.ControlModuleVoltage", 0}, "46": {"Vehicle.Exterior.AirTemperature", -40},
		"49": {"Vehicle.OBD.AcceleratorPositionD", 0}, "5C": {combustion + "EngineOil.Temperature", -40}, "5E": {"Vehicle.OBD.FuelRate", 0}}
	var out []telemetry.Batch
	var start, end float64
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		var r struct {
			T, ECU, Payload, PID string
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		at, err := strconv.ParseFloat(r.T, 64)
		if err != nil {
			t.Fatal(err)
		}
		p, ok := pids[r.PID]
		payload, err := hex.DecodeString(r.Payload)
		if !ok || err != nil || len(payload) < 3 {
			continue
		}
		n := int64(payload[2])
		if len(payload) > 3 {
			n = n<<8 | int64(payload[3])
		}
		if start == 0 {
			start = at
		}
		if at >= end {
			end = at + 1
			out = append(out, telemetry.Batch{Unit: "unit-0001", Vehicle: "car-0001", Boot: telemetry.BootID{1, 2, 3},
				Name: telemetry.Name{Store: telemetry.StoreID{1, 2, 3}, Class: telemetry.ClassTelemetry, Seq: uint64(1000 + len(out))}})
		}
		s, ok := telemetry.Lookup(p.name)
		if !ok {
			t.Fatal(p.name)
		}
		b := &out[len(out)-1]
		b.Samples = append(b.Samples, telemetry.Sample{At: telemetry.At((at-start)*1e9) + 3600e9, Signal: s,
			Source: telemetry.Source{Bus: "can0", Address: r.ECU, Method: "obd"}, Value: telemetry.Float(s.Step.Value(n + p.offset))})
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
