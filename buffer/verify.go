package buffer

import (
	"fmt"
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"obu/buffer/wreck"
)

// proveTries is how often in a row a file's structure has to be unreadable
// before that counts as damage: a loose card reads again, a bad sector does not.
// The tries come with the back-off of a failing disk.
const proveTries = 3

// prove proves that bbolt may open a file. It returns the disk's error while
// that may pass, ErrDamaged when the file is not to be used.
func (b *Buffer) prove(f *file) (rolledBack bool, err error) {
	h, err := openFile(f.path)
	if err != nil {
		return false, fmt.Errorf("verify: %w", err)
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return false, fmt.Errorf("verify %s: %w", f.path, err)
	}
	rolledBack, err = wreck.Prove(watched{h, &f.worked}, info.Size())
	switch {
	case !wreck.Unreadable(err):
		f.unread = 0
	case f.unread+1 < proveTries:
		f.unread++
		return false, fmt.Errorf("verify %s: %w (%w)", f.path, err, unix.EIO)
	default:
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return false, fmt.Errorf("verify %s: %w", f.path, err)
	}
	return rolledBack, nil
}

// openReadOnly opens a database file without writing to it.
func openReadOnly(path string) (*bbolt.DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if err := isFile(path); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("open %s: empty: %w", path, ErrDamaged)
	}
	if err := proveFile(path); err != nil { // else bbolt may end the process
		return nil, err
	}
	db, err := bbolt.Open(path, dbMode, &bbolt.Options{ReadOnly: true, Timeout: dbLockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		if isDamage(err) {
			err = fmt.Errorf("%w: %v", ErrDamaged, err)
		}
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// proveFile proves that bbolt may open the file at path: see wreck.Prove.
func proveFile(path string) error {
	f, err := openFile(path)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	if _, err := wreck.Prove(f, info.Size()); err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	return nil
}

// dropCache asks the kernel to forget its copy of a file, so that the next
// read sees what the disk has.
func dropCache(path string) {
	if f, err := openFile(path); err == nil {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		f.Close()
	}
}
