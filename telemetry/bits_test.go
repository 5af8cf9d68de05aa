package telemetry

import (
	"math/rand/v2"
	"testing"
)

// TestBits: what is written is read back, in numbers and in runs of ones of any
// length and at any place, and the end is noticed.
func TestBits(t *testing.T) {
	type item struct {
		v uint64
		n uint // 0: v ones and a zero
	}
	for seed := range uint64(2000) {
		rnd := rand.New(rand.NewPCG(seed, 13))
		items := make([]item, rnd.IntN(40))
		var w bitWriter
		total := 0
		for i := range items {
			if rnd.IntN(2) == 0 {
				n := 1 + uint(rnd.IntN(64))
				items[i] = item{rnd.Uint64() & (1<<n - 1), n}
				w.write(items[i].v, n)
				total += int(n)
				continue
			}
			q := rnd.Uint64N(riceMaxOnes + 1)
			items[i] = item{q, 0}
			w.write(1<<q-1, uint(q))
			total += int(q)
			if q < riceMaxOnes {
				w.write(0, 1)
				total++
			}
		}
		p := w.finish()
		if len(p) != (total+7)/8 {
			t.Fatalf("seed %d: %d bits in %d bytes", seed, total, len(p))
		}
		r := bitReader{buf: p}
		for i, it := range items {
			got := uint64(0)
			if it.n > 0 {
				got = r.read(it.n)
			} else {
				got = uint64(r.ones(riceMaxOnes))
			}
			if got != it.v || r.short {
				t.Fatalf("seed %d: item %d of %d bits is %d, want %d, short %v", seed, i, it.n, got, it.v, r.short)
			}
		}
		if rest := uint(8*len(p) - total); rest > 0 && r.read(rest) != 0 {
			t.Fatalf("seed %d: padded with ones", seed)
		}
		if r.short {
			t.Fatalf("seed %d: short before the end", seed)
		}
		if r.ones(riceMaxOnes) != 0 || !r.short {
			t.Fatalf("seed %d: the end was not noticed", seed)
		}
	}
}
