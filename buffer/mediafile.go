package buffer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"go.etcd.io/bbolt"
)

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
