package buffer_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// TestRoomIsWrittenAhead: telemetry.db grows by pages that were written once,
// so that no later commit has to tell the file system of them.
func TestRoomIsWrittenAhead(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	defer b.Close()
	ours := openOurs(t, filepath.Join(dir, "other"))
	defer ours.close()
	for i := range 10 {
		ours.commit(nil, track(i))
		if _, err := b.CommitChunk("clip", telemetry.Chunk{Clip: telemetry.ClipID{1}, Offset: int64(i) * 1000, Data: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
	}
	size, hole := written(t, filepath.Join(dir, "media.db"))
	if hole == size {
		t.Skip("skipped: this file system does not tell what is allocated and not written")
	}
	if size, hole := written(t, ours.path()); hole != size {
		t.Errorf("of %d bytes only %d are written", size, hole)
	}
}

// written returns the size of a file and where the first part lies that was
// never written.
func written(t *testing.T, path string) (size, hole int64) {
	t.Helper()
	h, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Sync(); err != nil {
		t.Fatal(err)
	}
	info, err := h.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if hole, err = unix.Seek(int(h.Fd()), 0, unix.SEEK_HOLE); err != nil {
		t.Skipf("skipped: this file system does not tell what is written: %v", err)
	}
	return info.Size(), hole
}
