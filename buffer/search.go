package buffer

import (
	"encoding/binary"

	"obu/buffer/wreck"
	"obu/telemetry"
)

// A search finds what is left in a store file that is not to be opened any more,
// because its structure is not sound, or some of it cannot be read. It makes
// three passes, each for what the one before did not account for:
//
//  1. the tree below the newer root, round damaged branches;
//  2. the tree below the older root, whose pages no transaction has reused yet;
//  3. every leaf page of the file. Pages that were freed keep their content
//     until they are reused, so this may find batches that were acknowledged:
//     copies, which consumers drop. It is made only for a stream of which the
//     state misses some.
//
// A batch is believed only when its checksum, which covers its name, is right;
// everything else only when its own is.
type search struct {
	*wreck.File
	classes []telemetry.Class
	state   state
	told    bool // state is one that was written
	known   bool // state is the newest there was
	newer   bool // of a format this obu does not know
	streams []*sought
	judged  bool // the first pass is through
	lax     bool // see faults.believeAll
}

// find is one batch found: a record that is what was written. A zero find says
// only that some of the file was read.
type find struct {
	stream *sought
	seq    uint64
	rec    []byte // valid until the next find
}

// newSearch prepares the passes over a file. Of the stores in ids
// batches are known even when the file itself does not tell.
func newSearch(f *wreck.File, classes []telemetry.Class, ids []telemetry.StoreID) *search {
	w := &search{File: f, classes: classes}
	for i := 0; i < f.Roots() && !w.told && !w.newer; i++ {
		f.Walk(i, func(b wreck.Item) bool {
			if string(b.Key) == string(bucketMain) {
				w.readState(b)
			}
			return true
		})
		w.known = w.told && i == 0 && f.Roots() == 2
	}
	for _, t := range w.state.streams {
		s := w.stream(t.store, t.class)
		s.next, s.holds, s.open, s.dropped = t.next, t.batches-min(t.batches, t.dropped.count()), !w.known, t.dropped
	}
	for _, id := range ids {
		for _, class := range classes {
			w.stream(id, class).unlisted = w.known
		}
	}
	return w
}

func (w *search) readState(b wreck.Item) {
	var raw []byte
	var version uint32
	w.Within(b, func(it wreck.Item) bool {
		switch string(it.Key) {
		case string(keyFormat):
			if len(it.Value) == 4 {
				version = binary.LittleEndian.Uint32(it.Value)
			}
		case string(keyState):
			raw = it.Value
		}
		return true
	}, nil)
	if w.newer = version > formatVersion; w.newer {
		return
	}
	for _, v := range [...]uint32{version, formatVersion} { // the version has no checksum of its own
		if st, err := decodeState(v, raw); err == nil {
			w.state, w.told = st, true
			return
		}
	}
}

// stream returns what is kept of (store, class), made on first use.
func (w *search) stream(store telemetry.StoreID, class telemetry.Class) *sought {
	for _, s := range w.streams {
		if s.store == store && s.class == class {
			return s
		}
	}
	s := &sought{store: store, class: class}
	if w.judged { // only now is it known that there is one
		s.judge()
	}
	w.streams = append(w.streams, s)
	return s
}

// settled reports whether no batch is missing any more.
func (w *search) settled() bool {
	for _, s := range w.streams {
		for _, b := range s.bad {
			if len(s.found.not(b.from, b.to)) > 0 {
				return false
			}
		}
	}
	return w.known
}

// finds makes the passes. It yields every batch once, and zero finds in
// between, so that the caller can rest.
func (w *search) finds(yield func(find) bool) {
	for i := range w.Roots() {
		going, known := true, true
		whole := w.Walk(i, func(b wreck.Item) bool {
			known = known && isBucket(b.Key)
			going = w.bucketFinds(b, i == 0, yield)
			return going
		})
		if i == 0 {
			w.judge(whole && known)
		}
		if !going || w.settled() {
			return
		}
	}
	if !w.told && !w.hear(yield) {
		return
	}
	if w.Roots() == 0 {
		w.judge(true)
	}
	w.Sweep(func(it wreck.Item) bool { return w.stray(it, yield) },
		func() bool { return yield(find{}) && !w.settled() })
}

// judge ends the first pass; whole says that it saw every bucket there is.
func (w *search) judge(whole bool) {
	w.judged = true
	for _, s := range w.streams {
		s.late = s.late || !whole
		s.judge()
	}
}

// bucketFinds yields the batches in one top bucket.
func (w *search) bucketFinds(b wreck.Item, first bool, yield func(find) bool) bool {
	if string(b.Key) == string(bucketTail) {
		return w.tailFinds(b, first, yield)
	}
	store, class, ok := parseStreamBucket(b.Key)
	if !ok || !w.ours(class) {
		return true
	}
	s := w.stream(store, class)
	if !first && len(s.bad) == 0 {
		return true
	}
	going := w.Within(b, func(it wreck.Item) bool {
		if len(it.Key) != 8 {
			s.doubt = s.doubt || first
			return yield(find{})
		}
		return w.take(s, binary.BigEndian.Uint64(it.Key), it, first, yield)
	}, func() { s.doubt = s.doubt || first })
	s.trust(s.last())
	s.sound = 0
	return going
}

// tailFinds yields the batches in the tail.
func (w *search) tailFinds(b wreck.Item, first bool, yield func(find) bool) bool {
	hide := func() {
		for _, s := range w.streams {
			s.late = s.late || first
		}
	}
	for _, s := range w.streams {
		s.sound = s.small
	}
	going := w.Within(b, func(it wreck.Item) bool {
		n, ok := parseTailKey(it.Key)
		if !ok || !w.ours(n.Class) {
			hide()
			return yield(find{})
		}
		s := w.stream(n.Store, n.Class)
		going := w.take(s, n.Seq, it, first, yield)
		if s.doubt { // here it may be any stream's
			s.doubt = false
			hide()
		}
		return going
	}, hide)
	return going
}

func (w *search) ours(class telemetry.Class) bool {
	for _, c := range w.classes {
		if c == class {
			return true
		}
	}
	return false
}

// take yields the record of seq if it is sound and wanted.
func (w *search) take(s *sought, seq uint64, it wreck.Item, ordered bool, yield func(find) bool) bool {
	if !ordered && !s.wanted(seq) {
		return yield(find{})
	}
	rec := it.Value
	if it.Bucket {
		rec = w.large(it)
	}
	h, err := w.record(telemetry.Name{Store: s.store, Class: s.class, Seq: seq}, rec)
	if ordered && (err != nil || seq == 0 || seq > s.last()) {
		s.doubt = true
	} else if ordered {
		s.trust(seq - 1)
		s.sound = seq
	}
	if err != nil || s.doubt || s.found.has(seq) || s.dropped.has(seq) {
		return yield(find{})
	}
	s.found = s.found.with(seq)
	if ordered {
		s.sure++
		if len(it.Key) == 8 && len(rec) <= tailRecord {
			s.small = max(s.small, seq)
		}
		s.pass(h)
	}
	return yield(find{s, seq, rec})
}

// record reports whether a record is what was written.
func (w *search) record(n telemetry.Name, rec []byte) (header, error) {
	h, _, err := openRecord(n, rec)
	if w.lax {
		h, _, err = decodeHeader(rec)
	}
	return h, err
}

// large returns the record in a sub-bucket, nil if there is none.
func (w *search) large(b wreck.Item) []byte {
	var rec []byte
	w.Within(b, func(it wreck.Item) bool {
		if string(it.Key) == string(blobKey) {
			rec = it.Value
		}
		return rec == nil
	}, nil)
	return rec
}

// stray yields what an element is that no tree leads to.
func (w *search) stray(it wreck.Item, yield func(find) bool) bool {
	if store, class, ok := parseStreamBucket(it.Key); ok && it.Bucket {
		if it.Page() != 0 || !w.ours(class) {
			return true
		}
		s := w.stream(store, class)
		return w.Within(it, func(it wreck.Item) bool {
			return len(it.Key) != 8 || w.take(s, binary.BigEndian.Uint64(it.Key), it, false, yield)
		}, nil)
	}
	if n, ok := parseTailKey(it.Key); ok && !it.Bucket && w.ours(n.Class) {
		return w.take(w.stream(n.Store, n.Class), n.Seq, it, false, yield)
	}
	if string(it.Key) == string(bucketTail) && it.Bucket {
		return it.Page() != 0 || w.Within(it, func(it wreck.Item) bool { return w.stray(it, yield) }, nil)
	}
	if len(it.Key) != 8 {
		return true
	}
	seq := binary.BigEndian.Uint64(it.Key)
	for _, s := range w.streams {
		if !s.wanted(seq) {
			continue
		}
		if it.Bucket && !w.Again(it) {
			return true
		}
		if !w.take(s, seq, it, false, yield) {
			return false
		}
	}
	return true
}

// missing lists what is lost, once the passes are through: what may have been
// where nothing could be read and was found nowhere else. g says of when, should
// no neighbour tell.
func (w *search) missing(g telemetry.Gap) []telemetry.Gap {
	var out []telemetry.Gap
	for _, s := range w.streams {
		if s.rumour && len(s.found) == 0 {
			continue
		}
		out = append(out, s.missing(g)...)
	}
	return out
}
