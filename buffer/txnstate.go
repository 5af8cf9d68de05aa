package buffer

import (
	"encoding/binary"
	"fmt"
	"slices"

	"obu/telemetry"
)

// putState writes the state record: it lies inline in the root page, which
// every commit rewrites anyway.
func (t *txn) putState() error {
	b, err := t.tx.CreateBucketIfNotExists(bucketMain)
	if err != nil {
		return fmt.Errorf("open main bucket: %w", err)
	}
	if v := b.Get(keyFormat); len(v) == 4 && binary.LittleEndian.Uint32(v) < formatVersion {
		// From here on an older obu would not find all there is.
		if err := b.Put(keyFormat, binary.LittleEndian.AppendUint32(nil, formatVersion)); err != nil {
			return fmt.Errorf("store format version: %w", err)
		}
	}
	t.refreshOldest()
	t.state.commits++
	t.state.streams = t.streamStates()
	if err := b.Put(keyState, t.state.encode()); err != nil {
		return fmt.Errorf("store state: %w", err)
	}
	return nil
}

// refreshOldest reads the head of streams whose head went. It may wait for the
// disk, and does so without the index, which Ack and Streams want.
func (t *txn) refreshOldest() {
	heads := map[*stream]uint64{}
	t.f.mu.Lock()
	for _, s := range t.f.streams {
		if s.dirty && s.mem == nil && len(s.runs) > 0 {
			heads[s] = s.runs[0].from
		}
	}
	t.f.mu.Unlock()
	for s, seq := range heads {
		t.f.faults.reading(t.f.name)
		rec, where := openShelf(t.tx, s.store, s.class).record(seq)
		if where == nowhere {
			continue
		}
		h, _, _ := decodeHeader(rec)
		t.f.mu.Lock()
		if len(s.runs) > 0 && s.runs[0].from == seq { // else it went meanwhile
			s.oldest, s.boot, s.dirty = h.at, h.boot, false
		}
		t.f.mu.Unlock()
	}
}

func (t *txn) streamStates() []streamState {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	out := make([]streamState, 0, len(t.f.streams))
next:
	for _, s := range t.f.streams {
		for _, g := range t.gone {
			if g == s {
				continue next
			}
		}
		if s.mem != nil && !slices.Contains(t.moved, s) {
			continue
		}
		n := uint64(s.stored)
		for _, a := range t.added {
			if a.s == s {
				n++
			}
		}
		for _, r := range t.removed {
			if r.s == s && !r.stays {
				n--
			}
		}
		next := s.next
		if was, ok := t.before[s]; ok && t.f.faults != nil && t.f.faults.seqOutsideTx {
			next = was
		}
		out = append(out, streamState{s.store, s.class, next, n, s.dropped})
	}
	return out
}

// apply brings the index up to what is now on disk.
func (t *txn) apply() {
	f := t.f
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.doubt = t.state, nil
	for s := range t.before {
		s.minted = 0
	}
	f.acked = append([]telemetry.Name(nil), f.acked[len(t.acks):]...)
	for _, n := range t.acks {
		delete(f.undelivered, n)
	}
	for _, r := range t.removed {
		r.s.pinned = 0
		r.s.account(-1, r.h, r.blob, r.cost)
		if !r.stays {
			r.s.stored--
		}
	}
	left := t.applyMoved()
	for _, a := range t.added {
		a.s.stored++
		a.s.account(1, a.h, a.blob, a.cost)
		if n := a.s.name(a.seq); left[n] {
			if !slices.Contains(f.acked, n) {
				f.acked = append(f.acked, n)
			}
			continue
		}
		a.s.add(a.seq, a.h.rank, a.h.clip)
		if a.s.batches == 1 {
			a.s.oldest, a.s.boot, a.s.dirty = a.h.at, a.h.boot, false
		}
	}
	for _, g := range t.gone {
		for i, s := range f.streams {
			if s == g {
				f.streams = append(f.streams[:i], f.streams[i+1:]...)
				break
			}
		}
	}
}

// undo takes the index back to before the transaction.
func (t *txn) undo() {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	for _, r := range t.removed {
		r.s.pinned = 0
		if r.run != (run{}) {
			r.s.add(r.seq, r.run.rank, r.run.clip)
		}
	}
	for s, next := range t.before {
		s.minted = 0
		s.next = next
	}
	for s, was := range t.dropped {
		s.dropped = was
	}
	t.f.doubted(t.lost)
}
