package buffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"obu/telemetry"
)

const (
	// lookEvery bounds how often the name of a file is looked up: a store that
	// is moved or deleted while it runs is noticed within it.
	lookEvery = time.Second
	// rescueTx bounds one transaction of a copy, and so its memory. Each is
	// synced, so that a card is not left with gigabytes to sync at the end, of
	// which nobody could see how far they are.
	rescueTx = 4 << 20
	// rescueInFlush is how much media is copied by the caller of Commit, who
	// waits for it; more waits for the next chunk.
	rescueInFlush = 64 << 20
)

// goneHint is for the technician.
const goneHint = "nothing if this was meant: what is undelivered moves to the configured place; else put the directory back. Stop obu before moving or deleting its store"

// place is where a file lies, whatever its name.
type place struct {
	dev, ino uint64
}

func placeOf(path string) (place, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return place{}, err
	}
	return place{uint64(st.Dev), uint64(st.Ino)}, nil //nolint:unconvert // types differ between platforms
}

func placeOfOpen(h *os.File) (place, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(h.Fd()), &st); err != nil {
		return place{}, err
	}
	return place{uint64(st.Dev), uint64(st.Ino)}, nil //nolint:unconvert // types differ between platforms
}

// astray returns ErrGone when the file's name does not lead to the file that
// was opened last: it was deleted, moved or replaced.
func (f *file) astray() error {
	f.open.RLock()
	was := f.place
	f.open.RUnlock()
	if was == (place{}) {
		return nil // never opened
	}
	now, err := placeOf(f.path)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return fmt.Errorf("%s: no such file any more: %w", f.path, ErrGone)
	case err == nil && now != was:
		return fmt.Errorf("%s: another file has taken its place: %w", f.path, ErrGone)
	}
	return nil // any other error shows when the file is written
}

// look is astray for the way of every commit: one system call a lookEvery.
func (f *file) look(now telemetry.At) error {
	if now < f.lookAt {
		return nil
	}
	f.lookAt = now.Add(lookEvery)
	err := f.astray()
	if err != nil {
		f.lookAt = 0 // until it is back
	}
	return err
}

// rehome makes sure that the directory is there and this process's own: it may
// have been moved away, with the lock, or deleted.
func (b *Buffer) rehome() error {
	b.sessionMu.Lock()
	defer b.sessionMu.Unlock()
	if err := makeDir(b.opts.Dir, b.opts.faults); err != nil {
		return fmt.Errorf("make buffer directory: %w", err)
	}
	is, err := placeOf(b.opts.Dir)
	if err != nil {
		return fmt.Errorf("lock buffer: %w", err)
	}
	first := b.lock.dir == nil // Open could not even make it
	if was, err := placeOfOpen(b.lock.dir); err == nil && was == is {
		return nil
	}
	once, cancel := context.WithCancel(context.Background())
	cancel() // one try: the caller comes again
	lock, err := lockDir(once, b.opts.Dir, unix.LOCK_EX)
	if err != nil {
		return err
	}
	if first {
		if err := b.enter(); err != nil {
			lock.release()
			return err
		}
	}
	b.lock.release()
	b.lock = lock
	return nil
}

// locked reports whether the directory is this process's: it is not while Open
// could not even make it.
func (b *Buffer) locked() bool {
	b.sessionMu.Lock()
	defer b.sessionMu.Unlock()
	return b.lock.dir != nil
}

// rescue copies what the open file holds to where it belongs, when another
// file or none lies there, and reports whether it did: no name and no batch is
// lost. The open file stays in use until the caller opens the copy. A file that
// lies in the way is set aside. wr must be held.
func (b *Buffer) rescue(f *file) (bool, error) {
	if f.db == nil || f.astray() == nil {
		return false, nil
	}
	if err := b.clearPlace(f); err != nil {
		return false, err
	}
	err := f.copyTo(f.path + ".new")
	if err != nil && isDamage(err) {
		b.log.Error("the deleted store cannot be read to its end and is listed as lost", "file", f.path, "err", err)
		return true, nil // opening finds nothing, and lists it
	}
	if err == nil {
		err = os.Rename(f.path+".new", f.path)
	}
	if err == nil {
		err = syncDir(b.opts.Dir)
	}
	if err != nil {
		return false, fmt.Errorf("move %s from the deleted file: %w", f.name, err)
	}
	b.log.Warn("the buffer's store is back in its place with all it held", "file", f.path)
	return true, nil
}

// clearPlace sets aside a file that lies where this one belongs, unharmed: it
// may be another unit's, or one put back from a backup. Its stores are listed.
func (b *Buffer) clearPlace(f *file) error {
	if _, err := os.Lstat(f.path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	aside, err := b.asideName(f, "other")
	if err != nil {
		return err
	}
	if err := os.Rename(f.path, aside); err != nil {
		return fmt.Errorf("set aside %s: %w", f.path, err)
	}
	var others []telemetry.StoreID
	old := readSession(b.opts.Dir)
	for _, id := range old.stores(f.name) {
		if !slices.Contains(f.storeIDs(), id.String()) {
			others = append(others, id)
		}
	}
	if len(others) > 0 {
		for _, g := range b.wholeStores(f, old, others, filepath.Base(aside)) {
			b.Lost(g)
		}
	}
	b.log.Error("a file that was put in place of the running store was set aside: obu goes on with its own",
		"file", aside, "next", "to deliver what it holds: stop obu and start it with this file as "+f.name+" in a buffer.dir of its own")
	return nil
}

// copyTo writes the live content of the open file to a new file and syncs it.
func (f *file) copyTo(path string) (err error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove unfinished file: %w", err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	g := &rollbackGuard{}
	defer func() {
		if r := recover(); r != nil { // the new file cannot be read back
			f.leave(g.os)
			err = fmt.Errorf("create %s: %v: %w", path, fault(r), unix.EIO)
		}
	}()
	o := f.boltOptions(g)
	o.OpenFile = func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		g.os, err = os.OpenFile(name, flag, mode) // f.os stays the handle of the open file
		return g.os, err
	}
	dst, err := bbolt.Open(path, dbMode, o)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	f.copying.Store(dst)
	defer func() { f.copying.Store(nil); f.worked.Add(copied(dst)) }()
	err = f.view(func(tx *bbolt.Tx) error {
		return g.during(func() error { return bbolt.Compact(dst, tx.DB(), rescueTx) })
	})
	if cerr := dst.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("copy to %s: %w", path, err)
	}
	return nil
}

// mediaThere looks whether media.db is where it was, and if it is not, moves
// what it holds back there, up to atMost bytes. It returns the error to tell
// the camera while that fails. wr of media.db must be held.
func (b *Buffer) mediaThere(atMost int64) error {
	f := b.vid
	if f.db == nil {
		return nil
	}
	now := b.opts.Now()
	gone := f.look(now)
	if gone == nil {
		return nil
	}
	if now < b.vidRetry {
		return fmt.Errorf("%w: %w", ErrDiskFailed, gone)
	}
	if b.vidRetire = true; !b.vidGone {
		b.vidGone = true
		b.noteMedia(gone)
		b.log.Error("the media store was deleted, moved or replaced while obu runs: clips stay on the camera while the rest is moved", "file", f.path, "err", gone, "next", goneHint)
	}
	if f.live() > atMost {
		return fmt.Errorf("%w: %w", ErrDiskFailed, gone)
	}
	err := b.rehome()
	moved := false
	if err == nil {
		moved, err = b.rescue(f)
	}
	if err != nil {
		b.vidRetry = now.Add(mediaBackoff)
		return fmt.Errorf("%w: %w", ErrDiskFailed, err)
	}
	b.vidGone = false
	if moved {
		_ = f.closeDB() // the caller opens the copy
	}
	return nil
}

// live is what the batches weigh in the file.
func (f *file) live() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	var n int64
	for _, s := range f.streams {
		n += s.cost
	}
	return n
}
