package buffer

import (
	"sort"

	"obu/telemetry"
)

// run is an unbroken range of held seqs of one rank and clip.
type run struct {
	from, to uint64
	rank     Rank
	clip     telemetry.ClipID
}

// stream is the memory's view of one (store, class): enough to answer Streams
// and to choose what to evict without touching the disk.
type stream struct {
	store   telemetry.StoreID
	class   telemetry.Class
	next    uint64
	minted  uint64 // of next: by the running transaction, not committed yet
	owing   bool   // more of it is still to be salvaged: see salvage.go
	pinned  uint64 // floor before the running transaction evicted; 0: it did not
	runs    []run  // rising, disjoint
	batches int    // held
	stored  int    // in the file: held, or dropped, or acknowledged since the last transaction
	bytes   int64  // blobs
	values  int64
	cost    int64 // in the file, or in memory
	oldest  telemetry.At
	boot    telemetry.BootID
	dirty   bool              // oldest and boot are to be read again
	dropped spans             // acknowledged, still in the file: see dropped.go
	passed  uint64            // below it nothing is left that could expire by age; guarded by the file's wr
	mem     map[uint64][]byte // records of a volatile store; nil on disk
}

func newStream(store telemetry.StoreID, class telemetry.Class) *stream {
	return &stream{store: store, class: class, next: 1}
}

func (s *stream) name(seq uint64) telemetry.Name {
	return telemetry.Name{Store: s.store, Class: s.class, Seq: seq}
}

// floor is the lowest held seq, or next. What the running transaction evicts is
// owed until it is committed, because only then a Gap lists it.
func (s *stream) floor() uint64 {
	switch {
	case s.owing:
		return 1
	case s.pinned != 0:
		return s.pinned
	case len(s.runs) == 0:
		return s.told()
	}
	return s.runs[0].from
}

// told is the next seq as readers may know it: what the running transaction
// has minted does not exist before it is committed.
func (s *stream) told() uint64 { return s.next - s.minted }

// find returns the run that holds seq, or the place where one would go.
func (s *stream) find(seq uint64) (int, bool) {
	i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].to >= seq })
	return i, i < len(s.runs) && s.runs[i].from <= seq
}

func (s *stream) held(seq uint64) bool {
	_, ok := s.find(seq)
	return ok
}

// add puts seq into the index; it joins a neighbour of the same kind.
func (s *stream) add(seq uint64, rank Rank, clip telemetry.ClipID) {
	i, ok := s.find(seq)
	if ok {
		return
	}
	s.batches++
	same := func(r run) bool { return r.rank == rank && r.clip == clip }
	left := i > 0 && s.runs[i-1].to+1 == seq && same(s.runs[i-1])
	right := i < len(s.runs) && s.runs[i].from == seq+1 && same(s.runs[i])
	switch {
	case left && right:
		s.runs[i-1].to = s.runs[i].to
		s.runs = append(s.runs[:i], s.runs[i+1:]...)
	case left:
		s.runs[i-1].to = seq
	case right:
		s.runs[i].from = seq
	default:
		s.runs = append(s.runs, run{})
		copy(s.runs[i+1:], s.runs[i:])
		s.runs[i] = run{from: seq, to: seq, rank: rank, clip: clip}
	}
	if i == 0 {
		s.dirty = true
	}
}

// remove takes seq out and reports whether it was held, and as what.
func (s *stream) remove(seq uint64) (run, bool) {
	i, ok := s.find(seq)
	if !ok {
		return run{}, false
	}
	r := s.runs[i]
	s.batches--
	s.dirty = s.dirty || i == 0
	switch {
	case r.from == seq && r.to == seq:
		s.runs = append(s.runs[:i], s.runs[i+1:]...)
	case r.from == seq:
		s.runs[i].from++
	case r.to == seq:
		s.runs[i].to--
	default:
		s.runs = append(s.runs, run{})
		copy(s.runs[i+1:], s.runs[i:])
		s.runs[i].to, s.runs[i+1].from = seq-1, seq+1
	}
	return r, true
}

// account adds (sign 1) or takes away (sign -1) what a record weighs.
func (s *stream) account(sign int64, h header, blob int, cost int64) {
	s.values += sign * int64(h.values)
	s.bytes += sign * int64(blob)
	s.cost += sign * cost
}

// public is the stream as the uplink sees it.
func (s *stream) public(current bool) telemetry.Stream {
	return telemetry.Stream{
		Store: s.store, Class: s.class, Floor: s.floor(), Next: s.told(),
		Batches: s.batches, Bytes: s.bytes, Values: s.values,
		Oldest: s.oldest, Boot: s.boot, Current: current, Volatile: s.mem != nil,
	}
}
