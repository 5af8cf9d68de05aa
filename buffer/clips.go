package buffer

import (
	"encoding/binary"
	"fmt"
	"maps"
	"strings"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// Bounds on what is remembered of clips. Forgetting a finished clip means that
// a camera which lists it again has it taken again; forgetting an unfinished
// one, that it starts over. A 512 GB card of one-minute segments holds about
// 6,000 clips, two cameras on it twice as many.
const (
	maxDoneClips = 16384
	maxOpenClips = 256
)

// clip is the progress of one clip, by the key its source gave it.
type clip struct {
	id     telemetry.ClipID
	stored int64
	rank   Rank
	done   bool
	order  uint64 // rises with age
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

func (b *Buffer) clipOf(key string) (clip, bool) {
	b.vid.mu.Lock()
	defer b.vid.mu.Unlock()
	c, ok := b.clips[key]
	return c, ok
}

func rankOfCause(cause string) Rank {
	switch strings.TrimSuffix(cause, telemetry.CauseIncomplete) {
	case "event":
		return RankIncident
	case "manual":
		return RankRequested
	}
	return RankUnrequested
}

// remember notes a clip's progress and forgets the oldest of its kind beyond
// bound, as the transaction did.
func (b *Buffer) remember(key string, c clip, bound int) {
	b.vid.mu.Lock()
	defer b.vid.mu.Unlock()
	if c.done && !b.clips[key].done {
		b.clipsDone++
	}
	b.clips[key] = c
	if c.rank > RankUnrequested {
		b.ranks[c.id] = c.rank
	}
	if old, over := b.oldestClip(c.done, bound+1); over {
		if c.done {
			b.clipsDone--
		}
		delete(b.ranks, b.clips[old].id)
		delete(b.clips, old)
	}
}

// oldestClip returns the oldest finished or unfinished clip, if there are at
// least that many. vid.mu must be held.
func (b *Buffer) oldestClip(done bool, atLeast int) (key string, ok bool) {
	n := b.clipsDone
	if !done {
		n = len(b.clips) - n
	}
	if n < atLeast {
		return "", false
	}
	for k, c := range b.clips {
		if c.done == done && (key == "" || c.order < b.clips[key].order) {
			key = k
		}
	}
	return key, true
}

func (b *Buffer) nextClipOrder() uint64 {
	b.vid.mu.Lock()
	defer b.vid.mu.Unlock()
	b.clipOrder++
	return b.clipOrder
}

// putOpenClip stores the progress of an unfinished clip.
func (b *Buffer) putOpenClip(tx *bbolt.Tx, key string, c clip) error {
	bk, err := tx.CreateBucketIfNotExists(bucketClips)
	if err != nil {
		return fmt.Errorf("open clips: %w", err)
	}
	b.vid.mu.Lock()
	_, known := b.clips[key]
	old, full := b.oldestClip(false, maxOpenClips)
	b.vid.mu.Unlock()
	if !known && full {
		if err := bk.Delete([]byte(old)); err != nil {
			return fmt.Errorf("forget clip: %w", err)
		}
	}
	return bk.Put([]byte(key), c.encode(key))
}

// putDoneClip moves a clip from the unfinished to the finished.
func (b *Buffer) putDoneClip(tx *bbolt.Tx, key string, c clip) error {
	if open := tx.Bucket(bucketClips); open != nil && open.Get([]byte(key)) != nil {
		if err := open.Delete([]byte(key)); err != nil {
			return fmt.Errorf("finish clip: %w", err)
		}
	}
	bk, err := tx.CreateBucketIfNotExists(bucketDone)
	if err != nil {
		return fmt.Errorf("open finished clips: %w", err)
	}
	bk.FillPercent = 1
	b.vid.mu.Lock()
	was := b.clips[key]
	old, full := b.oldestClip(true, maxDoneClips)
	oldOrder := b.clips[old].order
	b.vid.mu.Unlock()
	if was.done { // finished again
		oldOrder, full = was.order, true
	}
	if full {
		if err := bk.Delete(seqKey(oldOrder)); err != nil {
			return fmt.Errorf("forget clip: %w", err)
		}
	}
	return bk.Put(seqKey(c.order), c.encode(key))
}

// putClips writes every clip memory knows. It may wait for the disk, and does so
// without the index.
func (b *Buffer) putClips(t *txn) error {
	b.vid.mu.Lock()
	clips := maps.Clone(b.clips)
	b.vid.mu.Unlock()
	for key, c := range clips {
		name, at := bucketClips, []byte(key)
		if c.done {
			name, at = bucketDone, seqKey(c.order)
		}
		t.f.faults.reading(t.f.name)
		bk, err := t.tx.CreateBucketIfNotExists(name)
		if err == nil {
			err = bk.Put(at, c.encode(key))
		}
		if err != nil {
			return fmt.Errorf("store clip: %w", err)
		}
	}
	return nil
}

func (c *clip) encode(key string) []byte {
	b := make([]byte, 4, 64)
	b = append(b, c.id[:]...)
	b = append(b, byte(c.rank), boolByte(c.done))
	b = binary.AppendUvarint(b, uint64(c.stored))
	b = binary.AppendUvarint(b, c.order)
	return sealed(appendText(b, key))
}

func decodeClip(b []byte) (key string, c clip, err error) {
	r, err := unsealed(b)
	if err != nil {
		return "", c, fmt.Errorf("decode clip: %w", err)
	}
	r.fixed(c.id[:])
	c.rank, c.done = Rank(r.byte()), r.byte() == 1
	c.stored, c.order = int64(r.uvarint()), r.uvarint()
	key = r.text()
	if r.bad {
		return "", c, fmt.Errorf("decode clip: %w", ErrDamaged)
	}
	return key, c, nil
}
