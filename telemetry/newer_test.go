package telemetry_test

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"obu/telemetry"
)

// TestSignalOfANewerTable: a number this build does not know keeps its values,
// by the kind and step that came along.
func TestSignalOfANewerTable(t *testing.T) {
	p, err := os.ReadFile(filepath.Join("testdata", "v1", "tiny.pb"))
	if err != nil {
		t.Fatal(err)
	}
	speed, _ := telemetry.Lookup("Vehicle.Speed")
	at := bytes.Index(p, []byte{0x22, 1, byte(speed.ID())})
	body := bytes.LastIndexByte(p[:at], 0x7a)
	// number 1000 instead, and its declaration: kind float, step 1/2
	decl := raw(nil).num(1, 1000).num(4, 1).num(5, 2).num(6, 4)
	for name, extra := range map[string]raw{"declared": raw(nil).bytes(1, decl), "not declared": nil} {
		changed := append(bytes.Clone(p[body+2:at]), 0x22, 2, 0xE8, 7)
		changed = append(changed, p[at+3:body+2+int(p[body+1])]...)
		changed = append(changed, extra...)
		q := raw(bytes.Clone(p[:body])).bytes(15, changed)
		q = append(q, p[body+2+int(p[body+1]):]...)
		e, err := telemetry.DecodeEnvelope(q)
		if name == "not declared" {
			if err == nil && e.Batches[0].Samples[0].Signal.Name != "unknown-signal-1000" {
				t.Errorf("%s: %+v", name, e.Batches[0].Samples[0])
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, want := range []float64{25, 26, 26.5, 26.5} {
			s := e.Batches[0].Samples[i]
			if s.Signal.Name != "unknown-signal-1000" || s.Value != telemetry.Float(want) {
				t.Errorf("%s: sample %d is %s %v, want %v", name, i, s.Signal.Name, s.Value, want)
			}
		}
		again, err := telemetry.EncodeEnvelope(&e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := telemetry.DecodeEnvelope(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := diffEnvelopes(e, got); diff != "" {
			t.Error(diff)
		}
	}
}

// TestTextIsMended: text that is not UTF-8 comes out the same from either
// encoding, and readable.
func TestTextIsMended(t *testing.T) {
	e := goldens()["small"]
	s := e.Batches[0].Samples[0]
	s.Value, s.Source.Bus = telemetry.Text("a\xff\xfeb"), "can\xc3"
	e.Batches[0].Samples = []telemetry.Sample{s}
	for _, encode := range []func(*telemetry.Envelope) ([]byte, error){telemetry.EncodeEnvelope, telemetry.EncodeEnvelopeJSON} {
		p, err := encode(&e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := telemetry.DecodeEnvelope(p)
		if err != nil {
			t.Fatal(err)
		}
		if s := got.Batches[0].Samples[0]; s.Value != telemetry.Text("a\uFFFDb") || s.Source.Bus != "can\uFFFD" {
			t.Errorf("text %q of bus %q", s.Value, s.Source.Bus)
		}
	}
}

// TestManyAtOnce: units in one process encode and decode at once and do not
// notice each other.
func TestManyAtOnce(t *testing.T) {
	var units sync.WaitGroup
	for unit := range uint64(8) {
		units.Go(func() {
			batches := cityCar(unit, 5)
			e := envelopeOf(batches)
			var first []byte
			for range 5 {
				p, err := telemetry.EncodeEnvelope(&e)
				if err != nil {
					t.Error(err)
					return
				}
				if first == nil {
					first = p
				}
				got, err := telemetry.DecodeEnvelope(p)
				if err != nil {
					t.Error(err)
					return
				}
				if !bytes.Equal(p, first) || diffEnvelopes(e, got) != "" {
					t.Error("another unit was noticed")
					return
				}
			}
		})
	}
	units.Wait()
}

// TestRecordsOfANewerVersion: a body with a kind of record this build does not
// know, counted in the header, gives what it does know.
func TestRecordsOfANewerVersion(t *testing.T) {
	p, err := os.ReadFile(filepath.Join("testdata", "v1", "tiny.pb"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := telemetry.DecodeEnvelope(p)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.LastIndex(p, []byte{0x7a, 0x24})
	if body < 0 || p[body-1] != 4 {
		t.Fatal("tiny.pb is laid out otherwise")
	}
	inner := raw(bytes.Clone(p[body+2:body+2+0x24])).bytes(20, raw(nil).num(1, 7))
	q := bytes.Clone(p[:body])
	q[body-1] = 5 // values: one more than it has samples
	q = append(raw(q).bytes(15, inner), p[body+2+0x24:]...)
	got, err := telemetry.DecodeEnvelope(q)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffEnvelopes(want, got); diff != "" {
		t.Error(diff)
	}
	without := bytes.Clone(p)
	without[body-1] = 5
	if _, err := telemetry.DecodeEnvelope(without); err == nil {
		t.Error("a batch that lacks a record of a kind that is known was accepted")
	}
	j, err := telemetry.EncodeEnvelopeJSON(&want)
	if err != nil {
		t.Fatal(err)
	}
	j = bytes.Replace(j, []byte(`"values":4,`), []byte(`"values":5,"trips":[{"at":1}],`), 1)
	if got, err := telemetry.DecodeEnvelope(j); err != nil || diffEnvelopes(want, got) != "" {
		t.Errorf("JSON: %v", err)
	}
}
