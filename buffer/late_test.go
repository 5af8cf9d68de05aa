package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/buffer"
	"obu/telemetry"
)

// A store whose directory was not there when the agent started is taken into
// use when it comes, the media store too although no new chunk does, and not
// before it is certain that nobody else uses it.
func TestStoreThatComesLateDrains(t *testing.T) {
	t.Run("without a chunk", func(t *testing.T) { storeComesLate(t, false) })
	t.Run("with one that came too early", func(t *testing.T) { storeComesLate(t, true) })
}

func storeComesLate(t *testing.T, early bool) {
	base := t.TempDir()
	dir := filepath.Join(base, "store")
	b := open(t, dir)
	chunk, err := b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Data: make([]byte, 100)})
	must(t, err)
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(1)}})
	must(t, err)
	must(t, b.Close())
	if err := syscall.Mount("obu-test", base, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("needs root to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(base, syscall.MNT_DETACH) })

	now := telemetry.At(time.Hour)
	b = open(t, dir, func(o *buffer.Options) { o.Now = func() telemetry.At { return now } })
	defer b.Close()
	must(t, syscall.Unmount(base, 0))
	if early {
		refusesForeign(t, b, dir)
	}
	for range 3 {
		now = now.Add(2 * time.Minute)
		_, err = b.Commit(nil)
		must(t, err)
	}
	got, gaps := drainAll(t, b)
	for _, n := range []telemetry.Name{chunk, names[0]} {
		if _, came := got[n]; !came {
			t.Errorf("%v does not come: %+v", n, gaps)
		}
	}
}

// refusesForeign gives b a chunk while somebody else has the store in use.
func refusesForeign(t *testing.T, b *buffer.Buffer, dir string) {
	t.Helper()
	other, err := os.Open(dir)
	must(t, err)
	defer other.Close()
	must(t, unix.Flock(int(other.Fd()), unix.LOCK_EX))
	path := filepath.Join(dir, "media.db")
	before, err := os.ReadFile(path)
	must(t, err)
	if _, err := b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Data: make([]byte, 100)}); !errors.Is(err, buffer.ErrDiskFailed) {
		t.Errorf("a chunk into a store that somebody else uses: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the store that somebody else uses was written: %v", err)
	}
}

// A unit without a camera gets no media store by starting without a directory.
func TestNoMediaStoreWithoutACamera(t *testing.T) {
	base := t.TempDir()
	if err := syscall.Mount("obu-test", base, "tmpfs", syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("needs root to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(base, syscall.MNT_DETACH) })
	now := telemetry.At(time.Hour)
	b := open(t, filepath.Join(base, "store"), func(o *buffer.Options) { o.Now = func() telemetry.At { return now } })
	defer b.Close()
	must(t, syscall.Unmount(base, 0))
	for range 3 {
		now = now.Add(2 * time.Minute)
		_, err := b.Commit(nil)
		must(t, err)
	}
	if b.Stats().Volatile {
		t.Fatal("the directory can be made, and was not")
	}
	if _, err := os.Stat(filepath.Join(base, "store", "media.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("media.db was made: %v", err)
	}
}
