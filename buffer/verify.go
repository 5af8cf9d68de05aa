package buffer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The time a verifying child gets: a base for its start, and the rate of the
// slowest card worth supporting.
const (
	verifyBase        = 30 * time.Second
	verifyBytesPerSec = 2 << 20
	verifyOutput      = 2 << 10 // of the child's last words, for the log
)

// verify has a child process walk a file. It returns nil when the file is
// sound, ErrDamaged or ErrNewerFormat when it is not to be used.
func (b *Buffer) verify(ctx context.Context, path string, size int64) error {
	if len(b.opts.Verify) == 0 {
		return VerifyFile(path)
	}
	ctx, cancel := context.WithTimeout(ctx, verifyBase+time.Duration(size/verifyBytesPerSec)*time.Second)
	defer cancel()
	argv := append(append([]string(nil), b.opts.Verify...), path)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return fmt.Errorf("verify %s: %w: %v: %s", path, ErrDamaged, err, bytes.TrimSpace(out.b))
	}
	return fmt.Errorf("verify %s: start %s: %w", path, argv[0], err)
}

// tail keeps the first bytes written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	if room := verifyOutput - len(t.b); room > 0 {
		t.b = append(t.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}

// VerifyFile walks every page of a database file and reports whether it is
// safe to open: nil, or an error that wraps ErrDamaged. A file of a newer
// format is sound; Open tells it by its version. Single values that are not what was
// written do not make a file unsafe; Open and Check list those. On a damaged
// file it may end the process: run it in a child.
func VerifyFile(path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guard(&err)
	db, err := openReadOnly(path)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		var first error
		for e := range tx.Check() {
			if first == nil {
				first = e
			}
		}
		if first != nil {
			return fmt.Errorf("check %s: %w: %v", path, ErrDamaged, first)
		}
		return nil
	})
}

// openReadOnly opens a database file without writing to it.
func openReadOnly(path string) (*bbolt.DB, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if info.Size() == 0 {
		return nil, fmt.Errorf("open %s: empty: %w", path, ErrDamaged)
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

// dropCache asks the kernel to forget its copy of a file, so that the next
// read sees what the disk has.
func dropCache(path string) {
	if f, err := os.Open(path); err == nil {
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		f.Close()
	}
}
