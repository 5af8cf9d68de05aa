package buffer_test

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// TestWipeIsOrderedWhenItsNameIsDurable: a power cut must not undo what Wipe has
// promised, and what it refused must not happen later.
func TestWipeIsOrderedWhenItsNameIsDurable(t *testing.T) {
	dir := t.TempDir()
	fail := false
	b := open(t, dir, func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{BeforeNames: func() error {
			if fail {
				return syscall.EIO
			}
			return nil
		}})
	})
	fail = true
	if err := b.Wipe("wipe-1", nil, time.Time{}); !errors.Is(err, syscall.EIO) {
		t.Errorf("ordered on a directory that is not synced: %v", err)
	}
	fail = false
	must(t, b.Close())
	b = open(t, dir)
	defer b.Close()
	if b.Wiped() {
		t.Error("a wipe that was refused was carried out")
	}
}

// TestSecondWipe: what a run took over from a wipe ends that wipe, and no later
// one, whatever the disk does in between.
func TestSecondWipe(t *testing.T) {
	for _, early := range []bool{false, true} {
		t.Run(fmt.Sprintf("first of a dead disk %v", early), func(t *testing.T) {
			dir := t.TempDir()
			b := open(t, dir)
			must(t, b.Wipe("wipe-1", []byte("done"), time.Time{}))
			must(t, b.Close())
			broken, now := early, telemetry.At(time.Hour)
			b = open(t, dir, breakable(&broken, &now))
			if !b.Wiped() {
				t.Fatal("not wiped")
			}
			for range 2 {
				_, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(1)}})
				must(t, err)
				broken = true
			}
			if !b.Stats().Volatile {
				t.Fatal("the disk does not fail")
			}
			broken = false
			old := b.Stores()
			must(t, b.Wipe("wipe-2", []byte("done"), time.Time{}))
			must(t, b.Close())
			b = open(t, dir)
			defer b.Close()
			if _, ok := b.Executed("wipe-2"); !b.Wiped() || !ok {
				t.Error("the second wipe was not carried out")
			}
			for _, id := range b.Stores() {
				if slices.Contains(old, id) {
					t.Errorf("store %s is still there", id)
				}
			}
		})
	}
}

// TestWipedCountsWhatWasEvicted: what was lost before the wipe and not told yet
// counts with the rest.
func TestWipedCountsWhatWasEvicted(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir, func(o *buffer.Options) { o.TelemetryQuota = 256 << 10 })
	total, store := int64(0), telemetry.StoreID{}
	for i := 0; b.Stats().Evicted == 0; i++ {
		c := padded(i, 900)
		names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: c}})
		must(t, err)
		total, store = total+int64(c.Values()), names[0].Store
	}
	must(t, b.Wipe("wipe-1", nil, time.Time{}))
	must(t, b.Close())
	b = open(t, dir)
	defer b.Close()
	_, gaps := drainAll(t, b)
	i := slices.IndexFunc(gaps, func(g telemetry.Gap) bool { return g.Class == telemetry.ClassTelemetry && g.Store == store })
	if i < 0 || gaps[i].Count != total {
		t.Errorf("%d values are wiped, listed are %+v", total, gaps)
	}
}
