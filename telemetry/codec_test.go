package telemetry_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"obu/telemetry"
)

// laws: what is decoded is what was encoded, after rounding of times.

func TestBatchRoundTrip(t *testing.T) {
	for seed := range uint64(400) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := randomBatch(rnd, telemetry.Name{Store: telemetry.StoreID{1}, Class: telemetry.ClassTelemetry, Seq: 7})
		blob, err := telemetry.EncodeBatch(&b)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got, err := telemetry.DecodeBatch(b.Name, blob)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if diff := diffBatches([]telemetry.Batch{b}, []telemetry.Batch{got}); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		again, err := telemetry.EncodeBatch(&got)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if string(again) != string(blob) {
			t.Fatalf("seed %d: encoding what was decoded gives other bytes", seed)
		}
	}
}

func TestEnvelopeRoundTrip(t *testing.T) {
	for seed := range uint64(150) {
		e := randomEnvelope(rand.New(rand.NewPCG(seed, 2)))
		for name, encode := range map[string]func(*telemetry.Envelope) ([]byte, error){
			"protobuf": telemetry.EncodeEnvelope, "json": telemetry.EncodeEnvelopeJSON, "format 1": encodeFormat1, "format 3": encodeFormat3,
		} {
			p, err := encode(&e)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, name, err)
			}
			got, err := telemetry.DecodeEnvelope(p)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, name, err)
			}
			if diff := diffEnvelopes(e, got); diff != "" {
				t.Fatalf("seed %d: %s: %s", seed, name, diff)
			}
			head, values, err := telemetry.ReadEnvelopeHeader(p)
			if err != nil {
				t.Fatalf("seed %d: %s: header: %v", seed, name, err)
			}
			if values == nil && name != "protobuf" && name != "format 3" { // those leave them out where the columns say them
				t.Fatalf("seed %d: %s: header without values", seed, name)
			}
			for i := range head.Batches {
				if head.Batches[i].Name != e.Batches[i].Name || values != nil && values[i] != e.Batches[i].Values() {
					t.Fatalf("seed %d: %s: header batch %d is %v, values %v", seed, name, i, head.Batches[i].Name, values)
				}
			}
			again, err := encode(&got)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, name, err)
			}
			if string(again) != string(p) {
				t.Fatalf("seed %d: %s: encoding what was decoded gives other bytes", seed, name)
			}
		}
	}
}

// encodeFormat3 encodes for one that knows tracks.
func encodeFormat3(e *telemetry.Envelope) ([]byte, error) {
	return telemetry.EncodeEnvelopeFormat(e, telemetry.FormatTrack)
}

// encodeFormat1 encodes for a consumer that knows no more.
func encodeFormat1(e *telemetry.Envelope) ([]byte, error) {
	return telemetry.EncodeEnvelopeFormat(e, 1)
}

// diffEnvelopes says how got differs from what want must decode to; "" means
// not at all.
func diffEnvelopes(want, got telemetry.Envelope) string {
	w, g := want, got
	w.SentAt = w.SentAt.Round()
	w.SentWall = w.SentWall.Truncate(time.Millisecond)
	if !w.SentWall.Equal(g.SentWall) {
		return fmt.Sprintf("sent wall %v, want %v", g.SentWall, w.SentWall)
	}
	if (w.Part == nil) != (g.Part == nil) || w.Part != nil && *w.Part != *g.Part {
		return fmt.Sprintf("part %v, want %v", g.Part, w.Part)
	}
	w.Batches, g.Batches, w.Part, g.Part, w.SentWall, g.SentWall = nil, nil, nil, nil, time.Time{}, time.Time{}
	if a, b := fmt.Sprintf("%+v", w), fmt.Sprintf("%+v", g); a != b {
		return fmt.Sprintf("header\n%s, want\n%s", b, a)
	}
	return diffBatches(want.Batches, got.Batches)
}

func diffBatches(want, got []telemetry.Batch) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%d batches, want %d", len(got), len(want))
	}
	for i := range want {
		w, g := want[i], got[i]
		head := func(b telemetry.Batch) string {
			return fmt.Sprint(b.Unit, b.Vehicle, b.Boot, b.Simulated, b.Name)
		}
		if head(w) != head(g) {
			return fmt.Sprintf("batch %d is %s, want %s", i, head(g), head(w))
		}
		if diff := diffContent(w.Content, g.Content); diff != "" {
			return fmt.Sprintf("batch %d: %s", i, diff)
		}
	}
	return ""
}

func diffContent(w, g telemetry.Content) string {
	ws, gs := canonical(w.Samples), canonical(g.Samples)
	if len(ws) != len(gs) {
		return fmt.Sprintf("%d samples, want %d", len(gs), len(ws))
	}
	if !slices.IsSortedFunc(g.Samples, func(a, b telemetry.Sample) int { return cmp.Compare(a.At, b.At) }) {
		return "samples are not in order of time"
	}
	for i := range ws {
		a, b := ws[i], gs[i]
		if a.Signal.Name != b.Signal.Name || a.Signal.Unit != b.Signal.Unit || a.Signal.Step != b.Signal.Step || a.Signal.Kind != b.Signal.Kind {
			return fmt.Sprintf("sample %d: signal %+v, want %+v", i, *b.Signal, *a.Signal)
		}
		a.Signal, b.Signal = nil, nil
		if a != b {
			return fmt.Sprintf("sample %d: %+v, want %+v", i, b, a)
		}
	}
	if len(w.Fixes) != len(g.Fixes) {
		return fmt.Sprintf("%d fixes, want %d", len(g.Fixes), len(w.Fixes))
	}
	wf := canonicalFixes(w.Fixes)
	for i, f := range canonicalFixes(g.Fixes) {
		if !f.Equal(wf[i]) {
			return fmt.Sprintf("fix %d: %+v, want %+v", i, f, wf[i])
		}
	}
	w.Samples, w.Fixes, g.Samples, g.Fixes = nil, nil, nil, nil
	if a, b := fmt.Sprintf("%+v", w), fmt.Sprintf("%+v", g); a != b {
		return fmt.Sprintf("records\n%s, want\n%s", b, a)
	}
	return ""
}

// canonical returns the samples rounded, in the order of the contract.
func canonical(in []telemetry.Sample) []telemetry.Sample {
	out := slices.Clone(in)
	for i := range out {
		out[i].At = out[i].At.Round()
	}
	slices.SortStableFunc(out, func(a, b telemetry.Sample) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Signal.Name, b.Signal.Name),
			cmp.Compare(a.Source.Bus, b.Source.Bus), cmp.Compare(a.Source.Address, b.Source.Address),
			cmp.Compare(a.Source.Method, b.Source.Method))
	})
	return out
}

func canonicalFixes(in []telemetry.Fix) []telemetry.Fix {
	out := slices.Clone(in)
	for i := range out {
		out[i].At = out[i].At.Round()
	}
	slices.SortStableFunc(out, func(a, b telemetry.Fix) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Receiver, b.Receiver))
	})
	return out
}

// randomEnvelope makes an envelope of up to twelve batches.
func randomEnvelope(rnd *rand.Rand) telemetry.Envelope {
	e := telemetry.Envelope{Unit: pick(rnd, "unit-1", "", "sim-ü"), Vehicle: pick(rnd, "", "car 7"), Store: telemetry.StoreID{1, 2, byte(rnd.Int())},
		Class: telemetry.Classes[rnd.IntN(4)], Boot: telemetry.BootID{byte(rnd.IntN(3))}, Simulated: rnd.IntN(2) == 0,
		History: rnd.IntN(2) == 0, Volatile: rnd.IntN(2) == 0, Floor: rnd.Uint64N(100), Next: rnd.Uint64(), SentAt: telemetry.At(rnd.Int64N(1e15)),
		SentBoot: telemetry.BootID{byte(rnd.IntN(3))}}
	if rnd.IntN(2) == 0 {
		e.SentWall = time.Unix(rnd.Int64N(4e9), rnd.Int64N(1e9)).UTC()
	}
	n := rnd.IntN(12)
	if n > 0 && rnd.IntN(4) == 0 {
		n, e.Part = 1, &telemetry.Part{Index: 2, Of: 5}
	}
	seq := rnd.Uint64N(1e6)
	for range n {
		seq += 1 + rnd.Uint64N(2)*rnd.Uint64N(2)*rnd.Uint64N(50)
		b := randomBatch(rnd, telemetry.Name{Store: e.Store, Class: e.Class, Seq: seq})
		b.Unit, b.Vehicle, b.Boot, b.Simulated = e.Unit, e.Vehicle, e.Boot, e.Simulated
		e.Batches = append(e.Batches, b)
	}
	return e
}

func pick[T any](rnd *rand.Rand, from ...T) T { return from[rnd.IntN(len(from))] }

// randomBatch makes a batch of everything a batch can hold, in odd shapes.
func randomBatch(rnd *rand.Rand, name telemetry.Name) telemetry.Batch {
	b := telemetry.Batch{Unit: "unit-1", Vehicle: "car 7", Boot: telemetry.BootID{9, 8}, Simulated: true, Name: name}
	start := telemetry.At(rnd.Int64N(1e14) - 1e12)
	if rnd.IntN(5) > 0 {
		b.Samples = randomSamples(rnd, start, rnd.IntN(200))
	}
	for range rnd.IntN(2) * rnd.IntN(30) {
		b.Fixes = append(b.Fixes, randomFix(rnd, start))
	}
	for range rnd.IntN(2) * rnd.IntN(3) {
		b.Gaps = append(b.Gaps, telemetry.Gap{ID: rnd.Uint64(), Version: rnd.Uint32(), Class: telemetry.ClassMedia, Store: telemetry.StoreID{3},
			FromSeq: rnd.Uint64N(9), ToSeq: rnd.Uint64(), Boot: telemetry.BootID{byte(rnd.IntN(2))}, From: start, To: telemetry.At(rnd.Int64() - rnd.Int64()),
			Count: rnd.Int64N(3) - 1, Reason: telemetry.ReasonEvicted, Source: pick(rnd, "", "can0/7E8")})
		b.Anchors = append(b.Anchors, telemetry.Anchor{Boot: b.Boot, At: start, Wall: pick(rnd, time.Time{}, time.Unix(rnd.Int64N(4e9), rnd.Int64N(1e9)).UTC()),
			Uncertainty: time.Duration(rnd.Int64N(1e12)), By: telemetry.AnchorGNSS})
		b.Clips = append(b.Clips, telemetry.Clip{ID: telemetry.ClipID{byte(rnd.Int())}, Camera: "front", Name: "a.mp4", At: start,
			Start: pick(rnd, time.Time{}, time.Unix(0, 0).UTC()), Length: time.Duration(rnd.Int64N(1e12)), SizeBytes: rnd.Int64(), SHA256: [32]byte{1}, Cause: "normal"})
		data := make([]byte, 1+rnd.IntN(300))
		for i := range data {
			data[i] = byte(rnd.Int())
		}
		b.Chunks = append(b.Chunks, telemetry.Chunk{Clip: telemetry.ClipID{5}, Offset: rnd.Int64(), Data: data})
	}
	return b
}

func randomFix(rnd *rand.Rand, start telemetry.At) telemetry.Fix {
	f := telemetry.NoFix()
	f.At = start + telemetry.At(rnd.Int64N(1e10))
	f.Receiver = pick(rnd, "gps", "gps", "gps2")
	maybe := func(v float64) float64 { return pick(rnd, v, v, v, math.NaN()) }
	if rnd.IntN(3) == 0 {
		return f
	}
	f.UTC = pick(rnd, time.Time{}, time.Unix(1.7e9+rnd.Int64N(1e6), 0).UTC(), time.Unix(1.7e9, rnd.Int64N(1e9)).UTC())
	f.LatDeg = maybe(float64(rnd.Int64N(1.8e9)-9e8) / 1e7)
	f.LonDeg = maybe(float64(rnd.Int64N(3.6e11)-1.8e11) / 1e9)
	f.AltM = maybe(float64(rnd.IntN(40000)-1000) / 10)
	f.GeoidM = maybe(47.3)
	f.SpeedMPS = maybe(float64(rnd.IntN(100000)*1852) / 3600000)
	f.CourseDeg = maybe(rnd.Float64() * 360)
	f.HDOP, f.VDOP, f.PDOP = maybe(0.9), maybe(math.MaxFloat64), maybe(math.Copysign(0, -1))
	f.Sats, f.Mode, f.Quality, f.Valid = rnd.IntN(40)-1, telemetry.Mode(rnd.IntN(4)), uint8(rnd.IntN(10)), rnd.IntN(2) == 0
	f.Doubt = telemetry.Doubt(rnd.Uint32() & rnd.Uint32())
	return f
}

// randomSamples mixes signals of the table and others, from several sources,
// in steps and off them, with all kinds and qualities.
func randomSamples(rnd *rand.Rand, start telemetry.At, n int) []telemetry.Sample {
	table := telemetry.Signals()
	signals := []*telemetry.Signal{
		{Name: "Engine.Odd", Unit: "Nm", Kind: telemetry.KindFloat, Step: telemetry.Step{Num: 3, Den: 7}, Level: telemetry.LevelDynamic},
		{Name: "Engine.None", Kind: telemetry.KindInt, Level: telemetry.LevelDynamic},
		{Name: "Text", Kind: telemetry.KindText, Level: telemetry.LevelDynamic},
	}
	for range 1 + rnd.IntN(12) {
		signals = append(signals, table[rnd.IntN(len(table))])
	}
	sources := []telemetry.Source{{Bus: "can0", Address: "7E8", Method: "obd"}, {Bus: "can0", Address: "7E9", Method: "obd"}, {}}
	out := make([]telemetry.Sample, 0, n)
	weird := rnd.IntN(3)
	at := start
	for range n {
		if rnd.IntN(3) > 0 {
			at += telemetry.At(rnd.Int64N(2e8))
		}
		s := telemetry.Sample{At: at - telemetry.At(rnd.IntN(2)*rnd.IntN(5e7)*weird), Signal: pick(rnd, signals...), Source: pick(rnd, sources...)}
		s.Value = usualValue(rnd, s.Signal)
		if rnd.IntN(20) < weird {
			s.Value, s.Quality = oddValue(rnd), telemetry.Quality(rnd.IntN(8))
		}
		out = append(out, s)
	}
	return out
}

func usualValue(rnd *rand.Rand, s *telemetry.Signal) telemetry.Value {
	switch s.Kind {
	case telemetry.KindFloat:
		if s.Step.IsZero() {
			return telemetry.Float(rnd.NormFloat64())
		}
		return telemetry.Float(s.Step.Value(rnd.Int64N(60000) - 100))
	case telemetry.KindInt:
		return telemetry.Int(rnd.Int64N(1000))
	case telemetry.KindBool:
		return telemetry.Bool(rnd.IntN(5) == 0)
	}
	return telemetry.Text(pick(rnd, "P0301", "P0420,P0171", ""))
}

func oddValue(rnd *rand.Rand) telemetry.Value {
	return pick(rnd, telemetry.Value{}, telemetry.Float(math.Float64frombits(rnd.Uint64())), telemetry.Float(math.Copysign(0, -1)),
		telemetry.Float(math.MaxFloat64), telemetry.Float(math.SmallestNonzeroFloat64), telemetry.Float(0.1), telemetry.Int(math.MinInt64),
		telemetry.Int(math.MaxInt64), telemetry.Int(int64(rnd.Uint64())), telemetry.Bool(true), telemetry.Text("é\x00\"\u2028"), telemetry.Bytes([]byte{0, 255, 0x80}),
		telemetry.Bytes(nil))
}

// TestOrderOfDistantTimes: samples of one batch come back in order of time and
// column also when they lie further apart than any journey.
func TestOrderOfDistantTimes(t *testing.T) {
	speed, _ := telemetry.Lookup("Vehicle.Speed")
	load, _ := telemetry.Lookup("Vehicle.OBD.EngineLoad")
	b := telemetry.Batch{Unit: "unit-1", Name: telemetry.Name{Store: telemetry.StoreID{1}, Class: telemetry.ClassTelemetry, Seq: 1}}
	for i, at := range []telemetry.At{3, 9e15, -9e15, 9e15, 3, 9e15 + 1e6} {
		for _, s := range []*telemetry.Signal{speed, load} {
			b.Samples = append(b.Samples, telemetry.Sample{At: at, Signal: s, Value: telemetry.Float(s.Step.Value(int64(i)))})
		}
	}
	blob, err := telemetry.EncodeBatch(&b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := telemetry.DecodeBatch(b.Name, blob)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffBatches([]telemetry.Batch{b}, []telemetry.Batch{got}); diff != "" {
		t.Fatal(diff)
	}
}
