package buffer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// create makes a new, complete file under its name, or none at all: it is
// written beside and moved in place, and the directory is synced.
func (f *file) create(init func(*bbolt.Tx) error) error {
	building := f.path + ".new"
	if err := os.Remove(building); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove unfinished file: %w", err)
	}
	image, err := f.newImage(init)
	if err == nil {
		err = f.writeNew(building, image)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", building, err)
	}
	if err := os.Rename(building, f.path); err != nil {
		return fmt.Errorf("create %s: %w", f.path, err)
	}
	return f.faults.makeDurable(filepath.Dir(f.path))
}

// newImage returns the content of a new file. bbolt makes it in memory: on a disk
// that fails just then it would map what cannot be read.
func (f *file) newImage(init func(*bbolt.Tx) error) ([]byte, error) {
	fd, err := unix.MemfdCreate(f.name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	h := os.NewFile(uintptr(fd), f.name)
	o := f.boltOptions(&rollbackGuard{})
	o.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return h, nil }
	db, err := bbolt.Open(f.name, dbMode, o)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	db.AllocSize = 0
	if err := db.Update(init); err != nil {
		return nil, err
	}
	info, err := h.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(h, 0, info.Size()))
}

func (f *file) writeNew(path string, image []byte) error {
	h, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, dbMode)
	if err != nil {
		return err
	}
	_, err = h.Write(image)
	if err == nil && (f.faults == nil || !f.faults.noSync) {
		err = h.Sync()
	}
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	return err
}

// openNew opens a file just made. One that cannot be read back says nothing of
// itself: its disk fails.
func (f *file) openNew() error {
	err := proveFile(f.path)
	if err == nil {
		err = f.openDB()
	}
	if err != nil && !isDiskTrouble(err) && !errors.Is(err, ErrDiskFailed) {
		return fmt.Errorf("read back a new store: %v: %w", err, unix.EIO)
	}
	return err
}

// makeDir makes the buffer's directory, and until it holds a session file sees
// to it that a power cut leaves the directory itself in place: the names of it
// and of what leads to it are synced. One that may not be opened was made by
// somebody else, before.
func makeDir(dir string, x *faults) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, sessionName)); err == nil {
		return nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for abs != filepath.Dir(abs) {
		abs = filepath.Dir(abs)
		_ = x.makeDurable(abs)
	}
	return nil
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
