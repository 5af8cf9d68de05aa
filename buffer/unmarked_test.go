package buffer_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// TestRunOnAFullDiskThatWasCutIsListed: a run whose disk is full from its start
// leaves no transaction, and is cut: what it held in memory is listed all the
// same. The disk was full already when the run before ended, so that its
// telemetry.db is closed in order and the session file cannot say so, or it
// became so in between.
func TestRunOnAFullDiskThatWasCutIsListed(t *testing.T) {
	t.Run("full before", func(t *testing.T) { cutOnFullDisk(t, true) })
	t.Run("full between", func(t *testing.T) { cutOnFullDisk(t, false) })
}

func cutOnFullDisk(t *testing.T, before bool) {
	dir := t.TempDir()
	if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("needs root to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	now := telemetry.At(time.Hour)
	edit := func(o *buffer.Options) { o.Now = func() telemetry.At { return now } }
	commit := func(b *buffer.Buffer, i int) {
		t.Helper()
		now = now.Add(time.Second)
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	b := open(t, dir, edit)
	for i := range 20 {
		commit(b, i+1)
	}
	ballast := filepath.Join(dir, "ballast")
	fill := func() {
		if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err == nil {
			t.Fatal("the disk is not full")
		}
	}
	if before {
		fill()
	}
	if err := b.Close(); (err != nil) != before {
		t.Fatalf("close with a disk that is full (%v): %v", before, err)
	}
	if !before {
		fill()
	}
	began := now
	b = open(t, dir, edit)
	if !b.Stats().Volatile {
		t.Fatalf("stats %+v", b.Stats())
	}
	commit(b, 21)
	ended := now
	b.Crash()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	b = open(t, dir, edit)
	defer b.Close()
	_, gaps := drainAll(t, b)
	for _, class := range [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth} {
		listed := false
		for _, g := range gaps {
			listed = listed || g.Class == class && g.Reason == telemetry.ReasonUncleanStart && g.From <= began && g.To >= ended
		}
		if !listed {
			t.Errorf("the loss of %s from %v to %v is not listed: %+v", class, began, ended, gaps)
		}
	}
}
