package buffer

import (
	"cmp"
	"sort"

	"obu/telemetry"
)

// settleDoubt lists what the failed transaction took out undelivered, should the
// file have lost it: the rows that the transaction listed it in are not
// memory's. What was delivered or listed since is neither.
func (b *Buffer) settleDoubt(f *file) {
	f.mu.Lock()
	for _, n := range f.acked {
		delete(f.doubt, n)
	}
	var lost []telemetry.Gap
	for n, g := range f.doubt {
		if s := f.stream(n.Store, n.Class); s == nil || !s.held(n.Seq) {
			lost = append(lost, g)
		}
	}
	f.doubt = nil
	f.mu.Unlock()
	sort.Slice(lost, func(i, j int) bool { // neighbours become one
		x, y := lost[i], lost[j]
		return cmp.Or(compareStores(x.Store, y.Store), cmp.Compare(x.Class, y.Class), cmp.Compare(x.FromSeq, y.FromSeq)) < 0
	})
	for _, g := range lost {
		b.Lost(g)
		if g.Reason == telemetry.ReasonExpired {
			b.countExpired(1)
		} else {
			b.countEvicted(1)
		}
	}
}

// doubted notes what a transaction took out undelivered that returned an error:
// it may have reached the disk all the same. mu must be held.
func (f *file) doubted(list []removal) {
	if len(list) > 0 && f.doubt == nil {
		f.doubt = map[telemetry.Name]telemetry.Gap{}
	}
	for _, r := range list {
		n := r.s.name(r.seq)
		f.doubt[n] = evictedGap(n, r.h, cmp.Or(r.why, telemetry.ReasonEvicted))
	}
}
