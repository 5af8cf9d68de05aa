package buffer

import (
	"math/rand/v2"
	"testing"
)

// TestSpans holds a set of seqs against a map, and its encoding against itself.
func TestSpans(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var s spans
		want := map[uint64]bool{}
		for range rnd.IntN(120) {
			seq := 1 + rnd.Uint64N(60)
			s = s.with(seq)
			want[seq] = true
		}
		for i := range s {
			if s[i].from > s[i].to || i > 0 && s[i].from <= s[i-1].to+1 {
				t.Fatalf("%v: runs overlap or touch", s)
			}
		}
		for seq := uint64(0); seq < 64; seq++ {
			if s.has(seq) != want[seq] {
				t.Fatalf("%v has %d: %v", s, seq, s.has(seq))
			}
		}
		if int(s.count()) != len(want) {
			t.Fatalf("%v counts %d of %d", s, s.count(), len(want))
		}
		r := reader{b: s.encode(nil)}
		back := r.spans()
		if r.bad || len(r.b) > 0 || len(back) != len(s) {
			t.Fatalf("%v came back as %v", s, back)
		}
		for i := range s {
			if s[i] != back[i] {
				t.Fatalf("%v came back as %v", s, back)
			}
		}
	}
}
