package telemetry_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"obu/telemetry"
)

// The near limit of the encoding table: the whole load as plain columns, in
// the layout that is smallest after xz -9e.

// series is one column of a whole load: rising times and values as integers.
type series struct {
	name   string
	at, xs []int64
}

// seriesOf lays a load out in columns, without headers, sources, qualities or
// names: less than any encoding that can be read. Values are in steps of the
// sensor; of what is off the steps, or text, the position among those seen.
func (l *load) seriesOf() []*series {
	index := make(map[string]*series)
	var out []*series
	of := func(name string) *series {
		s := index[name]
		if s == nil {
			s = &series{name: name}
			index[name] = s
			out = append(out, s)
		}
		return s
	}
	seen := make(map[string]int64)
	number := func(name string, step telemetry.Step, v telemetry.Value) int64 {
		switch v.Kind() {
		case telemetry.KindInt, telemetry.KindBool:
			return v.Int()
		case telemetry.KindFloat:
			if n, ok := step.Steps(v.Float()); ok {
				return n
			}
		}
		key := name + "\x00" + v.String()
		n, ok := seen[key]
		if !ok {
			n = int64(len(seen))
			seen[key] = n
		}
		return n
	}
	for i := range l.batches {
		for _, s := range l.batches[i].Samples {
			c := of(s.Signal.Name + " " + s.Source.String())
			c.at = append(c.at, int64(s.At.Round())/1e6)
			c.xs = append(c.xs, number(c.name, s.Signal.Step, s.Value))
		}
		for j := range l.batches[i].Fixes {
			f := &l.batches[i].Fixes[j]
			utc := of("utc")
			utc.at = append(utc.at, int64(f.At.Round())/1e6)
			utc.xs = append(utc.xs, f.UTC.UnixMilli())
			for _, fc := range fixColumns {
				if v := fc.of(f); !math.IsNaN(v) {
					c := of(fc.name)
					c.at = append(c.at, int64(f.At.Round())/1e6)
					step := fc.step
					for _, s := range []telemetry.Step{{Num: 1, Den: 100}, {Num: 1, Den: 1000}, {Num: 1, Den: 1e9}} { // not in knots
						if _, ok := step.Steps(v); !ok {
							step = s
						}
					}
					c.xs = append(c.xs, number(fc.name, step, telemetry.Float(v)))
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *series) int { return strings.Compare(a.name, b.name) })
	return out
}

// sequences are the integer sequences of a load: each clock once, each column
// of values.
func sequences(all []*series) (times, values [][]int64) {
	for i, s := range all {
		values = append(values, s.xs)
		if !slices.ContainsFunc(all[:i], func(t *series) bool { return slices.Equal(s.at, t.at) }) {
			times = append(times, s.at)
		}
	}
	return times, values
}

func differences(xs []int64) []int64 {
	out := slices.Clone(xs)
	for i := len(out) - 1; i > 0; i-- {
		out[i] -= out[i-1]
	}
	return out
}

func zig(x int64) uint64 { return uint64(x<<1) ^ uint64(x>>63) }

func varints(xs []int64) (out []byte) {
	for _, x := range xs {
		out = binary.AppendUvarint(out, zig(x))
	}
	return out
}

// fixed writes each number in as many bytes as the widest needs; by planes
// puts all first bytes first.
func fixed(xs []int64, planes bool) []byte {
	var all uint64
	for _, x := range xs {
		all |= zig(x)
	}
	width := max(1, (bits.Len64(all)+7)/8)
	out := make([]byte, width*len(xs))
	for i, x := range xs {
		for b := range width {
			at := i*width + b
			if planes {
				at = b*len(xs) + i
			}
			out[at] = byte(zig(x) >> (8 * b))
		}
	}
	return out
}

// layouts are the plain ways to write a sequence.
var layouts = []struct {
	name  string
	write func([]int64) []byte
}{
	{"delta varint", func(xs []int64) []byte { return varints(differences(xs)) }},
	{"delta of delta varint", func(xs []int64) []byte { return varints(differences(differences(xs))) }},
	{"fixed width", func(xs []int64) []byte { return fixed(xs, false) }},
	{"delta fixed width", func(xs []int64) []byte { return fixed(differences(xs), false) }},
	{"delta byte planes", func(xs []int64) []byte { return fixed(differences(xs), true) }},
	{"delta of delta byte planes", func(xs []int64) []byte { return fixed(differences(differences(xs)), true) }},
}

// xz returns the size of p after xz -9e, or, for a first look, with the same
// effort and a small dictionary, whose memory is cheaper to get.
func xz(t *testing.T, p []byte, preset string) int {
	t.Helper()
	cmd := exec.Command("xz", preset, "-c", "--check=none")
	cmd.Stdin = bytes.NewReader(p)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("xz %s: %v", preset, err)
	}
	return len(out)
}

const (
	xzBest = "-9e"
	xzLook = "--lzma2=preset=9e,dict=1MiB"
)

// limit is the near limit of a load.
type limit struct {
	layout string
	bytes  int
	times  int // of which, compressed by themselves
	plain  int // in the first layout
}

// nearLimit writes the whole load in each layout and, sequence by sequence, in
// whichever of them is smallest by itself, and returns the smallest after
// xz -9e.
func nearLimit(t *testing.T, l *load) limit {
	t.Helper()
	times, values := sequences(l.seriesOf())
	all := append(slices.Clone(times), values...)
	best := limit{bytes: math.MaxInt}
	try := func(name string, write func(i int, xs []int64) []byte) {
		var p, q []byte
		for i, xs := range all {
			p = append(p, write(i, xs)...)
			if i == len(times)-1 {
				q = slices.Clone(p)
			}
		}
		n := xz(t, p, xzBest)
		if best.plain == 0 {
			best.plain = n
		}
		if n < best.bytes {
			best.layout, best.bytes, best.times = name, n, xz(t, q, xzBest)
		}
	}
	choice := make([]int, len(all))
	for i, xs := range all {
		least := math.MaxInt
		for j, lay := range layouts {
			if n := xz(t, lay.write(xs), xzLook); n < least {
				least, choice[i] = n, j
			}
		}
	}
	for _, lay := range layouts {
		try(lay.name, func(_ int, xs []int64) []byte { return lay.write(xs) })
	}
	try("the best of each column", func(i int, xs []int64) []byte { return layouts[choice[i]].write(xs) })
	return best
}

// entropy returns the order-0 entropy, in bytes, of a sequence's differences,
// or of its second differences, whichever is less: what an ideal coder with
// the column's own statistics, free of charge, would write.
func entropy(xs []int64) float64 {
	of := func(ds []int64) float64 {
		count := make(map[int64]int)
		for _, d := range ds {
			count[d]++
		}
		sum := 0.0
		for _, n := range count {
			sum -= float64(n) * math.Log2(float64(n)/float64(len(ds)))
		}
		return sum / 8
	}
	if len(xs) < 3 {
		return 0
	}
	d := differences(xs)
	return min(of(d[1:]), of(differences(d)[2:]))
}
