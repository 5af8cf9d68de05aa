package ledger

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestRunsAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s runs
		model := make(map[uint64]bool)
		for range 80 {
			lo := 1 + uint64(r.IntN(100))
			hi := lo + uint64(r.IntN(4)) - uint64(r.IntN(2)) // sometimes nothing
			s.addRange(lo, hi)
			for v := lo; v <= hi; v++ {
				model[v] = true
			}
		}
		for v := range uint64(110) {
			if s.has(v) != model[v] {
				t.Fatalf("seed %d: has(%d) = %v", seed, v, s.has(v))
			}
		}
		for i := range s.r {
			if s.r[i].lo > s.r[i].hi || i > 0 && s.r[i].lo <= s.r[i-1].hi+1 {
				t.Fatalf("seed %d: runs not disjoint and apart: %v", seed, s.r)
			}
		}
		lo, hi := uint64(r.IntN(50)), uint64(50+r.IntN(60))
		var absent []uint64
		s.absent(lo, hi, func(lo, hi uint64) {
			for v := lo; v <= hi; v++ {
				absent = append(absent, v)
			}
		})
		var want []uint64
		for v := lo; v <= hi; v++ {
			if !model[v] {
				want = append(want, v)
			}
		}
		if !slices.Equal(absent, want) {
			t.Fatalf("seed %d: absent(%d,%d) = %v, want %v", seed, lo, hi, absent, want)
		}
		if got := s.covers(lo, hi); got != (len(want) == 0) {
			t.Fatalf("seed %d: covers(%d,%d) = %v", seed, lo, hi, got)
		}
	}
}

func TestRunsAtTheEnds(t *testing.T) {
	var s runs
	s.add(math.MaxUint64)
	s.add(0)
	s.add(math.MaxUint64 - 1)
	if !slices.Equal(s.r, []run{{0, 0}, {math.MaxUint64 - 1, math.MaxUint64}}) {
		t.Errorf("runs %v", s.r)
	}
	var got []run
	s.absent(0, math.MaxUint64, func(lo, hi uint64) { got = append(got, run{lo, hi}) })
	if !slices.Equal(got, []run{{1, math.MaxUint64 - 2}}) {
		t.Errorf("absent %v", got)
	}
	s.addRange(1, math.MaxUint64-2)
	if !slices.Equal(s.r, []run{{0, math.MaxUint64}}) {
		t.Errorf("filled %v", s.r)
	}
	if n := s.mergeLowest(); n != 0 {
		t.Errorf("merged %d", n)
	}
}

func TestRunsMergeLowest(t *testing.T) {
	s := runs{r: []run{{1, 2}, {5, 6}, {9, 9}}}
	if n := s.mergeLowest(); n != 2 || !slices.Equal(s.r, []run{{1, 6}, {9, 9}}) {
		t.Errorf("merged %d, left %v", n, s.r)
	}
}

func TestStreamOfAMillionIsOneRun(t *testing.T) {
	var s runs
	for v := uint64(1); v <= 1e6; v++ {
		s.add(v)
	}
	if s.len() != 1 || cap(s.r) > 8 {
		t.Errorf("%d runs, capacity %d", s.len(), cap(s.r))
	}
}
