package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// TestReturnWithoutSession: the disk takes batches again but not the session
// file. Either all of the return happens or none of it: a store id that is on
// disk must not go on in memory, where its names would end with the process.
func TestReturnWithoutSession(t *testing.T) {
	dir := t.TempDir()
	now, full := telemetry.At(time.Hour), true
	edit := func(o *buffer.Options) {
		o.Now = func() telemetry.At { return now }
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if full {
				return syscall.ENOSPC
			}
			return nil
		}})
	}
	full = false
	b := open(t, dir, edit)
	given := map[telemetry.Name]int{}
	id := 0
	commit := func() {
		t.Helper()
		id++
		now = now.Add(time.Minute)
		names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(id)}, {Class: telemetry.ClassEvent, Content: numbered(id)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if was, twice := given[n]; twice {
				t.Errorf("%v stands for %d and for %d", n, was, id)
			}
			given[n] = id
		}
	}
	commit()
	full = true
	commit()
	full = false
	blocked := filepath.Join(dir, "session.json.new") // a folder: the session file cannot be written
	if err := os.Mkdir(blocked, 0o700); err != nil {
		t.Fatal(err)
	}
	b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Count: 1, Reason: telemetry.ReasonDecode})
	for range 3 {
		commit()
	}
	b.Crash()
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	b = open(t, dir, edit)
	for range 3 {
		commit()
	}
	got, _ := drainAll(t, b)
	for n, batch := range got {
		if want := given[n]; want != 0 && contentID(batch.Content) != want {
			t.Errorf("%v was given to %d and holds %d", n, want, contentID(batch.Content))
		}
	}
	b.Close()
}

// TestAckWhileReturningToDisk acknowledges volatile batches while they move to
// the disk: no race, and what was acknowledged does not come again.
func TestAckWhileReturningToDisk(t *testing.T) {
	now, full := telemetry.At(time.Hour), false
	var b *buffer.Buffer
	var acks sync.WaitGroup
	var names []telemetry.Name
	moving := false
	b = open(t, t.TempDir(), func(o *buffer.Options) {
		o.Now = func() telemetry.At { return now }
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if full {
				return syscall.ENOSPC
			}
			if moving {
				acks.Wait() // all of it happens within the transaction
			}
			return nil
		}})
	})
	defer b.Close()
	full = true
	for i := range 2000 {
		n, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(i + 1)}})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n...)
	}
	if !b.Stats().Volatile {
		t.Fatal("not volatile")
	}
	full, moving = false, true
	now = now.Add(time.Hour)
	acks.Go(func() {
		for _, n := range names[:1900] { // slowly enough to meet every step of the move
			b.Ack(n)
			time.Sleep(20 * time.Microsecond)
		}
	})
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	moving = false
	if b.Stats().Volatile {
		t.Fatal("did not go back to the disk")
	}
	got, gaps := drainAll(t, b)
	for _, n := range names[:1900] {
		if _, again := got[n]; again {
			t.Fatalf("%v was acknowledged and came again", n)
		}
	}
	for _, n := range names[1900:] {
		if _, ok := got[n]; !ok {
			t.Fatalf("%v is gone, gaps %v", n, gaps)
		}
	}
	if left := b.Streams(); len(left) > 3 {
		t.Errorf("streams %+v", left)
	}
}

// TestLongFailureIsBounded: what is acknowledged while the disk fails leaves
// nothing behind in memory.
func TestLongFailureIsBounded(t *testing.T) {
	full := false
	b := open(t, t.TempDir(), func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if full {
				return syscall.ENOSPC
			}
			return nil
		}})
		o.Now = func() telemetry.At { return 1 }
	})
	defer b.Close()
	full = true
	for i := range 1000 {
		n, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(i + 1)}})
		if err != nil {
			t.Fatal(err)
		}
		b.Ack(n...)
	}
	if n := b.Queued(); n > 1 {
		t.Errorf("%d acknowledgements are kept for batches that are nowhere on disk", n)
	}
}

// TestUncommittedEvictionIsNotTold: while the transaction that evicts waits
// for the disk, the evicted batches are still owed: a floor above them without
// the Gap would be a hole if the power fails now.
func TestUncommittedEvictionIsNotTold(t *testing.T) {
	var b *buffer.Buffer
	var floor, told uint64
	fail := false
	look := func() {
		for _, s := range b.Streams() {
			if s.Class == telemetry.ClassTelemetry && s.Current {
				told = s.Floor
			}
		}
	}
	b = open(t, t.TempDir(), func(o *buffer.Options) {
		o.TelemetryQuota = 64 << 10
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if b != nil {
				look()
			}
			if fail {
				return errors.New("the disk is gone")
			}
			return nil
		}})
	})
	defer b.Close()
	evicted := false
	for i := range 2000 {
		before := b.Stats().Evicted
		look()
		floor = told
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(i + 1)}}); err != nil {
			t.Fatal(err)
		}
		if floor != 0 && told != floor {
			t.Fatalf("commit %d: floor %d was told as %d before the commit", i, floor, told)
		}
		evicted = evicted || b.Stats().Evicted > before
	}
	if !evicted {
		t.Fatal("nothing was evicted")
	}
	look()
	if told < 2 {
		t.Errorf("floor %d after evictions", told)
	}
}

// TestUncleanGapBeginsWithTheLastFlush: a manifest or an executed command is
// stored between two flushes; what waits in memory then is not stored by it,
// and the interval listed after a power cut has to hold it.
func TestUncleanGapBeginsWithTheLastFlush(t *testing.T) {
	dir := t.TempDir()
	now := telemetry.At(time.Hour)
	edit := func(o *buffer.Options) { o.Now = func() telemetry.At { return now } }
	b := open(t, dir, edit)
	if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}}); err != nil {
		t.Fatal(err)
	}
	flush := now
	now = now.Add(700 * time.Millisecond)
	if err := b.Record("ping", nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if err := b.FinishClip("k", telemetry.Clip{ID: telemetry.ClipID{1}}); err != nil {
		t.Fatal(err)
	}
	b.Crash()
	now = telemetry.At(time.Second)
	b = open(t, dir, edit, func(o *buffer.Options) { o.Boot = telemetry.BootID{2} })
	defer b.Close()
	_, gaps := drainAll(t, b)
	found := false
	for _, g := range gaps {
		if g.Reason == telemetry.ReasonUncleanStart && g.Class == telemetry.ClassTelemetry {
			found = true
			if g.From > flush || g.To < flush.Add(time.Second) {
				t.Errorf("listed from %v to %v, the last flush was at %v", g.From, g.To, flush)
			}
		}
	}
	if !found {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestRefusedGapNamesItsTime: a batch of long ago is listed with the time and
// the boot it was stored in, not those of the refusal.
func TestRefusedGapNamesItsTime(t *testing.T) {
	now := telemetry.At(time.Hour)
	dir := t.TempDir()
	edit := func(o *buffer.Options) { o.Now = func() telemetry.At { return now } }
	b := open(t, dir, edit)
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}})
	if err != nil {
		t.Fatal(err)
	}
	stored := now
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	now = telemetry.At(time.Minute)
	b = open(t, dir, edit, func(o *buffer.Options) { o.Boot = telemetry.BootID{2} })
	defer b.Close()
	b.Refuse(names[0], telemetry.ReasonRefused)
	_, gaps := drainAll(t, b)
	if len(gaps) != 1 || gaps[0].Boot != (telemetry.BootID{1}) || gaps[0].From != stored || gaps[0].To != stored || gaps[0].Count != 1 {
		t.Errorf("gaps %+v", gaps)
	}
}
