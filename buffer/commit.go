package buffer

import (
	"errors"
	"fmt"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"obu/telemetry"
)

// Commit takes entries into custody and applies everything queued since the
// last one: acknowledgements, losses, their events. It is one synced
// transaction; when it returns, the entries survive a power cut under the
// names returned, in the order given. An entry that cannot be encoded is
// listed as a Gap and has the zero Name.
//
// When the disk fails the entries are kept in memory under the names of a
// volatile store and the error is still nil: see Stats.Volatile. The disk is
// tried again by later Commits.
func (b *Buffer) Commit(entries []Entry) ([]telemetry.Name, error) {
	cut := b.cutNow()
	recs := make([]record, len(entries))
	for i, e := range entries {
		recs[i] = b.encode(e)
	}
	b.sweepMedia()
	b.tele.wr.Lock()
	defer b.tele.wr.Unlock()
	b.learnBoot(cut)
	names, err := b.commit(recs, cut)
	if err == nil && !b.fail.active {
		b.salvageSome(b.tele)
		b.note()
	}
	return names, err
}

// cut is a time before which the caller has nothing left in memory.
type cut struct {
	at   telemetry.At
	wall time.Time
}

func (b *Buffer) cutNow() cut { return cut{b.opts.Now(), b.opts.Wall()} }

// flushed notes that the caller has handed over all from before c.
func (b *Buffer) flushed(c cut) {
	if c.at > b.cut.at {
		b.cut = c
	}
}

// record is an entry ready to be stored; rec is nil when it had no encoding.
type record struct {
	class telemetry.Class
	h     header
	rec   []byte
}

func (b *Buffer) encode(e Entry) record {
	now := b.opts.Now()
	values := e.Content.Values()
	batch := telemetry.Batch{
		Unit: b.opts.Unit, Vehicle: b.opts.Vehicle, Boot: b.opts.Boot, Simulated: b.opts.Simulated,
		Content: e.Content,
	}
	blob, err := telemetry.EncodeBatch(&batch)
	if err != nil {
		b.log.Error("a batch could not be encoded and is lost; please report this", "class", e.Class.String(), "values", values, "err", err)
		b.Lost(telemetry.Gap{
			Class: e.Class, Boot: b.opts.Boot, From: now, To: now, Count: int64(values),
			Reason: telemetry.ReasonDecode, Source: "buffer",
		})
		return record{class: e.Class}
	}
	h := header{rank: e.Rank, values: values, at: now, boot: b.opts.Boot}
	if h.rank == RankDefault {
		h.rank = rankOf(e.Class)
	}
	if e.Class == telemetry.ClassMedia && len(e.Content.Chunks) > 0 {
		h.clip = e.Content.Chunks[0].Clip
	}
	return record{e.Class, h, encodeRecord(h, blob)}
}

func rankOf(c telemetry.Class) Rank {
	switch c {
	case telemetry.ClassTelemetry:
		return RankHistory
	case telemetry.ClassHealth:
		return RankHealth
	case telemetry.ClassEvent:
		return RankEvent
	}
	return RankUnrequested
}

// commit stores recs in telemetry.db, or in memory while that fails. c is zero
// when recs are not all the caller has. wr must be held.
func (b *Buffer) commit(recs []record, c cut) ([]telemetry.Name, error) {
	if b.isClosed() {
		return nil, ErrClosed
	}
	defer b.note()
	for _, r := range recs {
		if !b.tele.has(r.class) {
			return nil, fmt.Errorf("commit class %s: not a class of %s", r.class, b.tele.name)
		}
	}
	if b.fail.active && !b.recovered() {
		b.flushed(c)
		return b.commitVolatile(recs), nil
	}
	b.flushed(c)
	err := b.tele.look(b.opts.Now())
	if err == nil {
		err = b.tele.gaveUp()
	}
	if err != nil {
		b.failed(err)
		return b.commitVolatile(recs), nil
	}
	if len(recs) == 0 && !b.anythingQueued() {
		if b.steady = 0; b.wide || b.opts.Quiet == 0 {
			return nil, nil // no page written for nothing
		}
	} else {
		b.steady++
	}
	start := time.Now()
	names, err := b.commitDisk(recs)
	if err != nil {
		b.failed(err)
		return b.commitVolatile(recs), nil
	}
	var size int64
	for _, r := range recs {
		size += int64(len(r.rec))
	}
	b.committed(time.Since(start), size)
	return names, nil
}

// anythingQueued reports whether a transaction without batches has work.
func (b *Buffer) anythingQueued() bool {
	b.mu.Lock()
	n := len(b.lost)
	b.mu.Unlock()
	b.tele.mu.Lock()
	n += len(b.tele.acked)
	b.tele.mu.Unlock()
	b.vid.mu.Lock()
	n += len(b.owed)
	b.vid.mu.Unlock()
	return n > 0 || b.gaps.anyOwed(b.opts.Now())
}

// commitDisk stores recs and all that is queued.
func (b *Buffer) commitDisk(recs []record) (names []telemetry.Name, err error) {
	err = b.updateInRoom(func(t *txn) (err error) {
		names, err = b.transact(t, recs, 0)
		return err
	})
	return names, err
}

// updateInRoom is update for a file that may have reached its bound with live
// bytes to spare, because its pages are half empty. It evicts in a transaction
// of its own: what one frees only the next can use.
func (b *Buffer) updateInRoom(fn func(*txn) error) error {
	return b.inRoom(func() error { return b.update(fn) })
}

// inRoom is updateInRoom for any transaction of telemetry.db.
func (b *Buffer) inRoom(update func() error) error {
	err := update()
	for try := 0; errors.Is(err, berrors.ErrMaxSizeReached) && try < maxSizeRetries; try++ {
		err = b.update(func(t *txn) error {
			_, err := b.transact(t, nil, b.tele.quota/evictRetry)
			return err
		})
		if err == nil {
			err = update()
		}
	}
	return err
}

// update is a transaction of telemetry.db together with the Gap table's.
func (b *Buffer) update(fn func(*txn) error) error {
	lost, evicted, expired, told := b.takeLost(), 0, 0, 0
	b.gaps.begin()
	err := b.tele.update(func(t *txn) error {
		for _, g := range lost {
			b.gaps.add(g)
		}
		err := fn(t)
		evicted, expired, told = t.evicted, t.expired, t.told
		return err
	})
	if err != nil {
		b.gaps.rollback()
		for _, g := range lost {
			b.Lost(g)
		}
		return err
	}
	b.gaps.commit()
	b.papersDue = false
	b.forgetTold(told)
	b.clearOwed()
	b.countEvicted(evicted)
	b.sayEvicted(b.tele, evicted)
	b.countExpired(expired)
	return nil
}

// transact is what every transaction of telemetry.db does, in this order:
// deletes, room, losses as events, batches, gap rows, state. It evicts what
// the quota asks for, and no less than free bytes.
func (b *Buffer) transact(t *txn, recs []record, free int64) ([]telemetry.Name, error) {
	err := t.removeAcked()
	if err != nil {
		return nil, err
	}
	b.settleGaps(t.acks)
	b.takeOwed(&t.state)
	need := int64(gapEventRoom)
	for _, r := range recs {
		need += diskCost(len(r.rec))
	}
	if free > 0 || b.sweepDue(t) {
		err = t.sweep()
	} else {
		err = t.sweepForRoom(need)
	}
	if err != nil {
		return nil, err
	}
	expired, err := b.expireOld(t, b.cut)
	if err != nil {
		return nil, err
	}
	evicted, err := t.evict(need, free, nil)
	if err != nil {
		return nil, err
	}
	if err := t.reserve(need); err != nil {
		return nil, err
	}
	t.lost = append(expired, evicted...)
	b.listEvicted(expired, telemetry.ReasonExpired)
	b.listEvicted(evicted, telemetry.ReasonEvicted)
	if err := b.emitGaps(func(r record) (telemetry.Name, error) { return t.append(r.class, r.h, r.rec) }); err != nil {
		return nil, err
	}
	if err := t.makeTail(recs); err != nil {
		return nil, err
	}
	names := make([]telemetry.Name, len(recs))
	for i, r := range recs {
		if r.rec == nil {
			continue
		}
		if names[i], err = t.append(r.class, r.h, r.rec); err != nil {
			return nil, err
		}
	}
	b.stamp(&t.state, b.cut)
	b.mayLose(&t.state)
	t.state.nextGap = b.gaps.next
	if err := b.putTold(t); err != nil {
		return nil, err
	}
	if b.papersDue {
		if err := b.putCommands(t); err != nil {
			return nil, err
		}
		if err := t.putProgress(); err != nil {
			return nil, err
		}
	}
	return names, b.putGaps(t)
}
