package dbc_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	einride "go.einride.tech/can"
	"go.einride.tech/can/pkg/descriptor"
	"golang.org/x/sys/unix"

	"obu/can/dbc"
	"obu/telemetry"
)

// benchFrame is one frame of the benchmark's walk.
type benchFrame struct {
	id   uint32
	data [8]byte
}

func benchFrames() []benchFrame {
	r := rand.New(rand.NewPCG(7, 7))
	frames := make([]benchFrame, 4096)
	for i := range frames {
		frames[i].id = 0x100 + uint32(r.IntN(36))
		binary.LittleEndian.PutUint64(frames[i].data[:], r.Uint64())
	}
	return frames
}

// rivals are the messages of the file as einride's descriptors, by identifier.
func rivals(f *dbc.File) map[uint32]*descriptor.Message {
	out := make(map[uint32]*descriptor.Message)
	for _, m := range f.Messages {
		r := &descriptor.Message{Name: m.Name, ID: m.ID, Length: uint8(m.Size)}
		for _, s := range m.Signals {
			factor, offset := s.Scale()
			r.Signals = append(r.Signals, &descriptor.Signal{
				Name: s.Name, Start: uint8(s.Start), Length: uint8(s.Length), IsBigEndian: s.BigEndian, IsSigned: s.Signed,
				Scale: factor, Offset: offset, Min: s.Min, Max: s.Max, Unit: s.Unit,
			})
		}
		out[m.ID] = r
	}
	return out
}

// TestAgreesWithEinride: where it does not clamp to [min|max] and does not
// forget the scale of one bit, einride's descriptor says the same.
func TestAgreesWithEinride(t *testing.T) {
	f := parse(t, benchFile())
	d, other := dbc.Compile(f), rivals(f)
	compared := 0
	for _, frame := range benchFrames() {
		byName := make(map[string]float64)
		for _, s := range other[frame.id].Signals {
			byName[other[frame.id].Name+"."+s.Name] = s.UnmarshalPhysical(einride.Data(frame.data))
		}
		d.Decode(frame.id, false, frame.data[:], func(s *dbc.Signal, _ int64, v telemetry.Value) {
			if s.Telemetry.InRange(v.Float()) {
				compared++
				if want := byName[s.Telemetry.Name]; math.Abs(v.Float()-want) > 1e-12*math.Max(1, math.Abs(want)) {
					t.Fatalf("%s: %v, einride %v", s.Telemetry.Name, v, want)
				}
			}
		})
	}
	if compared < 20_000 {
		t.Errorf("only %d values compared", compared)
	}
}

// cpu reports the process's own time per frame: on a shared machine the wall
// clock tells of its neighbours.
func cpu(b *testing.B) func() {
	b.ReportAllocs()
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(unix.TimevalToNsec(u.Utime) + unix.TimevalToNsec(u.Stime))
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkDecode decodes frames of a file of 36 messages and 189 signals,
// all signals to values: compiled, and with einride's descriptor.
func BenchmarkDecode(b *testing.B) {
	f := parse(b, benchFile())
	frames := benchFrames()
	sum := 0.0
	b.Run("compiled", func(b *testing.B) {
		d := dbc.Compile(f)
		emit := func(_ *dbc.Signal, _ int64, v telemetry.Value) { sum += v.Float() }
		defer cpu(b)()
		for i := 0; b.Loop(); i++ {
			frame := &frames[i&4095]
			d.Decode(frame.id, false, frame.data[:], emit)
		}
	})
	b.Run("einride", func(b *testing.B) {
		d := rivals(f)
		defer cpu(b)()
		for i := 0; b.Loop(); i++ {
			frame := &frames[i&4095]
			for _, s := range d[frame.id].Signals {
				sum += s.UnmarshalPhysical(einride.Data(frame.data))
			}
		}
	})
	if math.IsNaN(sum) {
		b.Fatal("NaN")
	}
}
