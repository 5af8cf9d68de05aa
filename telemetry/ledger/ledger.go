// Package ledger is the consumer's side of custody: it tells copies from
// data, holes from gaps and late from lost, joins the parts of batches that
// were too large for one packet, turns time since boot into wall time, and
// puts the chunks of a clip back together. Cloud developers, `obu tail` and
// the fleet's receiver use it; the agent does not.
//
// The rules: delivery is at least once, so a name (unit, store, class, seq)
// seen before is a copy. Each envelope says floor and next of its stream; a
// seq is lost only when it is below the floor, was never seen, and stands in
// no Gap: then it is a hole, and a hole is a bug of the unit. A seq at or
// above the floor is merely not delivered yet.
//
// A Ledger does no I/O, reads no clock and starts no goroutine; it has one
// owner and is not safe for concurrent use. Only the Assembler touches files,
// and only below the directory it was given. Units are those of telemetry.
package ledger

import (
	"cmp"
	"slices"

	"obu/telemetry"
)

// Bounds on what a sender can make a Ledger remember.
const (
	// MaxRuns is how many separate runs of seen seqs one stream keeps (16
	// bytes each). Past it the lowest unseen run is written off as holes.
	MaxRuns = 1 << 16
	// MaxPartBytes is how many bytes of incomplete batches a Ledger holds.
	// Past it the one untouched for longest is abandoned; a sender sends the
	// parts of a batch close together.
	MaxPartBytes = 64 << 20
	// MaxParts is the largest number of parts of one batch that is believed.
	MaxParts = telemetry.MaxPartsOf
	// MaxAnchors is how many anchors of one boot are kept; past it every
	// second one is dropped, so that they still span the boot.
	MaxAnchors = 512
	// MaxBoots is how many boots of one unit are remembered, newest first.
	MaxBoots = 4096
)

// Ledger is the account of everything received. The zero Ledger is ready.
type Ledger struct {
	units     map[string]*unit
	parts     partStore
	malformed int64
}

type unit struct {
	streams map[streamKey]*stream
	gaps    map[gapKey]telemetry.Gap
	boots   map[telemetry.BootID]*boot
	order   uint64 // counts stores in the order they were first heard of
	stores  map[telemetry.StoreID]uint64
}

type streamKey struct {
	store telemetry.StoreID
	class telemetry.Class
}

// gapKey is a row of the unit's Gap table: ids are unique per table, and the
// table is known by the store whose event carried the row.
type gapKey struct {
	carrier telemetry.StoreID
	id      uint64
}

type stream struct {
	seen       runs
	floor      uint64
	next       uint64
	batches    int64
	values     int64
	copies     int64
	abandoned  int64  // batches whose parts were given up for memory
	writtenOff int64  // seqs taken out of seen to keep it bounded
	unproven   uint64 // the highest of those
	volatile   bool
	simulated  bool
}

// Take books an envelope. It returns the batches that are new, whole and in
// the order they stand in the envelope, and how many batches were copies. A
// part of a batch is a copy when the batch, or that part of it, was seen.
// The returned batches share memory with env unless they were joined.
func (l *Ledger) Take(env telemetry.Envelope) (fresh []telemetry.Batch, copies int) {
	u := l.unit(env.Unit)
	s := u.stream(streamKey{env.Store, env.Class})
	s.floor = max(s.floor, env.Floor)
	s.next = max(s.next, env.Next, env.Floor)
	s.volatile = s.volatile || env.Volatile
	s.simulated = s.simulated || env.Simulated
	if env.Part != nil {
		fresh, copies = l.takePart(u, s, env)
		return fresh, copies
	}
	fresh = make([]telemetry.Batch, 0, len(env.Batches))
	for i := range env.Batches {
		b := complete(env, env.Batches[i])
		switch {
		case b.Seq == 0:
			l.malformed++
		case s.seen.has(b.Seq):
			copies++
		default:
			l.parts.drop(partKey{env.Unit, b.Name})
			s.enter(u, &b)
			fresh = append(fresh, b)
		}
	}
	s.copies += int64(copies)
	return fresh, copies
}

// complete copies into a batch what an envelope says once for all of its
// batches.
func complete(env telemetry.Envelope, b telemetry.Batch) telemetry.Batch {
	b.Unit, b.Vehicle, b.Simulated = env.Unit, env.Vehicle, env.Simulated
	b.Store, b.Class = env.Store, env.Class
	if b.Boot.IsZero() {
		b.Boot = env.Boot
	}
	return b
}

// enter books one whole batch that was not seen before.
func (s *stream) enter(u *unit, b *telemetry.Batch) {
	s.seen.add(b.Seq)
	if s.seen.len() > MaxRuns {
		s.unproven = s.seen.r[1].lo - 1
		if n := s.seen.mergeLowest(); n > 0 {
			s.writtenOff = count(s.writtenOff, 1, n)
		}
	}
	s.next = max(s.next, b.Seq+1)
	s.batches++
	s.values += int64(b.Values())
	for _, g := range b.Gaps {
		u.enterGap(b.Store, g)
	}
	u.enterTimes(b)
}

// enterGap keeps the highest version of each row.
func (u *unit) enterGap(carrier telemetry.StoreID, g telemetry.Gap) {
	k := gapKey{carrier, g.ID}
	if old, ok := u.gaps[k]; ok && old.Version >= g.Version {
		return
	}
	if u.gaps == nil {
		u.gaps = make(map[gapKey]telemetry.Gap)
	}
	u.gaps[k] = g
}

func (l *Ledger) unit(name string) *unit {
	if l.units == nil {
		l.units = make(map[string]*unit)
	}
	u := l.units[name]
	if u == nil {
		u = &unit{
			streams: make(map[streamKey]*stream),
			stores:  make(map[telemetry.StoreID]uint64),
			boots:   make(map[telemetry.BootID]*boot),
		}
		l.units[name] = u
	}
	return u
}

func (u *unit) stream(k streamKey) *stream {
	s := u.streams[k]
	if s == nil {
		s = &stream{}
		u.streams[k] = s
		if _, ok := u.stores[k.store]; !ok {
			u.order++
			u.stores[k.store] = u.order
		}
	}
	return s
}

// Seen reports whether the batch was received whole.
func (l *Ledger) Seen(unit string, n telemetry.Name) bool {
	u := l.units[unit]
	if u == nil {
		return false
	}
	s := u.streams[streamKey{n.Store, n.Class}]
	return s != nil && s.seen.has(n.Seq)
}

// Units returns the names of the units heard of, sorted.
func (l *Ledger) Units() []string {
	out := make([]string, 0, len(l.units))
	for n := range l.units {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// Gaps returns the union of a unit's Gap rows, highest version of each, in
// the order of carrying store and id.
func (l *Ledger) Gaps(unit string) []telemetry.Gap {
	u := l.units[unit]
	if u == nil {
		return nil
	}
	gaps := u.union()
	keys := make([]gapKey, 0, len(gaps))
	for k := range gaps {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b gapKey) int {
		return cmp.Or(cmp.Compare(u.stores[a.carrier], u.stores[b.carrier]), cmp.Compare(a.id, b.id))
	})
	out := make([]telemetry.Gap, len(keys))
	for i, k := range keys {
		out[i] = gaps[k]
	}
	return out
}

// union returns the rows without those that came again, grown, under another
// store of the same table: the unit begins a new store after a power cut, and
// its table goes on. Their losses would count twice.
func (u *unit) union() map[gapKey]telemetry.Gap {
	byID := make(map[uint64][]gapKey, len(u.gaps))
	for k := range u.gaps {
		byID[k.id] = append(byID[k.id], k)
	}
	out := make(map[gapKey]telemetry.Gap, len(u.gaps))
	for k, g := range u.gaps {
		if !slices.ContainsFunc(byID[k.id], func(other gapKey) bool { return grewFrom(u.gaps[other], g) }) {
			out[k] = g
		}
	}
	return out
}

// grewFrom reports whether g is the same row as old and lists all of it.
func grewFrom(g, old telemetry.Gap) bool {
	return g.Version > old.Version && g.Class == old.Class && g.Store == old.Store && g.Boot == old.Boot &&
		g.Reason == old.Reason && g.Source == old.Source && (g.FromSeq == 0) == (old.FromSeq == 0) &&
		g.FromSeq <= old.FromSeq && g.ToSeq >= old.ToSeq && g.From <= old.From && g.To >= old.To &&
		(g.Count == telemetry.CountUnknown || old.Count != telemetry.CountUnknown && g.Count >= old.Count)
}

// Malformed returns how many batches or parts were refused because no honest
// sender makes them: seq 0, an impossible part number, a part with several
// batches.
func (l *Ledger) Malformed() int64 { return l.malformed }
