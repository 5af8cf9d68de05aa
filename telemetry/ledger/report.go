package ledger

import (
	"cmp"
	"math"
	"slices"

	"obu/telemetry"
)

// Row is the account of one stream. Seqs are counted in Holes and Pending,
// records (samples, fixes, events, chunks) in Values and Missing.
type Row struct {
	Unit      string
	Store     telemetry.StoreID
	Class     telemetry.Class
	Volatile  bool   // the store lived in memory, because the unit's disk failed
	Simulated bool   // not a real car
	Floor     uint64 // as last told by the unit: seqs below are settled
	Next      uint64 // seq the unit's next batch will get

	Batches int64 // received, each name once
	Values  int64 // records in them
	Copies  int64 // batches or parts received again, dropped
	Holes   int64 // seqs below Floor, never seen, in no Gap: each is a fault of the unit
	Pending int64 // seqs from Floor to Next not yet seen and in no Gap: late, not lost
	Partial int   // batches of which some parts are missing
	GivenUp int64 // batches whose parts this ledger dropped to bound its memory

	Gaps           int   // Gap rows that list losses of this stream
	Missing        int64 // values those rows count as lost
	MissingUnknown bool  // at least one of them could not be counted
}

// Hole is a run of lost seqs that nobody listed.
type Hole struct {
	Unit  string
	Store telemetry.StoreID
	Class telemetry.Class
	From  uint64 // first, inclusive
	To    uint64 // last, inclusive
}

// Report returns one Row per stream, by unit, then by store in the order they
// were first heard of, then by class. A stream of which only a Gap is known
// has a Row too.
func (l *Ledger) Report() []Row {
	var out []Row
	for _, name := range l.Units() {
		u := l.units[name]
		gaps := u.gapsByStream()
		rows := make(map[streamKey]*Row, len(u.streams))
		for k, s := range u.streams {
			r := &Row{Unit: name, Store: k.store, Class: k.class, Volatile: s.volatile, Simulated: s.simulated,
				Floor: s.floor, Next: s.next, Batches: s.batches, Values: s.values, Copies: s.copies,
				Holes: s.writtenOff, GivenUp: s.abandoned}
			known := s.known(gaps[k])
			known.absent(1, s.floor-min(s.floor, 1), func(lo, hi uint64) { r.Holes = count(r.Holes, lo, hi) })
			if s.next > s.floor {
				known.absent(max(s.floor, 1), s.next-1, func(lo, hi uint64) { r.Pending = count(r.Pending, lo, hi) })
			}
			rows[k] = r
		}
		for k, gs := range gaps {
			r := rows[k]
			if r == nil {
				r = &Row{Unit: name, Store: k.store, Class: k.class}
				rows[k] = r
			}
			for _, g := range gs {
				r.Gaps++
				if g.Count < 0 {
					r.MissingUnknown = true
				} else {
					r.Missing += g.Count
				}
			}
		}
		for k := range l.parts.held {
			if k.unit == name {
				rows[streamKey{k.Store, k.Class}].Partial++
			}
		}
		for _, k := range u.sortedKeys(rows) {
			out = append(out, *rows[k])
		}
	}
	return out
}

// Sum adds up rows: Unit, Store, Class, Floor and Next of the result are zero.
func Sum(rows []Row) Row {
	var t Row
	for _, r := range rows {
		t.Batches += r.Batches
		t.Values += r.Values
		t.Copies += r.Copies
		t.Holes += r.Holes
		t.Pending += r.Pending
		t.Partial += r.Partial
		t.GivenUp += r.GivenUp
		t.Gaps += r.Gaps
		t.Missing += r.Missing
		t.MissingUnknown = t.MissingUnknown || r.MissingUnknown
		t.Volatile = t.Volatile || r.Volatile
		t.Simulated = t.Simulated || r.Simulated
	}
	return t
}

// Holes lists every run of seqs that is below its stream's floor, was never
// seen and stands in no Gap. Seqs written off past MaxRuns are counted in the
// Report but no longer known by number.
func (l *Ledger) Holes() []Hole {
	var out []Hole
	for _, name := range l.Units() {
		u := l.units[name]
		gaps := u.gapsByStream()
		for _, k := range u.sortedKeys(nil) {
			s := u.streams[k]
			known := s.known(gaps[k])
			known.absent(1, s.floor-min(s.floor, 1), func(lo, hi uint64) {
				out = append(out, Hole{Unit: name, Store: k.store, Class: k.class, From: lo, To: hi})
			})
		}
	}
	return out
}

// known returns the seqs of the stream that are accounted for: seen, or in a
// Gap.
func (s *stream) known(gaps []telemetry.Gap) runs {
	k := runs{r: slices.Clone(s.seen.r)}
	for _, g := range gaps {
		if g.FromSeq != 0 {
			k.addRange(g.FromSeq, g.ToSeq)
		}
	}
	return k
}

// gapsByStream sorts the rows by the stream they lost something of. A loss
// from before any seq was minted names no store: it counts for the store
// whose event reported it.
func (u *unit) gapsByStream() map[streamKey][]telemetry.Gap {
	out := make(map[streamKey][]telemetry.Gap)
	for k, g := range u.union() {
		store := g.Store
		if store.IsZero() {
			store = k.carrier
		}
		sk := streamKey{store, g.Class}
		out[sk] = append(out[sk], g)
	}
	return out
}

// sortedKeys returns the keys of rows, or of the unit's streams when rows is
// nil, by store in the order they were first heard of, then by class.
func (u *unit) sortedKeys(rows map[streamKey]*Row) []streamKey {
	var keys []streamKey
	if rows == nil {
		for k := range u.streams {
			keys = append(keys, k)
		}
	} else {
		for k := range rows {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b streamKey) int {
		// A store known from Gaps alone has order 0 and comes last.
		return cmp.Or(cmp.Compare(u.stores[a.store]-1, u.stores[b.store]-1),
			cmp.Compare(a.store.String(), b.store.String()), cmp.Compare(a.class, b.class))
	})
	return keys
}

// count adds the number of seqs lo..hi to n, and stops at the largest int64.
func count(n int64, lo, hi uint64) int64 {
	if room := uint64(math.MaxInt64 - n); hi-lo < room {
		return n + int64(hi-lo) + 1
	}
	return math.MaxInt64
}
