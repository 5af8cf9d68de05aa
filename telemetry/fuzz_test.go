package telemetry_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"obu/telemetry"
)

// The property of all three: no panic, and what is accepted encodes again to
// something that decodes to the same.

func FuzzDecodeEnvelope(f *testing.F) {
	for seed := range uint64(8) {
		e := randomEnvelope(rand.New(rand.NewPCG(seed, 5)))
		p, err := telemetry.EncodeEnvelope(&e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) { decodesTheSameAgain(t, p, telemetry.EncodeEnvelope) })
}

func FuzzDecodeEnvelopeJSON(f *testing.F) {
	for seed := range uint64(8) {
		e := randomEnvelope(rand.New(rand.NewPCG(seed, 6)))
		p, err := telemetry.EncodeEnvelopeJSON(&e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(bytes.TrimSpace(p)) > 0 && bytes.TrimSpace(p)[0] == '{' {
			decodesTheSameAgain(t, p, telemetry.EncodeEnvelopeJSON)
			decodesTheSameAgain(t, p, telemetry.EncodeEnvelope)
		}
	})
}

func decodesTheSameAgain(t *testing.T, p []byte, encode func(*telemetry.Envelope) ([]byte, error)) {
	e, err := telemetry.DecodeEnvelope(p)
	if err != nil {
		return
	}
	if n := e.Values(); n > telemetry.MaxValues {
		t.Fatalf("%d values accepted", n)
	}
	again, err := encode(&e)
	if err != nil {
		t.Fatalf("encode what was accepted: %v", err)
	}
	got, err := telemetry.DecodeEnvelope(again)
	if err != nil {
		t.Fatalf("decode what was encoded: %v", err)
	}
	if diff := diffEnvelopes(e, got); diff != "" {
		t.Fatal(diff)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	name := telemetry.Name{Store: telemetry.StoreID{1}, Class: telemetry.ClassTelemetry, Seq: 1}
	for seed := range uint64(8) {
		b := randomBatch(rand.New(rand.NewPCG(seed, 7)), name)
		p, err := telemetry.EncodeBatch(&b)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := telemetry.DecodeBatch(name, p)
		if err != nil {
			return
		}
		again, err := telemetry.EncodeBatch(&b)
		if err != nil {
			t.Fatalf("encode what was accepted: %v", err)
		}
		got, err := telemetry.DecodeBatch(name, again)
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if diff := diffBatches([]telemetry.Batch{b}, []telemetry.Batch{got}); diff != "" {
			t.Fatal(diff)
		}
	})
}
