package buffer

import (
	"slices"
	"sort"

	"obu/telemetry"
)

// sought is what a search knows and found of one (store, class).
type sought struct {
	store    telemetry.StoreID
	class    telemetry.Class
	next     uint64 // 0: not known
	open     bool   // next may have been higher
	unlisted bool   // the newest state was read; where next is not known it knows of no such stream
	holds    uint64 // batches the state says are in the file and not acknowledged
	sure     uint64 // batches found in the first pass
	small    uint64 // the highest seq found in the stream's own bucket that could have waited in the tail
	rumour   bool   // only its name was found, on a page that may be stale
	late     bool   // the tail could not be read whole
	found    spans
	dropped  spans     // acknowledged, and in the file for now
	bad      []badSeqs // where the first pass could not read; after it: where batches may be missing
	doubt    bool      // a record since sound is not what was written
	sound    uint64    // the seq found last in the bucket being read
	before   header    // of the batch found last, in the order of the first pass
}

// badSeqs are seqs that lie, or may lie, where nothing can be read.
type badSeqs struct {
	from, to      uint64
	before, after header // the batches found on either side; zero: none
}

// whole reports whether the first pass found all that the state knows of. A
// state older than what the pass goes through counts nothing: as many may have
// come since as are missing.
func (s *sought) whole() bool { return s.next != 0 && !s.open && s.sure >= s.holds }

// last is the highest seq there may be.
func (s *sought) last() uint64 {
	if s.next == 0 || s.open {
		return allSeqs
	}
	return s.next - 1
}

// judge ends the first pass: it narrows down where batches are missing, to what
// could not be read, or to all that was not found when that accounts for too
// few.
func (s *sought) judge() {
	defer func() {
		if s.open && len(s.bad) == 0 || s.open && s.bad[len(s.bad)-1].to < allSeqs {
			s.bad = append(s.bad, badSeqs{from: s.next, to: allSeqs, before: s.before})
		}
		for _, r := range s.dropped { // neither wanted nor missing
			for seq := r.from; seq <= r.to; seq++ {
				s.found = s.found.with(seq)
			}
		}
	}()
	if s.late { // what waits in the tail is younger than what is out of it
		s.spoil(s.small+1, s.last())
	}
	sort.Slice(s.bad, func(i, j int) bool { return s.bad[i].from < s.bad[j].from })
	for i := len(s.bad) - 1; i > 0; i-- {
		if a, b := &s.bad[i-1], s.bad[i]; a.to+1 >= b.from {
			a.to, a.after = max(a.to, b.to), b.after
			s.bad = slices.Delete(s.bad, i, i+1)
		}
	}
	if s.whole() || s.unlisted && s.next == 0 && s.sure == 0 && !s.late && len(s.bad) == 0 {
		s.bad = nil
		return
	}
	var room uint64
	for _, b := range s.bad {
		for _, free := range s.found.not(b.from, b.to) {
			room += free.to - free.from + 1
		}
	}
	if s.next == 0 || room < s.holds-min(s.holds, s.sure) {
		s.bad = []badSeqs{{from: 1, to: s.last()}}
	}
}

// wanted reports whether seq may be a batch that the first pass missed.
func (s *sought) wanted(seq uint64) bool {
	i := sort.Search(len(s.bad), func(i int) bool { return s.bad[i].to >= seq })
	return i < len(s.bad) && s.bad[i].from <= seq && !s.found.has(seq)
}

// trust ends a doubt. Of what is not what was written the key may be what is
// wrong, a branch's no less than a record's: names between those of the sound
// neighbours may be missing.
func (s *sought) trust(upTo uint64) {
	if s.doubt {
		s.doubt = false
		s.spoil(s.sound+1, upTo)
	}
}

// spoil notes seqs that cannot be read.
func (s *sought) spoil(from, to uint64) {
	if to = min(to, s.last()); to < from {
		return
	}
	if n := len(s.bad); n > 0 && s.bad[n-1].to+1 >= from && s.bad[n-1].to <= to && s.bad[n-1].after == (header{}) {
		s.bad[n-1].to = to
		return
	}
	if len(s.bad) >= maxBadSeqs { // wider, never unlisted
		s.bad[len(s.bad)-1].to = max(to, s.bad[len(s.bad)-1].to)
		return
	}
	s.bad = append(s.bad, badSeqs{from: from, to: to, before: s.before})
}

// maxBadSeqs bounds the ranges listed of one stream: more are listed as one.
const maxBadSeqs = 256

// pass notes a batch found in order: what is spoiled before it is no younger.
func (s *sought) pass(h header) {
	s.before = h
	for i := len(s.bad) - 1; i >= 0 && s.bad[i].after == (header{}); i-- {
		s.bad[i].after = h
	}
}

func (s *sought) missing(g telemetry.Gap) []telemetry.Gap {
	g.Class, g.Store, g.Count, g.Reason = s.class, s.store, telemetry.CountUnknown, telemetry.ReasonDamagedStore
	var out []telemetry.Gap
	for _, bad := range s.bad {
		for _, free := range s.found.not(bad.from, bad.to) {
			if n := len(out); n >= maxBadSeqs { // wider, never unlisted
				out[n-1].ToSeq = free.to
				continue
			}
			gap := g
			gap.FromSeq, gap.ToSeq = free.from, free.to
			bad.bound(&gap)
			out = append(out, gap)
		}
	}
	return out
}

// bound sets when the batches of a gap are from, as far as its neighbours tell.
func (b *badSeqs) bound(g *telemetry.Gap) {
	switch none := (telemetry.BootID{}); {
	case b.before.boot != none && b.before.boot == b.after.boot:
		g.Boot, g.From, g.To = b.before.boot, b.before.at, b.after.at
	case b.before.boot != none:
		g.Boot, g.From, g.To = b.before.boot, b.before.at, endOfBoot
	case b.after.boot != none:
		g.Boot, g.From, g.To = b.after.boot, 0, b.after.at
	}
}
