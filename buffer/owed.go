package buffer

import (
	"cmp"
	"fmt"

	"obu/telemetry"
)

// owedLoss is a loss of media.db on its way into the Gap table, which lies in
// telemetry.db. The transaction that drops a chunk stores it in media.db; the
// transaction that takes it into the table stores its order there; only then
// does media.db forget it. A power cut at any point neither loses nor doubles
// it.
type owedLoss struct {
	order uint64
	gap   telemetry.Gap
}

// oweLosses stores what the transaction drops undelivered, and forgets what
// the Gap table has by now. More is what a salvage did not find.
func (b *Buffer) oweLosses(t *txn, gone []removal, more []telemetry.Gap) ([]owedLoss, error) {
	var gaps []telemetry.Gap
	add := func(g telemetry.Gap) {
		if n := len(gaps); n > 0 && adjoins(gaps[n-1], g) {
			gaps[n-1] = join(gaps[n-1], g)
		} else {
			gaps = append(gaps, g)
		}
	}
	for _, g := range more {
		add(g)
	}
	for _, r := range gone {
		add(evictedGap(r.s.name(r.seq), r.h, cmp.Or(r.why, telemetry.ReasonEvicted)))
	}
	t.f.mu.Lock()
	for _, n := range t.acks {
		if g, ok := t.f.undelivered[n]; ok {
			add(g)
		}
	}
	t.f.mu.Unlock()
	bk, err := t.tx.CreateBucketIfNotExists(bucketOwed)
	if err != nil {
		return nil, fmt.Errorf("open owed losses: %w", err)
	}
	b.tele.mu.Lock()
	st := b.tele.state
	b.tele.mu.Unlock()
	if st.owedFile == t.state.file {
		cur := bk.Cursor()
		for k, _ := cur.First(); k != nil && string(k) <= string(seqKey(st.owedDone)); k, _ = cur.First() {
			if err := bk.Delete(k); err != nil {
				return nil, fmt.Errorf("forget owed loss: %w", err)
			}
		}
	}
	var out []owedLoss
	for _, g := range gaps {
		order, err := bk.NextSequence()
		if x := b.opts.faults; err == nil && (x == nil || !x.owedInMemory) {
			err = bk.Put(seqKey(order), (&gapRow{Gap: g}).encode())
		}
		if err != nil {
			return nil, fmt.Errorf("store owed loss: %w", err)
		}
		out = append(out, owedLoss{order, g})
	}
	return out, nil
}

// takeOwed puts the losses of media.db into the Gap table.
func (b *Buffer) takeOwed(s *state) {
	f := b.vid
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.file.IsZero() {
		return // media.db is not open yet: how far it came still holds
	}
	if s.owedFile != f.state.file {
		s.owedFile, s.owedDone = f.state.file, 0
	}
	for _, l := range b.owed {
		if l.order > s.owedDone {
			b.gaps.add(l.gap)
			s.owedDone = l.order
		}
	}
}

// clearOwed forgets losses that are in the Gap table on disk.
func (b *Buffer) clearOwed() {
	done := b.tele.state.owedDone
	f := b.vid
	f.mu.Lock()
	defer f.mu.Unlock()
	var rest []owedLoss
	for _, l := range b.owed {
		if l.order > done {
			rest = append(rest, l)
		}
	}
	b.owed = rest
}

// evictedGap lists one batch that went undelivered.
func evictedGap(n telemetry.Name, h header, why telemetry.Reason) telemetry.Gap {
	return telemetry.Gap{
		Class: n.Class, Store: n.Store, FromSeq: n.Seq, ToSeq: n.Seq, Boot: h.boot,
		From: h.at, To: h.at, Count: int64(h.values), Reason: why,
	}
}
