package buffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockWait is how long Open waits for a predecessor that is shutting down.
	lockWait = time.Second
	// lockPoll is how often it looks.
	lockPoll = 50 * time.Millisecond
)

// dirLock is the exclusive use of a buffer directory: an flock on the
// directory itself, so that it holds while files in it are renamed, and can be
// had on a full or read-only disk. dir is nil while that disk does not even
// take the directory.
type dirLock struct{ dir *os.File }

func lockDir(ctx context.Context, dir string, how int) (*dirLock, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("lock buffer: %w", err)
	}
	for deadline := time.Now().Add(lockWait); ; {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return &dirLock{f}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock buffer %s: %w", dir, err)
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("lock buffer %s: %w", dir, ErrLocked)
		}
		time.Sleep(lockPoll)
	}
}

func (l *dirLock) release() {
	if l.dir != nil {
		_ = l.dir.Close()
	}
}
