package telemetry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"obu/telemetry"
)

// TestReferenceReaderAgrees reads envelopes with testdata/reference.py, which
// was written from CONTRACT.md alone, and compares every sample and fix.
func TestReferenceReaderAgrees(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: the reference reader cannot run")
	}
	envelopes := goldens()
	for seed := range uint64(4) {
		envelopes[fmt.Sprintf("random %d", seed)] = randomEnvelope(rand.New(rand.NewPCG(seed, 8)))
	}
	envelopes["together"] = together(40)
	for _, name := range slices.Collect(maps.Keys(envelopes)) {
		envelopes[name+" in format 1"] = envelopes[name]
		envelopes[name+" in format 3"] = envelopes[name]
	}
	dir := t.TempDir()
	for name, e := range envelopes {
		format := telemetry.Format
		if older, ok := strings.CutSuffix(name, " in format 1"); ok {
			e, format = envelopes[older], 1
		} else if same, ok := strings.CutSuffix(name, " in format 3"); ok {
			e, format = envelopes[same], telemetry.FormatTrack
		}
		p, err := telemetry.EncodeEnvelopeFormat(&e, format)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "envelope.pb")
		if err := os.WriteFile(path, uncompressed(t, p), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(python, filepath.Join("testdata", "reference.py"), path, filepath.Join("testdata", "signals.txt")).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		got, err := telemetry.DecodeEnvelope(p)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
		want := referenceLines(&got)
		for i := range want {
			if i >= len(lines) {
				t.Fatalf("%s: %d lines, want %d", name, len(lines), len(want))
			}
			var line map[string]any
			if err := json.Unmarshal(lines[i], &line); err != nil {
				t.Fatalf("%s: %v in %s", name, err, lines[i])
			}
			if !reflect.DeepEqual(line, plain(t, want[i])) {
				t.Fatalf("%s: line %d\n%s, want\n%v", name, i, lines[i], plain(t, want[i]))
			}
		}
	}
}

// together is an envelope of so many seconds with wheels that turn together,
// one of them in steps of 12, and a gap in the flushes.
func together(seconds int) telemetry.Envelope {
	rnd := rand.New(rand.NewPCG(4, 2))
	batches := cityCar(2, seconds)
	speed := int64(0)
	for i := range batches {
		b := &batches[i]
		b.Samples = nil
		for tick := range 10 {
			speed += rnd.Int64N(41) - 20
			for wheel, steps := range []int64{speed, speed + rnd.Int64N(3), 12 * (speed / 9), -3 * speed, int64(i)} {
				s := &telemetry.Signal{Name: fmt.Sprintf("Wheel.%d", wheel), Kind: telemetry.KindFloat, Step: telemetry.Step{Num: 1, Den: 100}, Level: telemetry.LevelDynamic}
				b.Samples = append(b.Samples, telemetry.Sample{At: telemetry.At(1000+i)*1e9 + telemetry.At(tick)*1e8, Signal: s,
					Source: telemetry.Source{Bus: "can2", Address: "1A0", Method: "dbc"}, Value: telemetry.Float(s.Step.Value(steps))})
			}
		}
	}
	return envelopeOf(slices.Delete(batches, seconds/2, seconds/2+3))
}

// uncompressed returns the envelope with its body as it was before zstd, so
// that a bare Python can read it.
func uncompressed(t *testing.T, p []byte) []byte {
	var out []byte
	bodies, format, compressed := make(map[protowire.Number][]byte), uint64(0), false
	for len(p) > 0 {
		num, typ, n := protowire.ConsumeTag(p)
		m := protowire.ConsumeFieldValue(num, typ, p[n:])
		switch num {
		case 15, 20:
			bodies[num], _ = protowire.ConsumeBytes(p[n:])
		case 16:
			compressed = true
		default:
			if num == 1 {
				format, _ = protowire.ConsumeVarint(p[n:])
			}
			out = append(out, p[:n+m]...)
		}
		p = p[n+m:]
	}
	if field := map[uint64]protowire.Number{1: 15, 2: 20, 3: 20}[format]; compressed {
		bodies[field] = inflate(t, bodies[field])
	}
	return raw(out).bytes(15, bodies[15]).bytes(20, bodies[20])
}

func referenceLines(e *telemetry.Envelope) []map[string]any {
	var out []map[string]any
	orNil := func(f float64) any {
		if math.IsNaN(f) {
			return nil
		}
		return f
	}
	for _, b := range e.Batches {
		for _, s := range b.Samples {
			out = append(out, map[string]any{"seq": b.Seq, "at": s.At.Seconds(), "signal": s.Signal.Name,
				"source": s.Source.Bus + "/" + s.Source.Address + "/" + s.Source.Method, "value": s.Value, "quality": s.Quality.String()})
		}
		for _, f := range b.Fixes {
			mode := f.Mode.String()
			if f.Mode > telemetry.Mode3D {
				mode = fmt.Sprintf("mode-%d", f.Mode)
			}
			line := map[string]any{"seq": b.Seq, "at": f.At.Seconds(), "receiver": f.Receiver, "utc_ns": nil, "lat": orNil(f.LatDeg), "lon": orNil(f.LonDeg),
				"alt": orNil(f.AltM), "geoid": orNil(f.GeoidM), "speed": orNil(f.SpeedMPS), "course": orNil(f.CourseDeg), "hdop": orNil(f.HDOP),
				"vdop": orNil(f.VDOP), "pdop": orNil(f.PDOP), "sats": nil, "mode": mode, "quality": f.Quality, "valid": f.Valid, "doubt": uint32(f.Doubt)}
			if f.Sats >= 0 {
				line["sats"] = f.Sats
			}
			if !f.UTC.IsZero() {
				line["utc_ns"] = f.UTC.UnixNano()
			}
			out = append(out, line)
		}
	}
	return out
}

// plain turns a line into what JSON makes of it.
func plain(t *testing.T, line map[string]any) map[string]any {
	t.Helper()
	p, err := json.Marshal(line)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(p, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
