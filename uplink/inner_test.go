package uplink

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// FuzzRanges: a set of seqs behaves as a map of seqs, and stays disjoint,
// rising and non-touching.
func FuzzRanges(f *testing.F) {
	f.Add([]byte{1, 2, 3, 130, 5, 4, 255, 6})
	f.Add([]byte{10, 12, 11, 139, 9, 200, 64})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var r ranges
		want := make(map[uint64]bool)
		for _, op := range ops {
			seq := uint64(op & 0x3f)
			switch op >> 6 {
			case 0:
				r.add(seq)
				want[seq] = true
			case 1:
				r.addSpan(span{seq, seq + seq%7})
				for s := seq; s <= seq+seq%7; s++ {
					want[s] = true
				}
			case 2:
				r.remove(seq)
				delete(want, seq)
			case 3:
				r.trim(seq / 4)
				for s := range want {
					if s < seq/4 {
						delete(want, s)
					}
				}
			}
			upTo := 0
			for _, s := range r.upTo(33) {
				upTo += int(s.hi - s.lo + 1)
			}
			for s := range want {
				if s <= 33 {
					upTo--
				}
			}
			if upTo != 0 {
				t.Fatalf("after %v: %d seqs too many up to 33", ops, upTo)
			}
			for s := range uint64(78) {
				if r.contains(s) != want[s] {
					t.Fatalf("after %v: contains(%d) is %v", ops, s, r.contains(s))
				}
				m := s
				for want[m] {
					m++
				}
				if r.missing(s) != m {
					t.Fatalf("after %v: missing(%d) is %d, want %d", ops, s, r.missing(s), m)
				}
			}
			for i := 1; i < len(r.spans); i++ {
				if r.spans[i-1].hi+1 >= r.spans[i].lo {
					t.Fatalf("after %v: spans touch: %v", ops, r.spans)
				}
			}
		}
	})
}

// TestSplitLosesNothing: the pieces of a content are the content.
func TestSplitLosesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		list := make([]int, rng.IntN(50))
		for i := range list {
			list[i] = rng.Int()
		}
		n := 1 + rng.IntN(60)
		var back []int
		for i := range n {
			back = append(back, run(list, i, n)...)
		}
		if !slices.Equal(list, back) {
			t.Fatalf("%d in %d runs: %v became %v", len(list), n, list, back)
		}
	}
}

// TestPacketIDsAreNotReusedInFlight: over several turns of the 16 bits, with
// some packets that never settle, and until there is no id left.
func TestPacketIDsAreNotReusedInFlight(t *testing.T) {
	var table flights
	rng := rand.New(rand.NewPCG(1, 2))
	held := make(map[uint16]*flight)
	last := uint16(0)
	for range 300_000 {
		f := &flight{}
		if !table.add(f) {
			t.Fatal("no id left")
		}
		if f.id == 0 || held[f.id] != nil {
			t.Fatalf("id %d is in use", f.id)
		}
		if f.id == last {
			t.Fatalf("id %d again at once: a second PUBACK would meet it", f.id)
		}
		last = f.id
		held[f.id] = f
		if rng.IntN(1000) > 0 {
			delete(held, f.id)
			delete(table.byID, f.id)
		}
	}
	for table.add(&flight{}) {
	}
	if n := len(table.byID); n != maxIDs {
		t.Errorf("%d ids in use when there is none left, want %d", n, maxIDs)
	}
	if n := len(table.clear()); n != maxIDs || !table.add(&flight{}) {
		t.Errorf("cleared %d", n)
	}
}

func TestTopicFilters(t *testing.T) { // MQTT 3.1.1 §4.7
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a/b", "a/b", true}, {"a/b", "a/c", false}, {"a/b", "a", false}, {"a", "a/b", false},
		{"a/+", "a/b", true}, {"a/+", "a/b/c", false}, {"a/+", "a", false}, {"+/b", "a/b", true}, {"a/+/c", "a//c", true},
		{"#", "a/b/c", true}, {"a/#", "a/b/c", true}, {"a/#", "a", true}, {"a/#", "ab", false}, {"+/#", "a/b", true},
		{"", "", true}, {"a/", "a/", true}, {"a/", "a", false}, {"/a", "/a", true},
	} {
		if got := matches(c.filter, c.topic); got != c.want {
			t.Errorf("filter %q, topic %q: %v", c.filter, c.topic, got)
		}
	}
}

// BenchmarkPacer shows that measuring costs nothing beside a packet.
func BenchmarkPacer(b *testing.B) {
	var p pacer
	now := time.Unix(0, 0)
	p.start(now)
	for b.Loop() {
		now = now.Add(time.Millisecond)
		m := p.sent(1000, now)
		p.acked(1000, m, now.Add(time.Millisecond))
	}
}

// BenchmarkReceipt: one receipt for a day of one-second batches, which comes
// when the cloud was away for a day. It is all that the pump does meanwhile.
func BenchmarkReceipt(b *testing.B) {
	const day = 86_400
	for b.Loop() {
		l := &lane{}
		l.awaiting.addSpan(span{1, day})
		if n := len(l.confirm(day)); n != day {
			b.Fatalf("%d names", n)
		}
	}
}
