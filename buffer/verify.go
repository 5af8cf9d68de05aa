package buffer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"syscall"
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
	verifyTries       = 3       // when others kill it
)

// verify has a child process walk a file. It returns nil when the file is
// sound, ErrDamaged when it is not to be used, another error when that could
// not be found out.
func (b *Buffer) verify(ctx context.Context, path string, size int64) error {
	if len(b.opts.Verify) == 0 {
		return VerifyFile(path)
	}
	var err error
	for range verifyTries {
		var verdict bool
		if verdict, err = b.verifyOnce(ctx, path, size); verdict {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("verify %s: %w", path, ctx.Err())
		}
		b.log.Warn("the check of a store was ended by others and is begun again; is the machine short of memory?", "file", path, "err", err)
	}
	return err
}

// verifyOnce reports what one child says, and whether that is a verdict: a
// child killed by a stop of the whole service, or by a kernel short of memory,
// has none.
func (b *Buffer) verifyOnce(ctx context.Context, path string, size int64) (verdict bool, err error) {
	limit, cancel := context.WithTimeout(ctx, verifyBase+time.Duration(size/verifyBytesPerSec)*time.Second)
	defer cancel()
	argv := append(append([]string(nil), b.opts.Verify...), path)
	cmd := exec.CommandContext(limit, argv[0], argv[1:]...)
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, nil
	case !errors.As(err, &exit):
		return ctx.Err() == nil, fmt.Errorf("verify %s: start %s: %w", path, argv[0], err)
	}
	err = fmt.Errorf("verify %s: %w: %v: %s", path, ErrDamaged, err, bytes.TrimSpace(out.b))
	if limit.Err() != nil {
		return ctx.Err() == nil, err // hangs: that is damage, unless we were stopped
	}
	if st, ok := exit.Sys().(syscall.WaitStatus); ok && st.Signaled() {
		switch st.Signal() {
		case syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT:
			return false, err
		}
	}
	return true, err
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
