package telemetry_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/telemetry"
)

var update = flag.Bool("update", false, "write the golden files of the newest format anew")

// goldens are envelopes that must decode for ever, each as protobuf and JSON.
// Files of a released version are never rewritten; a new version adds some.
func goldens() map[string]telemetry.Envelope {
	must := func(name string) *telemetry.Signal {
		s, ok := telemetry.Lookup(name)
		if !ok {
			panic(name)
		}
		return s
	}
	boot, err := telemetry.ParseBootID("0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0")
	if err != nil {
		panic(err)
	}
	store := telemetry.StoreID{0xA1, 0xB2, 0xC3, 0xD4, 0xE5, 0xF6, 0x07, 0x18}
	ecu := telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}
	gearbox := telemetry.Source{Bus: "can0", Address: "7E9", Method: "obd"}
	batch := func(class telemetry.Class, seq uint64) telemetry.Batch {
		return telemetry.Batch{Unit: "unit-0001", Vehicle: "van-12", Boot: boot, Simulated: true,
			Name: telemetry.Name{Store: store, Class: class, Seq: seq}}
	}
	fix := telemetry.NoFix()
	fix.At, fix.Receiver, fix.UTC = 12_345_000_000, "gps", time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	fix.LatDeg, fix.LonDeg, fix.AltM, fix.GeoidM = 52.5200066, 13.4049540, 34.1, 44.7
	fix.SpeedMPS, fix.CourseDeg, fix.HDOP = telemetry.Step{Num: 1852, Den: 3600000}.Value(27123), 84.4, 0.9
	fix.Sats, fix.Mode, fix.Quality, fix.Valid = 11, telemetry.Mode3D, 1, true
	lost := telemetry.NoFix()
	lost.At, lost.Receiver, lost.Doubt = 13_345_000_000, "gps", telemetry.DoubtFrozen|telemetry.DoubtTime

	first := batch(telemetry.ClassTelemetry, 41)
	first.Samples = []telemetry.Sample{
		{At: 12_000_000_000, Signal: must("Vehicle.Speed"), Source: ecu, Value: telemetry.Float(50)},
		{At: 12_000_000_000, Signal: must("Vehicle.Speed"), Source: gearbox, Value: telemetry.Float(51)},
		{At: 12_015_000_000, Signal: must("Vehicle.Powertrain.CombustionEngine.Speed"), Source: ecu, Value: telemetry.Float(1726.25)},
		{At: 12_500_000_000, Signal: must("Vehicle.Speed"), Source: ecu, Value: telemetry.Float(52)},
		{At: 12_515_000_000, Signal: must("Vehicle.Powertrain.CombustionEngine.Speed"), Source: ecu, Value: telemetry.Float(1741.5)},
	}
	first.Fixes = []telemetry.Fix{fix}
	second := batch(telemetry.ClassTelemetry, 42)
	dbc := &telemetry.Signal{Name: "ESP.YawRate", Unit: "degrees/s", Kind: telemetry.KindFloat, Step: telemetry.Step{Num: 1, Den: 100},
		Min: -200, Max: 200, Level: telemetry.LevelDynamic}
	second.Samples = []telemetry.Sample{
		{At: 13_000_000_000, Signal: must("Vehicle.Speed"), Source: ecu, Value: telemetry.Value{}, Quality: telemetry.QualityAsleep},
		{At: 13_000_000_000, Signal: dbc, Source: telemetry.Source{Bus: "can1", Method: "dbc"}, Value: telemetry.Float(-3.25)},
		{At: 13_100_000_000, Signal: dbc, Source: telemetry.Source{Bus: "can1", Method: "dbc"}, Value: telemetry.Float(math.Pi), Quality: telemetry.QualityDoubtful},
		{At: 13_200_000_000, Signal: must("Vehicle.TraveledDistance"), Source: ecu, Value: telemetry.Int(123456789)},
		{At: 13_300_000_000, Signal: must("Vehicle.OBD.Status.IsMILOn"), Source: ecu, Value: telemetry.Bool(true)},
		{At: 13_400_000_000, Signal: must("Vehicle.OBD.FuelStatus"), Source: ecu, Value: telemetry.Text("closed loop")},
		{At: 13_500_000_000, Signal: must("Vehicle.OBD.PidsA"), Source: ecu, Value: telemetry.Bytes([]byte{0xBE, 0x1F, 0xA8, 0x13})},
	}
	second.Fixes = []telemetry.Fix{lost}

	event := batch(telemetry.ClassEvent, 7)
	event.Samples = []telemetry.Sample{{At: 11_000_000_000, Signal: must("Vehicle.VehicleIdentification.VIN"), Source: ecu, Value: telemetry.Text("TMBJJ7NS3K8034567")}}
	event.Gaps = []telemetry.Gap{
		{ID: 1, Version: 2, Class: telemetry.ClassTelemetry, Store: store, FromSeq: 3, ToSeq: 9, Boot: boot, From: 1_000_000_001, To: 8_000_000_000,
			Count: 1645, Reason: telemetry.ReasonEvicted},
		{ID: 2, Version: 1, Class: telemetry.ClassTelemetry, Boot: boot, From: 11_500_000_000, To: 11_600_000_000, Count: telemetry.CountUnknown,
			Reason: telemetry.ReasonRXOverflow, Source: "can0"},
	}
	event.Anchors = []telemetry.Anchor{{Boot: boot, At: 12_345_678_901, Wall: time.Date(2026, 5, 4, 3, 2, 1, 5_000_000, time.UTC),
		Uncertainty: 50 * time.Millisecond, By: telemetry.AnchorGNSS}}
	event.Clips = []telemetry.Clip{{ID: telemetry.ClipID{1, 2, 3}, Camera: "front", Name: "20260504_030000.mp4", At: 12_900_000_000,
		Start: time.Date(2026, 5, 4, 3, 0, 0, 0, time.UTC), Length: time.Minute, SizeBytes: 7_340_032, SHA256: [32]byte{0xFE, 0xED}, Cause: "event"}}

	media := batch(telemetry.ClassMedia, 3)
	media.Chunks = []telemetry.Chunk{{Clip: telemetry.ClipID{1, 2, 3}, Offset: 262_144, Data: []byte("not really video")}}

	envelope := func(batches ...telemetry.Batch) telemetry.Envelope {
		b := &batches[0]
		return telemetry.Envelope{Unit: b.Unit, Vehicle: b.Vehicle, Store: b.Store, Class: b.Class, Boot: b.Boot, Simulated: b.Simulated,
			Floor: b.Seq, Next: b.Seq + 4, SentAt: 14_002_000_000, SentBoot: boot, SentWall: time.Date(2026, 5, 4, 3, 2, 2, 657_000_000, time.UTC), Batches: batches}
	}
	out := map[string]telemetry.Envelope{"small": envelope(first), "telemetry": envelope(first, second), "event": envelope(event), "media": envelope(media)}
	part := out["media"]
	part.Part, part.History, part.Volatile, part.SentBoot, part.SentWall = &telemetry.Part{Index: 1, Of: 3}, true, true, telemetry.BootID{9}, time.Time{}
	out["part"] = part
	tiny := batch(telemetry.ClassTelemetry, 1000)
	for i, v := range []float64{50, 52, 53, 53} {
		tiny.Samples = append(tiny.Samples, telemetry.Sample{At: 12_000_000_000 + telemetry.At(i)*1_000_000_000, Signal: must("Vehicle.Speed"), Source: ecu, Value: telemetry.Float(v)})
	}
	tiny.Samples[2].At += 3_000_000
	out["tiny"] = envelope(tiny)
	out["track"] = envelope(corners(batch(telemetry.ClassTelemetry, 50)))
	out["drive"] = envelope(cityCar(7, 3)...)
	return out
}

// corners adds a track of few corners to a batch, on a grid, a car that turns and
// stops, and then a fix in doubt: what format 3 is for.
func corners(b telemetry.Batch) telemetry.Batch {
	start := time.Date(2026, 5, 4, 3, 1, 0, 0, time.UTC)
	for _, c := range [][3]int64{{0, 0, 0}, {7, 61, 12}, {19, 166, 30}, {22, 181, 66}, {41, 190, 310}, {71, 190, 310}, {80, 214, 401}} {
		f := telemetry.NoFix()
		f.At, f.Receiver, f.UTC = telemetry.At(1_123_000_000+c[0]*1_000_000_000), "gps", start.Add(time.Duration(c[0])*time.Second)
		f.LatDeg, f.LonDeg = float64(200*(2_626_000+c[1]))/1e7, float64(300*(446_831+c[2]))/1e7
		f.Mode, f.Quality, f.Valid = telemetry.Mode3D, 1, true
		b.Fixes = append(b.Fixes, f)
	}
	last := &b.Fixes[len(b.Fixes)-1]
	last.Doubt, last.Sats = telemetry.DoubtJump, 4
	return b
}

// TestGolden: what each format's first encoder wrote decodes for ever, to the
// same as its JSON twin and as the envelope it was made of. (The drive is
// computed, which differs in the last bit between processors: there only the
// twins count.) JSON is as it was in format 1.
func TestGolden(t *testing.T) {
	for name, e := range goldens() {
		if name == "drive" {
			twin, err := os.ReadFile(filepath.Join("testdata", "v1", "drive.json"))
			if err != nil {
				t.Fatal(err)
			}
			if e, err = telemetry.DecodeEnvelopeJSON(twin); err != nil {
				t.Fatal(err)
			}
		}
		if *update {
			write(t, filepath.Join("testdata", fmt.Sprintf("v%d", telemetry.FormatTrack), name+".pb"), &e)
		}
		for _, path := range []string{filepath.Join("v1", name+".json"), filepath.Join("v1", name+".pb"), filepath.Join("v2", name+".pb"), filepath.Join("v3", name+".pb")} {
			p, err := os.ReadFile(filepath.Join("testdata", path))
			if err != nil {
				t.Fatal(err)
			}
			got, err := telemetry.DecodeEnvelope(p)
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if diff := diffEnvelopes(e, got); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
		}
	}
}

// TestFormatIsWrittenAsBefore: an envelope is written as the golden files have
// it, in each format. A change that a reader would not notice, a better
// choice of the encoder, rewrites the files of the newest format.
func TestFormatIsWrittenAsBefore(t *testing.T) {
	for name, e := range goldens() {
		if name == "drive" { // see above
			continue
		}
		for format := 1; format <= telemetry.FormatTrack; format++ {
			want, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("v%d", format), name+".pb"))
			if err != nil {
				t.Fatal(err)
			}
			got, err := telemetry.EncodeEnvelopeFormat(&e, format)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s in format %d is\n%x, was\n%x", name, format, got, want)
			}
		}
	}
}

func write(t *testing.T, path string, e *telemetry.Envelope) {
	t.Helper()
	p, err := telemetry.EncodeEnvelopeFormat(e, telemetry.FormatTrack)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, p, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSignalNumbers holds the numbers, kinds and steps of the signals of this
// version: older decoders know them by heart.
func TestSignalNumbers(t *testing.T) {
	var now bytes.Buffer
	for id := uint32(1); ; id++ {
		s, ok := telemetry.LookupID(id)
		if !ok {
			break
		}
		if s.ID() != id {
			t.Errorf("%s has number %d and stands at %d", s.Name, s.ID(), id)
		}
		fmt.Fprintf(&now, "%d %s %s %d/%d %s\n", id, s.Name, s.Kind, s.Step.Num, s.Step.Den, s.Unit)
	}
	for _, s := range telemetry.Signals() {
		if s.ID() == 0 {
			t.Errorf("%s has no number: append it to signalIDs", s.Name)
		}
	}
	path := filepath.Join("testdata", "signals.txt")
	old, err := os.ReadFile(path)
	if *update {
		if !bytes.HasPrefix(now.Bytes(), old) {
			t.Fatal("the list of numbers may only grow; nothing written")
		}
		if err := os.WriteFile(path, now.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old, now.Bytes()) {
		t.Errorf("signal numbers differ from %s: numbers, kinds and steps never change, new signals are appended; run with -update", path)
	}
}
