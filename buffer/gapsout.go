package buffer

import (
	"fmt"

	"obu/telemetry"
)

// emitGaps puts the rows that are owed an event into event batches.
func (b *Buffer) emitGaps(put func(record) (telemetry.Name, error)) error {
	now := b.opts.Now()
	owed := b.gaps.owed(now)
	for len(owed) > 0 {
		rows := owed[:min(len(owed), gapsPerBatch)]
		owed = owed[len(rows):]
		list := make([]telemetry.Gap, len(rows))
		for i, r := range rows {
			list[i] = r.Gap
		}
		r := b.encode(Entry{Class: telemetry.ClassEvent, Content: telemetry.Content{Gaps: list}})
		if r.rec == nil {
			return nil // logged; the rows stay owed
		}
		n, err := put(r)
		if err != nil {
			return err
		}
		b.gaps.sent(rows, n, now)
	}
	return nil
}

// putGaps writes the rows that changed.
func (b *Buffer) putGaps(t *txn) error {
	if len(b.gaps.touched) == 0 {
		return nil
	}
	bk, err := t.tx.CreateBucketIfNotExists(bucketGaps)
	if err != nil {
		return fmt.Errorf("open gap table: %w", err)
	}
	for id := range b.gaps.touched {
		if r, ok := b.gaps.rows[id]; ok {
			err = bk.Put(seqKey(id), r.encode())
		} else {
			err = bk.Delete(seqKey(id))
		}
		if err != nil {
			return fmt.Errorf("store gap row: %w", err)
		}
	}
	return nil
}

// listEvicted turns batches that went undelivered into gap rows.
func (b *Buffer) listEvicted(list []removal, why telemetry.Reason) {
	if b.opts.faults != nil && b.opts.faults.evictUnlisted {
		return
	}
	for _, r := range list {
		n := r.s.name(r.seq)
		b.gaps.lose(n)
		b.gaps.add(evictedGap(n, r.h, why))
	}
}
