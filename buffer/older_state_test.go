package buffer

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// TestOlderStateCountsNothing: the newest state is spoiled, so that of the
// transaction before it is read, which knows of one batch less; a batch is
// spoiled too. What the newer root shows is then as many as the older state
// counts, and still one is missing.
func TestOlderStateCountsNothing(t *testing.T) {
	dir := t.TempDir()
	now := telemetry.At(time.Hour)
	o := Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var names []telemetry.Name
	for range 40 {
		now = now.Add(time.Second)
		n, err := b.Commit([]Entry{{Class: telemetry.ClassHealth, Content: telemetry.Content{Anchors: []telemetry.Anchor{{At: now, By: telemetry.AnchorNTP}}}}})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n...)
	}
	lost := names[34]
	got, err := b.Read(lost.Store, lost.Class, lost.Seq, 1)
	if err != nil || len(got) != 1 {
		t.Fatalf("read %v: %d, %v", lost, len(got), err)
	}
	spoil := [][]byte{got[0].Blob}
	if err := b.tele.view(func(tx *bbolt.Tx) error {
		spoil = append(spoil, bytes.Clone(tx.Bucket(bucketMain).Get(keyState)))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	b.Crash()
	path := filepath.Join(dir, "telemetry.db")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, what := range spoil {
		n := 0
		for at := bytes.Index(raw, what); at >= 0; at = bytes.Index(raw, what) { // copies on pages of before, too
			raw[at+len(what)/2] ^= 4
			n++
		}
		if n == 0 {
			t.Fatal("what is to be spoiled is not in the file")
		}
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 10 {
		now = now.Add(time.Second)
		if _, err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	listed := map[telemetry.Name]bool{}
	for _, r := range b.gaps.sorted() {
		for _, n := range names {
			listed[n] = listed[n] || r.Covers(n)
		}
	}
	for _, n := range names {
		got, err := b.Read(n.Store, n.Class, n.Seq, 1)
		held := err == nil && len(got) == 1 && got[0].Name == n
		if held == (n == lost) || held == listed[n] {
			t.Errorf("%v: held %v, listed %v (%v)", n, held, listed[n], err)
		}
	}
}
