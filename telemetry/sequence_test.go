package telemetry

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSequencesRoundTrip: integers of any size, in a row of sequences with
// hints, factors and peers, are read as they were written.
func TestSequencesRoundTrip(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		all := make([][]int64, rnd.IntN(20))
		common := make([]int64, 50)
		for i := range common {
			common[i] = rnd.Int64N(2000) - 1000
		}
		for i := range all {
			all[i] = randomSequence(rnd, common)
		}
		w := new(denseWriter)
		w.reset()
		for i, xs := range all {
			w.factored(xs, hint{first: int64(i), peers: &w.peers}, &w.models.values)
		}
		r := &denseReader{}
		r.models = freshModels
		r.start(w.finish())
		for i, xs := range all {
			ys := make([]int64, len(xs))
			if !r.factored(ys, hint{first: int64(i), peers: &r.peers}, &r.models.values) || !slices.Equal(xs, ys) {
				t.Fatalf("seed %d, sequence %d: %v, want %v", seed, i, ys, xs)
			}
		}
	}
}

func randomSequence(rnd *rand.Rand, common []int64) []int64 {
	xs := make([]int64, rnd.IntN(len(common)))
	at := int64(rnd.Uint64()) >> rnd.IntN(64)
	switch shift := rnd.IntN(64); rnd.IntN(4) {
	case 0: // any
		for i := range xs {
			at += int64(rnd.Uint64()) >> shift
			xs[i] = at
		}
	case 1: // with a factor
		f := rnd.Int64N(10_000)
		for i := range xs {
			xs[i] = at%1000 + f*rnd.Int64N(100)
		}
	default: // like others
		share := rnd.Int64N(9) - 4
		xs = xs[:max(0, len(xs)-1)]
		for i := range xs {
			at += share*common[len(common)-len(xs)+i] + rnd.Int64N(20)
			xs[i] = at
		}
	}
	return xs
}

// TestGlideRoundTrips: integers of any size at times of any kind, and places of a
// car at uneven times, which cost less than by steps alone.
func TestGlideRoundTrips(t *testing.T) {
	write := func(xs, ts []int64) []byte {
		w := new(denseWriter)
		w.reset()
		w.factored(xs, hint{glide: ts}, &w.models.fixes)
		return w.finish()
	}
	read := func(p []byte, n int, ts []int64) ([]int64, bool) {
		r := &denseReader{}
		r.models = freshModels
		r.start(p)
		ys := make([]int64, n)
		return ys, r.factored(ys, hint{glide: ts}, &r.models.fixes)
	}
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		xs := randomSequence(rnd, make([]int64, 50))
		ts := make([]int64, len(xs))
		for i := range ts {
			ts[i] = int64(rnd.Uint64()) >> rnd.IntN(64)
		}
		if ys, ok := read(write(xs, ts), len(xs), ts); !ok || !slices.Equal(xs, ys) {
			t.Fatalf("seed %d: %v, want %v", seed, ys, xs)
		}
	}
	rnd := rand.New(rand.NewPCG(2, 2))
	xs, ts := make([]int64, 100), make([]int64, 100)
	for i := 1; i < len(xs); i++ {
		ts[i] = ts[i-1] + 1000*(1+rnd.Int64N(30))
		xs[i] = xs[i-1] + (ts[i]-ts[i-1])*15/1000 + rnd.Int64N(9)
	}
	glides := write(xs, ts)
	if steps := write(xs, nil); 4*len(glides) > 3*len(steps) {
		t.Errorf("%d bytes, by steps alone %d", len(glides), len(steps))
	}
	if ys, ok := read(glides, len(xs), ts); !ok || !slices.Equal(xs, ys) {
		t.Errorf("%v, want %v", ys, xs)
	}
	if _, ok := read(glides, len(xs), nil); ok {
		t.Error("read without the times, which format 2 has not")
	}
}

// TestPeersHelp: columns that move together cost less than one by one.
func TestPeersHelp(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 4))
	a, b := make([]int64, 100), make([]int64, 100)
	for i := 1; i < len(a); i++ {
		a[i] = a[i-1] + rnd.Int64N(400) - 200
		b[i] = 3*a[i] + rnd.Int64N(5)
	}
	cost := func(p *peers) int {
		w := new(denseWriter)
		w.reset()
		for _, xs := range [][]int64{a, b} {
			w.factored(xs, hint{peers: p}, &w.models.values)
		}
		return len(w.finish())
	}
	if alone, together := cost(nil), cost(new(peers)); together > alone*3/4 {
		t.Errorf("together %d bytes, one by one %d", together, alone)
	}
}
