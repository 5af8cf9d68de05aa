package buffer

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"obu/telemetry"
)

// CommitChunk takes the next bytes of a clip into custody in a synced
// transaction of its own, together with the clip's progress. The chunk has to
// continue what ClipProgress says, or begin at 0: ErrOffset, which also comes
// when the file had to be opened again and knows of the clip what was not known
// before. While the disk fails it returns the error: the camera keeps the clip.
func (b *Buffer) CommitChunk(key string, c telemetry.Chunk) (telemetry.Name, error) {
	f := b.vid
	f.wr.Lock()
	defer f.wr.Unlock()
	if b.isClosed() {
		return telemetry.Name{}, ErrClosed
	}
	was, _ := b.clipOf(key)
	if err := b.mediaReady(); err != nil {
		return telemetry.Name{}, err
	}
	now, known := b.clipOf(key)
	learned := now.id != was.id || now.stored != was.stored // the file was read again, and a failed transaction is in it
	if learned || known && now.done || c.Offset != 0 && (now.id != c.Clip || now.stored != c.Offset) {
		return telemetry.Name{}, fmt.Errorf("store chunk of %s at %d: %w", key, c.Offset, ErrOffset)
	}
	r := b.encode(Entry{Class: telemetry.ClassMedia, Content: telemetry.Content{Chunks: []telemetry.Chunk{c}}})
	if r.rec == nil {
		return telemetry.Name{}, fmt.Errorf("store chunk of %s at %d: not encoded", key, c.Offset)
	}
	next := clip{id: c.Clip, stored: c.Offset + int64(len(c.Data)), rank: r.h.rank, order: now.order}
	if !known {
		next.order = b.nextClipOrder()
	}
	names, err := b.commitMedia([]record{r}, func(tx *bbolt.Tx) error { return b.putOpenClip(tx, key, next) })
	if err != nil {
		return telemetry.Name{}, err
	}
	b.remember(key, next, maxOpenClips)
	return names[0], nil
}

// FinishClip puts a clip's manifest into the event class and remembers the
// clip as done, in this order: a power cut in between makes the source finish
// it again, and a manifest that comes twice is the same manifest, while one
// that never comes would be a clip nobody can find.
func (b *Buffer) FinishClip(key string, m telemetry.Clip) error {
	r := b.encode(Entry{Class: telemetry.ClassEvent, Content: telemetry.Content{Clips: []telemetry.Clip{m}}})
	if r.rec == nil {
		return fmt.Errorf("finish clip %s: not encoded", key)
	}
	b.tele.wr.Lock()
	_, err := b.commit([]record{r}, cut{})
	durable := !b.fail.active
	b.tele.wr.Unlock()
	if err != nil {
		return fmt.Errorf("finish clip %s: %w", key, err)
	}
	f := b.vid
	f.wr.Lock()
	defer f.wr.Unlock()
	c, _ := b.clipOf(key)
	c.id, c.stored, c.done = m.ID, m.SizeBytes, true
	c.rank = max(c.rank, rankOfCause(m.Cause))
	c.order = b.nextClipOrder()
	if durable { // else known as done until the end of the process only
		if err := b.mediaReady(); err != nil {
			return fmt.Errorf("finish clip %s: %w", key, err)
		}
		if _, err := b.commitMedia(nil, func(tx *bbolt.Tx) error { return b.putDoneClip(tx, key, c) }); err != nil {
			return fmt.Errorf("finish clip %s: %w", key, err)
		}
	}
	b.remember(key, c, maxDoneClips)
	return nil
}

// sweepMedia deletes acknowledged chunks while no new ones come, and opens the
// file again after a failure so that it can drain.
func (b *Buffer) sweepMedia() {
	f := b.vid
	f.mu.Lock()
	n := len(f.acked)
	f.mu.Unlock()
	if !f.wr.TryLock() {
		return // a chunk is being stored: its transaction does it
	}
	defer f.wr.Unlock()
	shut := func() bool { return !f.writable() }
	if b.isClosed() || b.mediaThere(rescueInFlush) != nil || shut() && !b.reopened() {
		return
	}
	if err := f.gaveUp(); err != nil && !shut() {
		_ = b.mediaFailed(err) // logged; opened again once the back-off has passed
		return
	}
	_, old := b.expiryDue(f, b.cutNow())
	if (n > 0 || old) && !shut() {
		_, _ = b.commitMedia(nil, nil) // logged; tried again with the next Commit
	}
	if !shut() {
		b.salvageSome(f)
		b.noteMediaSaving()
	}
	b.probeMedia()
}

// commitMedia is one synced transaction of media.db.
func (b *Buffer) commitMedia(recs []record, also func(*bbolt.Tx) error) ([]telemetry.Name, error) {
	names, err := b.updateMedia(recs, also, 0)
	for try := 0; errors.Is(err, berrors.ErrMaxSizeReached) && try < maxSizeRetries; try++ {
		if _, err = b.updateMedia(nil, nil, b.vid.quota/evictRetry); err == nil {
			names, err = b.updateMedia(recs, also, 0)
		}
	}
	if err != nil {
		return nil, b.mediaFailed(err)
	}
	if len(recs) > 0 {
		b.mediaWorks()
	}
	return names, nil
}

func (b *Buffer) updateMedia(recs []record, also func(*bbolt.Tx) error, free int64) ([]telemetry.Name, error) {
	f := b.vid
	names := make([]telemetry.Name, len(recs))
	var losses []owedLoss
	gone, old := 0, 0
	err := f.update(func(t *txn) (err error) {
		if err := t.removeAcked(); err != nil {
			return err
		}
		need := int64(0)
		for _, r := range recs {
			need += diskCost(len(r.rec))
		}
		f.mu.Lock()
		ranks := b.ranks
		f.mu.Unlock()
		expired, err := b.expireOld(t, b.cutNow())
		if err != nil {
			return err
		}
		evicted, err := t.evict(need, free, ranks)
		if err != nil {
			return err
		}
		gone, old = len(evicted), len(expired)
		if err := t.reserve(need); err != nil {
			return err
		}
		if losses, err = b.oweLosses(t, append(expired, evicted...), b.vidLost); err != nil {
			return err
		}
		for i, r := range recs {
			if names[i], err = t.append(r.class, r.h, r.rec); err != nil {
				return err
			}
		}
		b.stamp(&t.state, b.cutNow())
		if b.vidPapersDue {
			if err := b.putClips(t); err != nil {
				return err
			}
			if err := t.putProgress(); err != nil {
				return err
			}
		}
		if also != nil {
			return also(t.tx)
		}
		return nil
	})
	if err == nil {
		b.vidLost, b.vidPapersDue = nil, false
		b.countEvicted(gone)
		b.sayEvicted(f, gone)
		b.countExpired(old)
		f.mu.Lock()
		b.owed = append(b.owed, losses...)
		f.mu.Unlock()
	}
	return names, err
}
