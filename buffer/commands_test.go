package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"obu/buffer"
	"obu/telemetry"
)

// breakable has every opening and commit fail while *broken is set, and moves
// the clock with now.
func breakable(broken *bool, now *telemetry.At) func(*buffer.Options) {
	fails := func(string) error {
		if *broken {
			return syscall.EIO
		}
		return nil
	}
	return func(o *buffer.Options) {
		o.Now = func() telemetry.At { return *now }
		buffer.Break(o, buffer.Faults{BeforeOpen: fails, BeforeCommit: fails})
	}
}

// knows fails the test for every command that is not remembered with its reply.
func knows(t *testing.T, b *buffer.Buffer, when string, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if reply, ok := b.Executed(id); !ok || string(reply) != "ok "+id {
			t.Errorf("%s: command %s is known %v with reply %q", when, id, ok, reply)
		}
	}
}

// Commands of a run that began on a dead disk are remembered beside those of
// the file, and take none of them away.
func TestCommandsOfALateDiskAreRemembered(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	before, during := []string{"a", "b", "c"}, []string{"x", "y", "z", "a"} // a is ordered again
	for _, id := range before {
		must(t, b.Record(id, []byte("ok "+id), time.Time{}))
	}
	must(t, b.Close())

	broken, now := true, telemetry.At(time.Hour)
	b = open(t, dir, breakable(&broken, &now))
	for _, id := range during {
		for _, reply := range [][]byte{nil, []byte("ok " + id)} {
			if err := b.Record(id, reply, time.Time{}); !errors.Is(err, buffer.ErrDiskFailed) {
				t.Fatalf("record on a dead disk: %v", err)
			}
		}
	}
	broken = false
	now = now.Add(2 * time.Minute)
	_, err := b.Commit(nil)
	must(t, err)
	must(t, b.Record("late", []byte("ok late"), time.Time{}))
	all := append(append(before, during...), "late")
	knows(t, b, "with the disk back", all...)
	must(t, b.Close())

	b = open(t, dir)
	defer b.Close()
	knows(t, b, "after a restart", all...)
}

// A command that began before the disk failed and ended while it did is known
// with its reply, even if the power goes before another one is recorded.
func TestCommandEndsWhileTheDiskFails(t *testing.T) {
	dir := t.TempDir()
	broken, now := false, telemetry.At(time.Hour)
	b := open(t, dir, breakable(&broken, &now))
	must(t, b.Record("a", nil, time.Time{}))
	broken = true
	if err := b.Record("a", []byte("ok a"), time.Time{}); !errors.Is(err, buffer.ErrDiskFailed) {
		t.Fatalf("record on a dead disk: %v", err)
	}
	broken = false
	now = now.Add(2 * time.Minute)
	_, err := b.Commit(nil)
	must(t, err)
	b.Crash()

	b = open(t, dir)
	knows(t, b, "after a crash", "a")
	must(t, b.Record("b", []byte("ok b"), time.Time{}))
	must(t, b.Close())
	b = open(t, dir)
	defer b.Close()
	knows(t, b, "after a restart", "a", "b")
}

// The commands of a store set aside take no place of those in the store that
// took its turn: what these became later is what is known.
func TestCommandsOfAStoreSetAsideTakeNoOthersPlace(t *testing.T) {
	newer, dir := t.TempDir(), t.TempDir()
	b := open(t, newer)
	for _, id := range []string{"n1", "n2", "n3"} {
		must(t, b.Record(id, []byte("ok "+id), time.Time{}))
	}
	must(t, b.Close())
	b = open(t, dir)
	for range 6 { // again and again: the orders before its last are free
		must(t, b.Record("o", []byte("ok o"), time.Time{}))
	}
	must(t, b.Record("a", nil, time.Time{})) // begun
	must(t, b.Close())
	must(t, os.Rename(filepath.Join(newer, "telemetry.db"), filepath.Join(dir, "telemetry.db.newer-1")))

	b = open(t, dir)
	must(t, b.Record("a", []byte("ok a"), time.Time{}))
	must(t, b.Close())
	b = open(t, dir)
	defer b.Close()
	knows(t, b, "after a restart", "a", "o", "n1", "n2", "n3")
}

// A command that comes when the file is at its bound has the oldest data make
// room, as a batch has: it retires no store.
func TestCommandInAFullFile(t *testing.T) {
	full := false
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		o.TelemetryQuota = 256 << 10
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if full {
				full = false
				return berrors.ErrMaxSizeReached
			}
			return nil
		}})
	})
	defer b.Close()
	for i := range 100 {
		_, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: padded(i, 900)}})
		must(t, err)
	}
	stores := b.Stores()
	full = true
	if err := b.Record("a", []byte("ok a"), time.Time{}); err != nil {
		t.Errorf("record in a full file: %v", err)
	}
	if b.Stats().Evicted == 0 {
		t.Error("nothing made room")
	}
	if s := b.Stores(); b.Stats().Volatile || !slices.Equal(s, stores) {
		t.Errorf("the store was retired: %v, was %v", s, stores)
	}
	knows(t, b, "in a full file", "a")
}
