package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

func asideIn(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "*.damaged-*"))
	return found
}

// TestReadOnlyDisk: a store on a read-only disk is read and sent, live data
// lives in memory; made writable, all of it goes on without a restart. An
// unclean store there is no damaged one.
func TestReadOnlyDisk(t *testing.T) {
	for name, clean := range map[string]bool{"clean": true, "unclean": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size=16m"); err != nil {
				t.Skipf("needs root to mount a tmpfs: %v", err)
			}
			t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
			if err := os.CopyFS(dir, os.DirFS(filled(t, clean))); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("obu-test", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			now := telemetry.At(time.Hour)
			b := open(t, dir, func(o *buffer.Options) {
				o.Now = func() telemetry.At { return now }
			})
			defer b.Close()
			names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}})
			if err != nil || !b.Stats().Volatile {
				t.Fatalf("commit: %v, %+v", err, b.Stats())
			}
			got, _ := drainAll(t, b)
			if _, ok := got[names[0]]; !ok || len(got) < 125 {
				t.Errorf("%d batches were to be had from a read-only disk, want the 124 of the store and the new one", len(got))
			}
			if err := syscall.Mount("obu-test", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
				t.Fatal(err)
			}
			now = now.Add(time.Hour)
			again, _ := drainAll(t, b)
			for n := range again {
				if _, twice := got[n]; twice {
					t.Errorf("%v was acknowledged and came again", n)
				}
			}
			if b.Stats().Volatile || len(asideIn(dir)) != 0 {
				t.Errorf("stats %+v, aside %v", b.Stats(), asideIn(dir))
			}
			if _, err := b.CommitChunk("new", telemetry.Chunk{Clip: telemetry.ClipID{8}, Data: clipBytes(8, 0)}); err != nil {
				t.Errorf("chunk: %v", err)
			}
		})
	}
}

// TestTroubleAtStartForgetsNothing: a store that cannot be read when the agent
// starts keeps its Gap rows, chunks and executed commands once it can.
func TestTroubleAtStartForgetsNothing(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Store: telemetry.StoreID{5}, FromSeq: 3, ToSeq: 9, Count: 7, Reason: telemetry.ReasonEvicted})
	if err := b.Record("ping-1", []byte("pong"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.CommitChunk("k", telemetry.Chunk{Clip: telemetry.ClipID{8}, Data: clipBytes(8, 0)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	b.Crash()
	now, trouble := telemetry.At(time.Hour), error(syscall.EIO)
	b = open(t, dir, func(o *buffer.Options) {
		o.Now = func() telemetry.At { return now }
		buffer.Break(o, buffer.Faults{BeforeOpen: func(string) error { return trouble }})
	})
	defer b.Close()
	b.Lost(telemetry.Gap{Class: telemetry.ClassHealth, Count: 1, Reason: telemetry.ReasonDecode})
	if _, err := b.Commit(nil); err != nil || !b.Stats().Volatile {
		t.Fatalf("commit: %v, %+v", err, b.Stats())
	}
	if err := b.Record("ping-2", []byte("pong"), time.Time{}); !errors.Is(err, buffer.ErrDiskFailed) {
		t.Fatal(err)
	}
	now, trouble = now.Add(time.Hour), nil
	got, gaps := drainAll(t, b)
	if n := (telemetry.Name{Store: telemetry.StoreID{5}, Class: telemetry.ClassTelemetry, Seq: 4}); b.Stats().Volatile || !coveredBy(gaps, n) {
		t.Errorf("the row of the store is gone: %+v", gaps)
	}
	reasons := map[telemetry.Reason]bool{}
	for _, g := range gaps {
		reasons[g.Reason] = true
	}
	if !reasons[telemetry.ReasonDecode] || !reasons[telemetry.ReasonUncleanStart] {
		t.Errorf("gaps %+v", gaps)
	}
	media := 0
	for n := range got {
		if n.Class == telemetry.ClassMedia {
			media++
		}
	}
	if media != 1 {
		t.Error("media.db does not drain")
	}
	for _, id := range []string{"ping-1", "ping-2"} {
		if _, ok := b.Executed(id); !ok {
			t.Errorf("%s would be executed again", id)
		}
	}
}

// TestRestoredDisk: files put back from a backup on the same board have seen
// less than the unit has sent since. No name of theirs is given again.
func TestRestoredDisk(t *testing.T) {
	dir, backup := t.TempDir(), filled(t, true)
	if err := os.CopyFS(dir, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	given := map[telemetry.Name]int{}
	commit := func(b *buffer.Buffer, id int) {
		t.Helper()
		names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(id)}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := b.CommitChunk("after", telemetry.Chunk{Clip: telemetry.ClipID{byte(id)}, Data: clipBytes(uint64(id), 0)})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range append(names, m) {
			if was, twice := given[n]; twice {
				t.Errorf("%v stands for %d and %d", n, was, id)
			}
			given[n] = id
		}
	}
	for id := range 3 {
		b := open(t, dir)
		commit(b, id)
		if streams := len(b.Streams()); id > 0 && streams > 6 {
			t.Errorf("an ordinary restart began a new store: %+v", b.Streams())
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if id == 1 { // both at once: the backup's files get inodes of their own
			restored := dir + "-restored"
			if err := os.CopyFS(restored, os.DirFS(backup)); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(restored, dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestListOfTheSetAsideIsDurableFirst: a power cut must not leave a file set
// aside that nobody knows of.
func TestListOfTheSetAsideIsDurableFirst(t *testing.T) {
	dir := filled(t, false)
	must(t, os.WriteFile(filepath.Join(dir, "telemetry.db"), make([]byte, 8192), 0o600))
	durable := false
	b := open(t, dir, func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{BeforeNames: func() error {
			_, err := os.Stat(filepath.Join(dir, "salvage.json"))
			durable = durable || err == nil && len(asideIn(dir)) == 0
			return nil
		}})
	})
	defer b.Close()
	if len(asideIn(dir)) == 0 {
		t.Fatal("nothing was set aside")
	}
	if !durable {
		t.Error("a file was set aside before its place on the list was durable")
	}
}
