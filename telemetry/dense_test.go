package telemetry

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
)

// TestDenseBombs: columns that no honest writer makes cost bounded memory, and
// those that are only large are read.
func TestDenseBombs(t *testing.T) {
	const speed = 15
	column := func(d *denseWriter, rows int64, clock uint64) {
		d.count(0, &d.models.signal)
		d.small(0, &d.models.source)
		d.small(clock, &d.models.clock)
		if clock == 0 {
			d.number(rows, &d.models.rows)
			d.constant(5, &d.models.times)
		}
		d.small(0, &d.models.form)
		d.small(0, &d.models.runs)
		d.bit(0, &d.models.values.factor)
		d.constant(7, &d.models.values)
	}
	begin := func(d *denseWriter, columns uint64) {
		d.count(columns, &d.models.rows)
		d.count(speed, &d.models.signal)
		d.small(1, &d.models.source)
		for range 3 {
			d.text("can0")
		}
		d.small(0, &d.models.clock)
	}
	for _, tt := range []struct {
		name  string
		write func(*denseWriter)
		want  error
	}{
		{"as many rows as there may be", func(d *denseWriter) {
			begin(d, 1)
			d.number(MaxValues, &d.models.rows)
			d.constant(5, &d.models.times)
			d.small(0, &d.models.form)
			d.small(0, &d.models.runs)
			d.bit(0, &d.models.values.factor)
			d.constant(7, &d.models.values)
			d.count(0, &d.models.rows)
		}, nil},
		{"columns of shared clocks", func(d *denseWriter) {
			begin(d, MaxColumns)
			d.number(MaxValues/2, &d.models.rows)
			d.constant(5, &d.models.times)
			d.small(0, &d.models.form)
			d.small(0, &d.models.runs)
			d.bit(0, &d.models.values.factor)
			d.constant(7, &d.models.values)
			for range MaxColumns - 1 {
				column(d, 0, 1)
			}
		}, ErrTooLarge},
		{"too many columns", func(d *denseWriter) { d.count(1<<40, &d.models.rows) }, ErrTooLarge},
		{"too many rows", func(d *denseWriter) { begin(d, 1); d.number(1<<40, &d.models.rows) }, ErrMalformed},
		{"too many states", func(d *denseWriter) {
			begin(d, 1)
			d.number(4, &d.models.rows)
			d.constant(5, &d.models.times)
			d.small(0, &d.models.form)
			d.small(1<<63+5, &d.models.runs)
		}, ErrTooLarge},
		{"endless text", func(d *denseWriter) {
			d.count(1, &d.models.rows)
			d.count(speed, &d.models.signal)
			d.small(1, &d.models.source)
			d.count(0, &d.models.texts)
			d.count(1<<40, &d.models.rows)
			for range 1 << 16 {
				d.tree('x', 8, d.models.chars[:])
			}
		}, ErrMalformed},
		{"too many receivers", func(d *denseWriter) { d.count(0, &d.models.rows); d.count(1<<20, &d.models.rows) }, ErrTooLarge},
		{"too many fixes", func(d *denseWriter) {
			d.count(0, &d.models.rows)
			d.count(1, &d.models.rows)
			d.text("gps")
			d.count(1<<30, &d.models.rows)
		}, ErrMalformed},
	} {
		d := new(denseWriter)
		d.reset()
		tt.write(d)
		m := msg{}
		m.uint(envFormat, 2)
		m.packed(envSeqs, []uint64{1, 1})
		m.bytes(envBody, d.finish())
		got, err := decodeWithin(t, tt.name, m.b)
		if !errors.Is(err, tt.want) || tt.want == nil && (err != nil || got.Values() != MaxValues) {
			t.Errorf("%s: %d values and error %v, want %v", tt.name, got.Values(), err, tt.want)
		}
	}
}

func (s *seqWriter) constant(x int64, m *seqModel) {
	s.tree(predConstant, predBits, m.pred[:])
	s.number(x, &m.first)
}

// decodeWithin decodes and holds what it allocates.
func decodeWithin(t *testing.T, name string, p []byte) (Envelope, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e, err := DecodeEnvelope(p)
	runtime.ReadMemStats(&after)
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 128<<20 {
		t.Errorf("%s: cost %d MiB, want at most 128", name, cost>>20)
	}
	return e, err
}

// TestDenseNoise: any bytes in the place of the columns are refused by name or
// read, in bounded memory.
func TestDenseNoise(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 1))
	for i := range 3000 {
		p := make([]byte, rnd.IntN(200))
		for j := range p {
			p[j] = byte(rnd.Uint32()) >> (i % 9)
		}
		m := msg{}
		m.uint(envFormat, uint64(2+i/3%2))
		m.packed(envSeqs, []uint64{1, uint64(1 + i%3)})
		m.bytes(envBody, p)
		if _, err := decodeWithin(t, "noise", m.b); err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%x: %v", p, err)
		}
	}
}

// TestShortBitsAreNoticed: a stream that was cut by more than what its reader
// looks ahead does not pass for a whole one.
func TestShortBitsAreNoticed(t *testing.T) {
	w := &seqWriter{models: freshModels}
	w.start()
	rnd := rand.New(rand.NewPCG(5, 5))
	xs := make([]int64, 100)
	for i := range xs {
		xs[i] = rnd.Int64N(1000)
	}
	w.sequence(xs, &w.models.values)
	p := w.finish()
	for n := range len(p) {
		r := &seqRead{models: freshModels}
		r.start(p[:n])
		ys := make([]int64, len(xs))
		if ok := r.sequence(ys, &r.models.values); ok && (n < len(p)-4 || slices.Equal(xs, ys)) {
			t.Errorf("the first %d of %d bytes read as a whole: %v", n, len(p), slices.Equal(xs, ys))
		}
	}
}
