package buffer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// start takes both files into use. A disk that is full, read-only or failing
// does not stop it: data then lives in memory until the disk is back.
func (b *Buffer) start(ctx context.Context) error {
	defer b.note()
	b.cut = b.cutNow()
	if err := b.enter(); err != nil {
		return err
	}
	old := b.before
	if err := b.takeIntoUse(old); isDiskTrouble(err) {
		old.Clean = false // it cannot be marked, so it counts as not closed in order
	} else if err != nil {
		return err
	}
	if err := b.startTelemetry(ctx, old); isDiskTrouble(err) {
		b.failed(err)
	} else if err != nil {
		return err
	}
	if err := b.startMedia(ctx, old, false); isDiskTrouble(err) {
		_ = b.mediaFailed(err) // logged; tried again with later commits
	} else if err != nil {
		return err
	}
	return nil
}

// enter deals with what lies in the directory beside the databases, before they
// are opened. It is locked by then.
func (b *Buffer) enter() error {
	known, err := readBoots(b.opts.Dir)
	if err != nil {
		b.log.Warn("when earlier boots were cannot be read: what they stored will not expire by age, and may have no time in an export", "file", filepath.Join(b.opts.Dir, bootsName), "err", err)
	}
	b.setBoots(known)
	if err := b.erase(); err != nil {
		return err // what was to be deleted must not be delivered
	}
	b.inherit()
	if path := filepath.Join(b.opts.Dir, sessionName); isFile(path) != nil {
		b.log.Error("how the last run ended cannot be read: it counts as ended by a power cut", "err", isFile(path))
	}
	b.before = readSession(b.opts.Dir)
	return nil
}

// isDiskTrouble reports whether an error lies in the disk's present condition,
// not in how obu was set up.
func isDiskTrouble(err error) bool {
	return isFull(err) || errors.Is(err, unix.EROFS) || errors.Is(err, unix.EIO)
}

// startTelemetry opens telemetry.db and begins a session in it: whatever ends
// the process from here on will be listed by the next start.
func (b *Buffer) startTelemetry(ctx context.Context, old session) error {
	f := b.tele
	c, lost, err := b.prepare(ctx, f, old)
	if err != nil {
		return err
	}
	b.takeUp(f, &c)
	b.adopt(f, c)
	b.learn(c)
	for _, g := range append(lost, c.damaged...) {
		b.Lost(g)
	}
	if err := b.writeSession(false); err != nil {
		return err
	}
	if err := b.beginSession(f, c); err != nil {
		return err
	}
	return b.endWipe()
}

// learn takes over what telemetry.db knows of earlier runs, once: at the start,
// or when the file can be read for the first time.
func (b *Buffer) learn(c contents) {
	b.learned = true
	b.gaps.load(c.gaps, c.state.nextGap, b.tele)
	b.adoptCommands(c.commands)
	unclean := uncleanGaps(c.state, b.opts.Boot, b.opts.Now())
	told := false
	for _, saved := range c.saved {
		b.gaps.load(saved.gaps, saved.state.nextGap, b.tele)
		b.inheritCommands(saved.commands)
		if saved.state.commits > 0 && !saved.state.clean { // else of an earlier run than the last
			told, unclean = true, append(unclean, uncleanGaps(saved.state, b.opts.Boot, b.opts.Now())...)
		}
	}
	if c.new && !told {
		unclean = b.uncleanSession(b.before)
	} else if !c.new {
		unclean = append(unclean, b.unmarkedSession(b.before, c.state)...)
	}
	for _, g := range unclean {
		b.Lost(g)
		b.log.Warn("the last run did not end in order: what it had not stored yet is lost", "class", g.Class.String(), "from_s", g.From.Seconds(), "to_s", g.To.Seconds())
	}
}

// startMedia opens media.db. A file that never was is made only on request:
// most units have no camera.
func (b *Buffer) startMedia(ctx context.Context, old session, create bool) error {
	f := b.vid
	if _, err := os.Stat(f.path); !create && errors.Is(err, os.ErrNotExist) && len(old.stores(f.name)) == 0 && !b.anyAside(f) {
		return nil
	}
	c, lost, err := b.prepare(ctx, f, old)
	if err != nil {
		return err
	}
	b.takeUp(f, &c)
	b.adopt(f, c)
	b.adoptMedia(c)
	for _, g := range append(lost, c.damaged...) {
		b.Lost(g)
	}
	if err := b.writeSession(false); err != nil {
		return err
	}
	return b.beginSession(f, c)
}

// adopt makes a file's contents the index.
func (b *Buffer) adopt(f *file, c contents) {
	st := c.state
	power := !st.clean && st.boot != b.opts.Boot
	bound := f.boundTo(b.opts.Hardware)
	if st.hardware != bound || st.unit != b.opts.Unit || power || c.retire {
		// A copy of a disk, another unit's disk, files put back from a backup,
		// or a disk that lost power and may have forgotten what it acknowledged:
		// no name of the old store may be given twice, so it only drains.
		st.store = newStoreID()
		st.hardware, st.unit = bound, b.opts.Unit
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state, f.streams, f.first = st, c.streams, st.commits
}

// beginSession marks the file as in use, in one transaction with what was
// found wrong with it.
func (b *Buffer) beginSession(f *file, c contents) error {
	f.mu.Lock()
	f.state.clean = f.faults != nil && f.faults.staysClean
	f.acked = append(f.acked, c.bad...)
	f.mu.Unlock()
	if f == b.tele {
		_, err := b.commitDisk(nil)
		return err
	}
	_, err := b.commitMedia(nil, nil)
	return err
}

// prepare opens a file and reads it. A damaged or newer one is set aside and
// replaced; lost then says what went with it.
func (b *Buffer) prepare(ctx context.Context, f *file, old session) (c contents, lost []telemetry.Gap, err error) {
	dirty := !old.Clean
	info, err := os.Stat(f.path)
	if err == nil {
		err = isFile(f.path)
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		if ids := old.stores(f.name); len(ids) > 0 {
			b.log.Error("the store is gone; what it held is lost and listed", "file", f.path,
				"next", "stop obu before moving or deleting its store")
			lost = b.wholeStores(f, old, ids, f.name)
		}
		c, err = b.fresh(f)
		c.new = len(lost) > 0
		return c, lost, err
	case err != nil:
		return c, nil, fmt.Errorf("open buffer: %w", err)
	}
	if err := f.readable(); err != nil {
		return c, nil, err // no verdict about what is in it
	}
	dirty = dirty || info.Size() != old.Files[f.name].SizeBytes
	rolledBack, err := b.prove(f)
	if err == nil {
		if err = f.openDB(); err == nil {
			// Gigabytes of chunks are not read before the first value can be
			// stored: Read checks each of them when its turn has come.
			c, err = f.load(dirty && f == b.tele)
		}
	}
	if err == nil {
		lost = b.otherStore(f, old, c)
		c.new = len(lost) > 0 && c.state.clean || c.state.commits == 0 // not begun: it knows of no run
		if rolledBack {
			lost = append(lost, b.rolledBack(&c)...)
		}
		return c, lost, nil
	}
	if !isDamage(err) {
		return c, nil, err
	}
	_ = f.closeDB()
	newer := errors.Is(err, ErrNewerFormat)
	aside, serr := b.setAside(f, err, old)
	if serr != nil {
		return c, nil, serr
	}
	if newer { // this obu cannot salvage it
		lost = b.wholeStores(f, old, old.stores(f.name), filepath.Base(aside))
	}
	c, err = b.fresh(f)
	c.new = true
	return c, lost, err
}

// rolledBack lists what the last transaction may have stored, when one of the
// file's two roots is not sound and bbolt has gone back to the older one: names
// it gave must not be given again.
func (b *Buffer) rolledBack(c *contents) (lost []telemetry.Gap) {
	for _, s := range c.streams {
		lost = append(lost, telemetry.Gap{
			Class: s.class, Store: s.store, FromSeq: s.next, ToSeq: allSeqs,
			Count: telemetry.CountUnknown, Reason: telemetry.ReasonDamagedStore, Source: "buffer",
		})
	}
	c.retire = b.opts.faults == nil || !b.opts.faults.mintsOn
	return lost
}

// fresh makes a new, empty file and opens it.
func (b *Buffer) fresh(f *file) (contents, error) {
	c := contents{state: state{
		store: newStoreID(), file: newStoreID(), unit: b.opts.Unit, boot: b.opts.Boot,
		clean: true, nextGap: 1,
	}}
	err := f.create(func(tx *bbolt.Tx) error {
		bk, err := tx.CreateBucket(bucketMain)
		if err != nil {
			return err
		}
		if err := bk.Put(keyFormat, binary.LittleEndian.AppendUint32(nil, formatVersion)); err != nil {
			return err
		}
		return bk.Put(keyState, c.state.encode())
	})
	if err != nil {
		return c, err
	}
	return c, f.openNew()
}

// Close stores what is queued and marks the files as closed in order.
func (b *Buffer) Close() error {
	b.tele.wr.Lock()
	defer b.tele.wr.Unlock()
	b.vid.wr.Lock()
	defer b.vid.wr.Unlock()
	b.mu.Lock()
	was := b.closed
	b.closed = true
	b.mu.Unlock()
	if was {
		return nil
	}
	defer func() { b.lock.release() }()
	for _, s := range append(slices.Clone(b.tele.saving), b.vid.saving...) {
		s.close()
	}
	err := errors.Join(b.closeTelemetry(), b.closeMedia())
	if err == nil {
		err = b.writeSession(true)
	}
	if err != nil {
		_ = b.writeSession(false) // names the stores that are lost, where it can
	}
	return err
}

func (b *Buffer) closeTelemetry() error {
	defer b.tele.closeDB()
	if gone := b.tele.astray(); gone != nil && !b.fail.active {
		b.failed(gone)
	}
	if b.fail.active {
		b.fail.retryAt = 0
		if !b.recovered() {
			return fmt.Errorf("close buffer: what was kept in memory is lost: %w", ErrDiskFailed)
		}
	}
	b.setClean(b.tele)
	_, err := b.commitDisk(nil)
	return err
}

func (b *Buffer) closeMedia() error {
	defer b.vid.closeDB()
	if b.vid.db == nil || b.vid.stale {
		return nil
	}
	if gone := b.vid.astray(); gone != nil {
		b.vid.lookAt, b.vidRetry = 0, 0
		if err := b.mediaReady(); err != nil {
			return fmt.Errorf("close buffer: what the media store held is lost: %w", err)
		}
	}
	b.setClean(b.vid)
	_, err := b.commitMedia(nil, nil)
	return err
}

func (b *Buffer) setClean(f *file) {
	f.mu.Lock()
	f.state.clean = true
	f.mu.Unlock()
}

func (b *Buffer) isClosed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed
}
