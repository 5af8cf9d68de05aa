package buffer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"obu/telemetry"
)

// maxDoneClips bounds how many finished clips are remembered, so that a camera
// that lists them again is told so; the oldest are forgotten first.
const maxDoneClips = 4096

// clip is the progress of one clip, by the key its source gave it.
type clip struct {
	id     telemetry.ClipID
	stored int64
	rank   Rank
	done   bool
	order  uint64 // of done clips: age
}

// ClipProgress says what of a clip is in custody: the bytes from its start,
// and whether it is finished; ok is false for an unknown key.
func (b *Buffer) ClipProgress(key string) (stored int64, done, ok bool) {
	f := b.vid
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := b.clips[key]
	return c.stored, c.done, ok
}

// CommitChunk takes the next bytes of a clip into custody in a synced
// transaction of its own, together with the clip's progress. The chunk has to
// continue what ClipProgress says, or begin at 0: ErrOffset. While the disk
// fails it returns ErrDiskFailed or the disk's error: the camera keeps the
// clip.
func (b *Buffer) CommitChunk(key string, c telemetry.Chunk) (telemetry.Name, error) {
	f := b.vid
	f.wr.Lock()
	defer f.wr.Unlock()
	if b.isClosed() {
		return telemetry.Name{}, ErrClosed
	}
	f.mu.Lock()
	now, known := b.clips[key]
	f.mu.Unlock()
	if c.Offset != 0 && (!known || now.id != c.Clip || now.stored != c.Offset) || known && now.done {
		return telemetry.Name{}, fmt.Errorf("store chunk of %s at %d: %w", key, c.Offset, ErrOffset)
	}
	if err := b.mediaReady(); err != nil {
		return telemetry.Name{}, err
	}
	r := b.encode(Entry{Class: telemetry.ClassMedia, Content: telemetry.Content{Chunks: []telemetry.Chunk{c}}})
	if r.rec == nil {
		return telemetry.Name{}, fmt.Errorf("store chunk of %s at %d: not encoded", key, c.Offset)
	}
	next := clip{id: c.Clip, stored: c.Offset + int64(len(c.Data)), rank: r.h.rank}
	names, err := b.commitMedia([]record{r}, func(tx *bbolt.Tx) error { return putClip(tx, key, next) })
	if err != nil {
		return telemetry.Name{}, err
	}
	f.mu.Lock()
	b.clips[key] = next
	f.mu.Unlock()
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
	_, err := b.commit([]record{r})
	durable := !b.fail.active
	b.tele.wr.Unlock()
	if err != nil {
		return fmt.Errorf("finish clip %s: %w", key, err)
	}
	f := b.vid
	f.wr.Lock()
	defer f.wr.Unlock()
	f.mu.Lock()
	c := b.clips[key]
	c.id, c.stored, c.done = m.ID, m.SizeBytes, true
	c.rank = max(c.rank, rankOfCause(m.Cause))
	f.mu.Unlock()
	if durable {
		if err := b.mediaReady(); err != nil {
			return err
		}
		_, err := b.commitMedia(nil, func(tx *bbolt.Tx) (err error) {
			c.order, err = putDone(tx, key, c)
			return err
		})
		if err != nil {
			return fmt.Errorf("finish clip %s: %w", key, err)
		}
	}
	f.mu.Lock()
	b.clips[key] = c
	f.mu.Unlock()
	return nil
}

func rankOfCause(cause string) Rank {
	switch cause {
	case "event":
		return RankIncident
	case "manual":
		return RankRequested
	}
	return RankUnrequested
}

// mediaReady makes media.db on first use.
func (b *Buffer) mediaReady() error {
	f := b.vid
	f.open.RLock()
	ready := f.db != nil
	f.open.RUnlock()
	if ready {
		return nil
	}
	return b.startMedia(context.Background(), session{Files: map[string]sessionFile{f.name: {Stores: f.diskStoreIDs()}}})
}

// commitMedia is one synced transaction of media.db.
func (b *Buffer) commitMedia(recs []record, also func(*bbolt.Tx) error) ([]telemetry.Name, error) {
	f := b.vid
	for try := 0; ; try++ {
		names := make([]telemetry.Name, len(recs))
		err := f.update(func(t *txn) (err error) {
			if err := t.removeAcked(); err != nil {
				return err
			}
			need := int64(try) * f.quota / evictRetry
			for _, r := range recs {
				need += diskCost(len(r.rec), f.db.Info().PageSize)
			}
			if _, err = t.evict(need, nil); err != nil {
				return err
			}
			for i, r := range recs {
				if names[i], err = t.append(r.class, r.h, r.rec); err != nil {
					return err
				}
			}
			b.stamp(&t.state)
			return also(t.tx)
		})
		if err == nil {
			return names, nil
		}
		if !errors.Is(err, berrors.ErrMaxSizeReached) || try >= maxSizeRetries {
			return nil, err
		}
	}
}

func (c *clip) encode() []byte {
	b := make([]byte, 4, 64)
	b = append(b, c.id[:]...)
	b = append(b, byte(c.rank), boolByte(c.done))
	b = binary.AppendUvarint(b, uint64(c.stored))
	return sealed(b)
}

func putClip(tx *bbolt.Tx, key string, c clip) error {
	bk, err := tx.CreateBucketIfNotExists(bucketClips)
	if err != nil {
		return err
	}
	return bk.Put([]byte(key), c.encode())
}

func putDone(tx *bbolt.Tx, key string, c clip) (uint64, error) { return 0, putClip(tx, key, c) }
