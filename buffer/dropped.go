package buffer

import (
	"encoding/binary"
	"slices"
	"sort"
	"time"
)

// An acknowledged record that lies in its stream's tree is first only noted as
// dropped, in the state that every commit writes anyway: at once and durable,
// but without touching the tree. The records themselves are swept away many at
// a time, because each page of the tree that a delete touches is written anew
// with its path to the root.
const (
	sweepEvery   = 10 * time.Minute // the longest that a dropped record stays, while there are commits
	sweepRecords = 2048             // dropped records of a file; about a megabyte
	maxDropSpans = 16               // of a stream, so that the state stays inside the root page
	// sweepSpans bounds one transaction: each run touches its two ends' pages
	// and their paths, and what is written anew needs free pages first.
	sweepSpans = 16
)

// span is a run of seqs, both ends inclusive.
type span struct{ from, to uint64 }

// spans is a set of seqs: disjoint, rising, not touching.
type spans []span

func (s spans) find(seq uint64) (int, bool) {
	i := sort.Search(len(s), func(i int) bool { return s[i].to >= seq })
	return i, i < len(s) && s[i].from <= seq
}

func (s spans) has(seq uint64) bool {
	_, ok := s.find(seq)
	return ok
}

// with returns the set with seq in it.
func (s spans) with(seq uint64) spans {
	i, ok := s.find(seq)
	if ok {
		return s
	}
	left := i > 0 && s[i-1].to+1 == seq
	right := i < len(s) && s[i].from == seq+1
	switch {
	case left && right:
		s[i-1].to = s[i].to
		return slices.Delete(s, i, i+1)
	case left:
		s[i-1].to = seq
	case right:
		s[i].from = seq
	default:
		return slices.Insert(s, i, span{seq, seq})
	}
	return s
}

// count is how many seqs are in the set.
func (s spans) count() (n uint64) {
	for _, r := range s {
		n += r.to - r.from + 1
	}
	return n
}

// changeDropped returns the stream's dropped set for changing; undo puts it
// back. mu must be held.
func (t *txn) changeDropped(s *stream) {
	if _, seen := t.dropped[s]; seen {
		return
	}
	if t.dropped == nil {
		t.dropped = map[*stream]spans{}
	}
	t.dropped[s] = slices.Clone(s.dropped)
}

// settleAcked deals with one acknowledged batch: out of the tail at once, in
// the tree as dropped.
func (t *txn) settleAcked(s *stream, seq uint64) error {
	if !t.f.tail {
		_, _, err := t.remove(s, seq)
		return err
	}
	rec, where := openShelf(t.tx, s.store, s.class).record(seq)
	if where == nowhere {
		return nil
	}
	if where == inTail {
		_, _, err := t.remove(s, seq)
		return err
	}
	h, blob, _ := decodeHeader(rec) // damaged ones may go too
	t.f.mu.Lock()
	again := s.dropped.has(seq)
	if !again {
		t.changeDropped(s)
		s.dropped = s.dropped.with(seq)
	}
	t.f.mu.Unlock()
	if !again {
		t.takeOut(removal{s: s, seq: seq, h: h, blob: len(blob), stays: true})
	}
	return nil
}

// sweepDue reports whether it is time to delete what was dropped.
func (b *Buffer) sweepDue(t *txn) bool {
	f := t.f
	f.mu.Lock()
	defer f.mu.Unlock()
	records, scattered := uint64(0), false
	for _, s := range f.streams {
		records += s.dropped.count()
		scattered = scattered || len(s.dropped) > maxDropSpans
	}
	now := b.opts.Now()
	if records > 0 && !scattered && records < sweepRecords && now < b.sweepAt {
		return false
	}
	b.sweepAt = now.Add(sweepEvery)
	return records > 0
}

// sweep deletes dropped records from the file, up to sweepSpans runs of them.
func (t *txn) sweep() error {
	t.f.mu.Lock()
	var list []*stream
	for _, s := range t.f.streams {
		if len(s.dropped) > 0 {
			list = append(list, s)
		}
	}
	t.f.mu.Unlock()
	left := sweepSpans
	for _, s := range list {
		now := s.dropped[:min(left, len(s.dropped))]
		left -= len(now)
		for _, r := range now {
			for seq := r.from; seq <= r.to; seq++ {
				if err := t.sweepOut(s, seq); err != nil {
					return err
				}
			}
		}
		t.f.mu.Lock()
		t.changeDropped(s)
		s.dropped = slices.Clone(s.dropped[len(now):])
		t.f.mu.Unlock()
	}
	return nil
}

// sweepOut deletes one dropped record. Its values left the backlog with the
// acknowledgement; what it weighs leaves now.
func (t *txn) sweepOut(s *stream, seq uint64) error {
	h := openShelf(t.tx, s.store, s.class)
	rec, where := h.record(seq)
	if where == nowhere {
		return nil
	}
	cost := diskCost(len(rec))
	if err := h.delete(seq, where); err != nil {
		return deleteError(s.name(seq), err)
	}
	t.removed = append(t.removed, removal{s: s, seq: seq, cost: cost})
	return nil
}

// sweepForRoom deletes what was dropped when its room is wanted, so that
// nothing is evicted while delivered batches lie about.
func (t *txn) sweepForRoom(need int64) error {
	if t.cost()+need <= t.f.quota && t.squeeze(need) == 0 {
		return nil
	}
	return t.sweep()
}

// encode appends the set: its length, then how far each run is from the one
// before and how long it is.
func (s spans) encode(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	last := uint64(0)
	for _, r := range s {
		b = binary.AppendUvarint(b, r.from-last)
		b = binary.AppendUvarint(b, r.to-r.from)
		last = r.to
	}
	return b
}

func (r *reader) spans() spans {
	var out spans
	last := uint64(0)
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		from := last + r.uvarint()
		to := from + r.uvarint()
		if from <= last && last > 0 || to < from {
			r.bad = true
			return nil
		}
		out, last = append(out, span{from, to}), to
	}
	return out
}

// not returns the ranges from from to to that are not in the set.
func (s spans) not(from, to uint64) []span {
	var out []span
	for i, _ := s.find(from); from <= to; i++ {
		if i == len(s) || s[i].from > to {
			return append(out, span{from, to})
		}
		if s[i].from > from {
			out = append(out, span{from, s[i].from - 1})
		}
		from = s[i].to + 1
	}
	return out
}
