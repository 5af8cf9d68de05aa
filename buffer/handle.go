package buffer

import (
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// begin begins a transaction; a fault is a panic, as elsewhere. bbolt reads the
// file's first two pages through the memory map with its locks taken, and after
// a fault there whoever wants one of them waits for ever, Close among them. So
// they are read in the plain way first, which fails with an error; what is left
// is a file cut short between the two, of which the handle is broken. open must
// be held, for reading at least, and db not be nil.
func (f *file) begin(writable bool) (*bbolt.Tx, error) {
	f.beginMu.Lock() // else others would wait within bbolt
	defer f.beginMu.Unlock()
	if f.broken {
		return nil, fmt.Errorf("read %s: %w", f.name, errPanicked)
	}
	if err := f.rootsReadable(); err != nil {
		return nil, err
	}
	f.faults.beginning(f.name)
	f.broken = true
	tx, err := f.db.Begin(writable)
	f.broken = false
	return tx, err
}

// rootsReadable reports why the two pages that lead to all others cannot be
// read, if so.
func (f *file) rootsReadable() error {
	if f.os == nil {
		return nil // opened to be looked at, by nobody else
	}
	var b [1]byte
	size := int64(f.db.Info().PageSize)
	for _, at := range [...]int64{0, 2*size - 1} {
		if _, err := f.os.ReadAt(b[:], at); err != nil {
			return fmt.Errorf("%w: read the first pages of %s: %w", ErrDamaged, f.path, err)
		}
	}
	return nil
}

// endPanicked ends a write transaction that a panic came through, so that the
// file can be closed in order. It reads no page. Where bbolt had not begun or
// cannot end it, the handle is broken.
func (f *file) endPanicked(tx *bbolt.Tx) {
	defer func() {
		if recover() != nil {
			f.setBroken(true)
		}
	}()
	if tx != nil {
		_ = tx.Rollback()
	}
}

func (f *file) setBroken(is bool) {
	f.beginMu.Lock()
	defer f.beginMu.Unlock()
	f.broken = is
}

func (f *file) isBroken() bool {
	f.beginMu.Lock()
	defer f.beginMu.Unlock()
	return f.broken
}

// worn reports whether the file's handles broke too often.
func (f *file) worn() bool {
	f.beginMu.Lock()
	defer f.beginMu.Unlock()
	return f.abandoned >= maxAbandoned
}

// closeDB closes the file, or lets go of it where its handle is broken; it is
// idempotent.
func (f *file) closeDB() (err error) {
	f.open.Lock()
	defer f.open.Unlock()
	if f.db == nil {
		return nil
	}
	f.past += f.written()
	f.mu.Lock()
	f.first = f.state.commits
	f.mu.Unlock()
	if f.isBroken() {
		f.leave(f.os)
	} else {
		err = f.db.Close()
	}
	f.db = nil
	f.setBroken(false)
	return err
}

// leave lets go of a handle that bbolt cannot close. The memory map leaks, and
// would keep the file locked: see maxAbandoned.
func (f *file) leave(h *os.File) {
	f.beginMu.Lock()
	f.abandoned++
	f.beginMu.Unlock()
	if h != nil {
		_ = unix.Flock(int(h.Fd()), unix.LOCK_UN)
		_ = h.Close()
	}
}
