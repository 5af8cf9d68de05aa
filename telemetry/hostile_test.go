package telemetry_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"

	"obu/telemetry"
)

// raw builds protobuf fields that no honest encoder writes.
type raw []byte

func (r raw) num(f protowire.Number, v uint64) raw {
	return protowire.AppendVarint(protowire.AppendTag(r, f, protowire.VarintType), v)
}

func (r raw) bytes(f protowire.Number, v []byte) raw {
	return protowire.AppendBytes(protowire.AppendTag(r, f, protowire.BytesType), v)
}

func envelope(values uint64, body []byte, compression uint64) []byte {
	counts := protowire.AppendVarint(nil, values)
	return raw(nil).num(1, 1).bytes(13, []byte{1, 1}).bytes(14, counts).bytes(15, body).num(16, compression)
}

// spent runs do and returns the bytes it allocated.
func spent(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestHostilePayloads(t *testing.T) {
	bomb := func(n int) []byte {
		e, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return e.EncodeAll(make([]byte, n), nil)
	}
	// 0x1FFFF rows in one constant column: number of rows (6+17 bits), times and values of one repeated number.
	var w bitString
	w.number(telemetry.MaxValues - 1)
	w.constant(5)
	w.constant(7)
	speed, _ := telemetry.Lookup("Vehicle.Speed")
	number := byte(speed.ID())
	rows := raw(nil).bytes(4, []byte{number}).bytes(10, w.bytes())
	// 4,095 columns that share that clock
	shared := raw(nil).bytes(4, bytes.Repeat([]byte{number}, 4095)).bytes(6, append([]byte{0}, bytes.Repeat([]byte{1}, 4094)...)).bytes(10, w.bytes())
	// as many tiny tables as fit into a body
	sources := raw(nil)
	for len(sources) < 4<<20-8 {
		sources = sources.bytes(2, nil)
	}
	texts := raw(nil)
	for len(texts) < 4<<20-8 {
		texts = texts.bytes(3, nil)
	}
	gaps := raw(nil)
	for len(gaps) < 4<<20-8 {
		gaps = gaps.bytes(11, nil)
	}
	states := raw(nil).bytes(4, []byte{number})
	for len(states) < 4<<20-2048 {
		states = states.bytes(8, raw(nil).bytes(2, make([]byte, 1000)))
	}
	manySeqs := raw(nil).num(1, 1).bytes(13, protowire.AppendVarint([]byte{1}, 1<<40))
	var clocks bitString
	clocks.constant(3) // cuts
	for range 4095 {
		clocks.number(1)   // rows
		clocks.write(0, 1) // not by cuts
		clocks.constant(0)
	}
	wide := raw(nil).bytes(4, bytes.Repeat([]byte{number}, 4095)).bytes(10, clocks.bytes())
	many := raw(nil).num(1, 1).bytes(13, protowire.AppendVarint([]byte{1}, telemetry.MaxBatches)).bytes(15, wide)
	doubts := `{"format":1,"batches":[{"seq":1,"values":1,"fixes":[{"doubt":[""` + strings.Repeat(`,""`, 2<<20) + `]}]}]}`
	tests := []struct {
		name    string
		payload []byte
		want    error // nil: may be accepted
	}{
		{"empty", nil, telemetry.ErrMalformed},
		{"zeros", make([]byte, 100), telemetry.ErrMalformed},
		{"newer format", raw(nil).num(1, telemetry.FormatTrack+1), telemetry.ErrNewerFormat},
		{"no format", raw(nil).num(2, 2), telemetry.ErrMalformed},
		{"decompression bomb of 100 MB", envelope(1, bomb(100<<20), 1), telemetry.ErrMalformed},
		{"decompression bomb of 4 MB", envelope(1, bomb(4<<20), 1), telemetry.ErrMalformed},
		{"unknown compression", envelope(1, bomb(10), 9), telemetry.ErrMalformed},
		{"row bomb", envelope(telemetry.MaxValues-1, rows, 0), nil},
		{"row bomb, over the bound", envelope(telemetry.MaxValues+1, rows, 0), telemetry.ErrTooLarge},
		{"row bomb, values differ", envelope(1, rows, 0), telemetry.ErrMalformed},
		{"column bomb", envelope(telemetry.MaxValues-1, shared, 0), telemetry.ErrTooLarge},
		{"sources", envelope(0, sources, 0), telemetry.ErrTooLarge},
		{"texts", envelope(0, texts, 0), telemetry.ErrTooLarge},
		{"gaps", envelope(0, gaps, 0), telemetry.ErrTooLarge},
		{"states", envelope(0, states, 0), telemetry.ErrTooLarge},
		{"4 MB and a byte", envelope(0, make([]byte, 4<<20+1), 0), telemetry.ErrTooLarge},
		{"batch bomb", manySeqs, telemetry.ErrTooLarge},
		{"columns times batches", many, telemetry.ErrTooLarge},
		{"JSON of too many doubts", []byte(doubts), telemetry.ErrTooLarge},
		{"part 3 of 3", raw(nil).num(1, 1).bytes(12, raw(nil).num(1, 3).num(2, 3)).bytes(13, []byte{1, 1}), telemetry.ErrMalformed},
		{"seq 0", raw(nil).num(1, 1).bytes(13, []byte{0, 1}), telemetry.ErrMalformed},
		{"seqs that overflow", raw(nil).num(1, 1).bytes(13, protowire.AppendVarint([]byte{5, 1}, 1<<64-3)), telemetry.ErrMalformed},
		{"JSON of too many samples", []byte(`{"format":1,"batches":[{"seq":1,"samples":[{}` + strings.Repeat(",{}", telemetry.MaxValues) + `]}]}`), telemetry.ErrTooLarge},
		{"JSON of too many bytes", []byte(`{"format":1}` + strings.Repeat(" ", telemetry.MaxJSON)), telemetry.ErrTooLarge},
		{"JSON nested", []byte(`{"format":1,"batches":` + strings.Repeat("[", 1<<20)), telemetry.ErrMalformed},
		{"JSON of a newer format", []byte(`{"format":2}`), telemetry.ErrNewerFormat},
		{"JSON twice", []byte(`{"format":1}{"format":1}`), telemetry.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			bytes := spent(func() { _, err = telemetry.DecodeEnvelope(tt.payload) })
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if tt.want == nil && err != nil {
				t.Errorf("refused: %v", err)
			}
			if most := uint64(128 << 20); bytes > most {
				t.Errorf("cost %d MiB, want at most %d", bytes>>20, most>>20)
			}
			if _, _, err := telemetry.ReadEnvelopeHeader(tt.payload); err != nil && tt.want == nil {
				t.Errorf("header refused: %v", err)
			}
		})
	}
}

// bitString writes the few integer forms that bombs need.
type bitString struct {
	bits []byte // one bit each
}

func (w *bitString) write(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		w.bits = append(w.bits, byte(v>>i&1))
	}
}

func (w *bitString) number(v uint64) {
	z, n := v<<1, 0
	for z>>n != 0 {
		n++
	}
	w.write(uint64(n), 6)
	if n > 1 {
		w.write(z&(1<<(n-1)-1), n-1)
	}
}

func (w *bitString) constant(v uint64) {
	w.write(7, 3)
	w.number(v)
}

func (w *bitString) bytes() []byte {
	out := make([]byte, (len(w.bits)+7)/8)
	for i, b := range w.bits {
		out[i/8] |= b << (7 - i%8)
	}
	return out
}

// TestDamagedPayloads flips, cuts and repeats bytes of good envelopes: either
// an error that can be told, or an envelope.
func TestDamagedPayloads(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 9))
	for range 300 {
		e := randomEnvelope(rnd)
		p, err := telemetry.EncodeEnvelope(&e)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			q := bytes.Clone(p)
			switch rnd.IntN(3) {
			case 0:
				q = q[:rnd.IntN(len(q))]
			case 1:
				q[rnd.IntN(len(q))] ^= 1 << rnd.IntN(8)
			case 2:
				i := rnd.IntN(len(q))
				q = append(q[:i:i], p[rnd.IntN(len(p)):]...)
			}
			_, err := telemetry.DecodeEnvelope(q)
			if err != nil && !errors.Is(err, telemetry.ErrMalformed) && !errors.Is(err, telemetry.ErrTooLarge) && !errors.Is(err, telemetry.ErrNewerFormat) {
				t.Fatalf("error without a sentinel: %v", err)
			}
		}
	}
}

// A header that names no batch has nowhere to put the rows of a body.
func TestBodyWithoutBatch(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for range 200 {
		e := randomEnvelope(rnd)
		if !slices.ContainsFunc(e.Batches, func(b telemetry.Batch) bool { return len(b.Samples)+len(b.Fixes) > 0 }) {
			continue
		}
		p, err := telemetry.EncodeEnvelope(&e)
		if err != nil {
			t.Fatal(err)
		}
		const seqs, values = 13, 14 // field numbers in telemetry.proto
		q := withoutFields(t, p, seqs, values)
		if _, err := telemetry.DecodeEnvelope(q); !errors.Is(err, telemetry.ErrMalformed) {
			t.Fatalf("envelope without seqs: %v, want ErrMalformed", err)
		}
	}
}

// withoutFields returns a protobuf message less some of its fields.
func withoutFields(t *testing.T, p []byte, drop ...protowire.Number) []byte {
	t.Helper()
	var out []byte
	for len(p) > 0 {
		num, _, n := protowire.ConsumeField(p)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		if !slices.Contains(drop, num) {
			out = append(out, p[:n]...)
		}
		p = p[n:]
	}
	return out
}

func TestEncodeRefuses(t *testing.T) {
	s := telemetry.Signals()[0]
	good := func() telemetry.Envelope {
		b := telemetry.Batch{Unit: "u", Name: telemetry.Name{Store: telemetry.StoreID{1}, Class: telemetry.ClassEvent, Seq: 4}}
		b.Samples = []telemetry.Sample{{Signal: s}}
		c := b
		c.Seq = 5
		return telemetry.Envelope{Unit: "u", Store: b.Store, Class: b.Class, Batches: []telemetry.Batch{b, c}}
	}
	tests := []struct {
		name  string
		spoil func(*telemetry.Envelope)
		want  error
	}{
		{"nothing", func(*telemetry.Envelope) {}, nil},
		{"falling seq", func(e *telemetry.Envelope) { e.Batches[1].Seq = 3 }, telemetry.ErrMixed},
		{"seq 0", func(e *telemetry.Envelope) { e.Batches[0].Seq = 0 }, telemetry.ErrMixed},
		{"other vehicle", func(e *telemetry.Envelope) { e.Batches[1].Vehicle = "other" }, telemetry.ErrMixed},
		{"other boot", func(e *telemetry.Envelope) { e.Batches[1].Boot[0]++ }, telemetry.ErrMixed},
		{"other store", func(e *telemetry.Envelope) { e.Store[0]++ }, telemetry.ErrMixed},
		{"part of two batches", func(e *telemetry.Envelope) { e.Part = &telemetry.Part{Of: 2} }, telemetry.ErrMixed},
		{"no signal", func(e *telemetry.Envelope) { e.Batches[1].Samples = []telemetry.Sample{{}} }, telemetry.ErrNoSignal},
		{"too many values", func(e *telemetry.Envelope) { e.Batches[1].Gaps = make([]telemetry.Gap, telemetry.MaxValues) }, telemetry.ErrTooLarge},
		{"too many bytes", func(e *telemetry.Envelope) {
			e.Batches[1].Chunks = []telemetry.Chunk{{Data: make([]byte, telemetry.MaxBody)}}
		}, telemetry.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := good()
			tt.spoil(&e)
			if _, err := telemetry.EncodeEnvelope(&e); !errors.Is(err, tt.want) {
				t.Errorf("protobuf: %v, want %v", err, tt.want)
			}
			if _, err := telemetry.EncodeEnvelopeJSON(&e); !errors.Is(err, tt.want) && tt.name != "too many bytes" {
				t.Errorf("JSON: %v, want %v", err, tt.want)
			}
		})
	}
}
