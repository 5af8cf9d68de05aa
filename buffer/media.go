package buffer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

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

// mediaReady makes media.db on first use, and opens it again after the disk
// failed.
func (b *Buffer) mediaReady() error { return b.openMedia(true) }

// openMedia is mediaReady for a file that is made only on request. One that
// never was is then left at that, with no error.
func (b *Buffer) openMedia(create bool) error {
	if err := b.mediaThere(math.MaxInt64); err != nil {
		return err
	}
	f := b.vid
	if f.writable() {
		if !b.vidRetire {
			return nil
		}
		if err := b.retire(f); err != nil {
			return fmt.Errorf("%w: %w", ErrDiskFailed, err)
		}
		b.vidRetire = false
		return nil
	}
	if now := b.opts.Now(); now < b.vidRetry {
		return fmt.Errorf("open %s: %w", f.name, ErrDiskFailed)
	}
	if !b.locked() {
		return b.mediaFailed(fmt.Errorf("open %s: its directory is not in use yet", f.path))
	}
	_ = f.closeDB()
	dropCache(f.path)
	old := session{Files: map[string]sessionFile{f.name: b.noted(f, f.diskStoreIDs())}}
	if f.unknown() {
		old = readSession(b.opts.Dir)
	}
	if err := b.startMedia(context.Background(), old, create); err != nil {
		return b.mediaFailed(err)
	}
	b.vidLate = false
	return nil
}

// reopened opens media.db again after a failure so that it can drain, and when
// Open could not even look for it, and reports whether it is open.
func (b *Buffer) reopened() bool {
	switch {
	case b.vidRetire:
		return b.mediaReady() == nil
	case b.vidLate && b.locked():
		return b.openMedia(false) == nil && b.vid.db != nil
	}
	return false
}

// mediaFailed retires the store after a transaction that may or may not be on
// disk. When the disk was full before anything was written, the file is used
// on; after any other failure it can drain at most, and is opened like an unclean
// one once the back-off has passed.
func (b *Buffer) mediaFailed(err error) error {
	f := b.vid
	if b.noteMedia(err) {
		b.log.Error("the media store does not take data: clips stay on the camera; trying again", "file", f.path, "err", err, "next", diskHint)
	}
	b.vidRetire = true
	if isFull(err) && f.db != nil {
		return fmt.Errorf("%w: %w", ErrDiskFailed, err)
	}
	switch {
	case !f.writable():
	case isDiskTrouble(err):
		f.stale = true
	default:
		_ = f.closeDB()
	}
	b.vidRetry = b.opts.Now().Add(mediaBackoff)
	return fmt.Errorf("%w: %w", ErrDiskFailed, err)
}

// What to do about a media store that does not take data.
const (
	mediaBackoff    = 15 * time.Second // media.db is left alone after a failure
	mediaProbeEvery = time.Minute      // between tries whether the disk takes data again, while no chunk comes
	mediaProbeBytes = 1 << 20          // more than a chunk's transaction needs
)

// noteMedia books a failure of the media store and reports whether it is the
// first of an outage.
func (b *Buffer) noteMedia(err error) (news bool) {
	now := b.opts.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.failures++
	news = b.stats.mediaErr == ""
	if news {
		b.stats.mediaSince = now
	}
	b.stats.mediaErr = err.Error()
	b.mediaProbe = now.Add(mediaProbeEvery)
	return news
}

// mediaWorks books that the disk took a chunk, or as much as one.
func (b *Buffer) mediaWorks() {
	b.mu.Lock()
	was := b.stats.mediaErr
	b.stats.mediaErr = ""
	b.mu.Unlock()
	if was != "" {
		b.log.Info("the media store takes data again", "file", b.vid.path)
	}
}

// probeMedia tries at times whether the disk takes data again: after a failure
// the camera may have nothing left to store. Deletes alone prove nothing.
func (b *Buffer) probeMedia() {
	now := b.opts.Now()
	b.mu.Lock()
	due := b.stats.mediaErr != "" && now >= b.mediaProbe
	if due {
		b.mediaProbe = now.Add(mediaProbeEvery)
	}
	b.mu.Unlock()
	if due && probe(b.vid.path+".probe", mediaProbeBytes) == nil {
		b.mediaWorks()
	}
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

// adoptMedia takes over what media.db remembers of clips.
func (b *Buffer) adoptMedia(c contents) {
	f := b.vid
	b.tele.mu.Lock()
	st := b.tele.state
	b.tele.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.vidRetire {
		f.state.store, b.vidRetire = newStoreID(), false
	}
	b.clips, b.clipsDone = map[string]clip{}, 0
	for k, cl := range c.clips {
		b.clips[k] = cl
		if cl.done {
			b.clipsDone++
		}
		b.clipOrder = max(b.clipOrder, cl.order)
		if cl.rank > RankUnrequested {
			b.ranks[cl.id] = cl.rank
		}
	}
	for _, saved := range c.saved {
		b.adoptSaved(saved, st)
	}
	b.owed = nil
	for _, l := range c.owed {
		if st.owedFile != c.state.file || l.order > st.owedDone {
			b.owed = append(b.owed, l)
		}
	}
}

// adoptSaved takes over what a media.db that was set aside remembers of clips,
// older than all that is known, and its losses that are not in the Gap table.
// vid.mu must be held.
func (b *Buffer) adoptSaved(c contents, tele state) {
	for k, cl := range c.clips {
		if _, known := b.clips[k]; known {
			continue
		}
		b.clipOrder++
		cl.order = b.clipOrder
		b.clips[k] = cl
		if cl.done {
			b.clipsDone++
		}
		if cl.rank > RankUnrequested {
			b.ranks[cl.id] = cl.rank
		}
	}
	for _, l := range c.owed {
		if tele.owedFile != c.state.file || l.order > tele.owedDone {
			b.vidLost = append(b.vidLost, l.gap)
		}
	}
}

// readMedia reads what only media.db has.
func (c *contents) readMedia(tx *bbolt.Tx) error {
	c.clips = map[string]clip{}
	for _, name := range [...][]byte{bucketClips, bucketDone} {
		bk := tx.Bucket(name)
		if bk == nil {
			continue
		}
		err := bk.ForEach(func(_, v []byte) error {
			key, cl, err := decodeClip(v)
			c.clips[key] = cl
			return err
		})
		if err != nil {
			return err
		}
	}
	bk := tx.Bucket(bucketOwed)
	if bk == nil {
		return nil
	}
	return bk.ForEach(func(k, v []byte) error {
		r, err := decodeGapRow(v)
		if err == nil {
			c.owed = append(c.owed, owedLoss{binary.BigEndian.Uint64(k), r.Gap})
		}
		return err
	})
}
