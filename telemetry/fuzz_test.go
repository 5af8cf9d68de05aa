package telemetry_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"obu/telemetry"
)

// The property of all three: no panic, and what is accepted encodes again to
// something that decodes to the same.

func FuzzDecodeEnvelope(f *testing.F) {
	for seed := range uint64(8) {
		e := randomEnvelope(rand.New(rand.NewPCG(seed, 5)))
		for format := 1; format <= telemetry.FormatTrack; format++ {
			p, err := telemetry.EncodeEnvelopeFormat(&e, format)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		decodesTheSameAgain(t, p, telemetry.EncodeEnvelope)
		decodesTheSameAgain(t, p, encodeFormat1)
		decodesTheSameAgain(t, p, encodeFormat3)
	})
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

// FuzzControl: what a Decode function of a control message accepts is written
// and read again to the same.
func FuzzControl(f *testing.F) {
	for _, seed := range []string{
		`{"format":1,"unit":"u","stores":["a1b2c3d4e5f60718"]}`, `{"state":"online","session":"1","at":"2026-05-04T03:02:01Z"}`,
		`{"id":"1","name":"ping","not_after":"2026-05-04T03:10:00Z","args":{"a":[1]}}`, `{"id":"1","ok":true,"result":null}`,
		`{"store":"a1b2c3d4e5f60718","class":"media","seq":3}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		readsTheSameAgain(t, p, telemetry.DecodeBirth)
		readsTheSameAgain(t, p, telemetry.DecodeLink)
		readsTheSameAgain(t, p, telemetry.DecodeCommand)
		readsTheSameAgain(t, p, telemetry.DecodeReply)
		readsTheSameAgain(t, p, telemetry.DecodeReceipt)
	})
}

func readsTheSameAgain[T any](t *testing.T, p []byte, decode func([]byte) (T, error)) {
	v, err := decode(p)
	if err != nil {
		return
	}
	first, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("write what was accepted: %v", err)
	}
	again, err := decode(first)
	if err != nil {
		t.Fatalf("read what was written: %v in %s", err, first)
	}
	if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
		t.Fatalf("%s becomes %s (%v)", first, second, err)
	}
}
