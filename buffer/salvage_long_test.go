package buffer

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/telemetry"
)

// TestSalvageGoesOnWhereNothingIs: a media store has lost both roots, and one
// step of its salvage reads as much as a step may without coming upon a batch.
// That is not the end of it: every chunk comes back.
func TestSalvageGoesOnWhereNothingIs(t *testing.T) {
	dir, now := t.TempDir(), telemetry.At(time.Hour)
	o := Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var names []telemetry.Name
	for i := range 24 { // three times what a step reads
		data := bytes.Repeat([]byte{byte(i), 3}, 128<<10)
		n, err := b.CommitChunk("cam/a", telemetry.Chunk{Clip: telemetry.ClipID{3}, Offset: int64(i * len(data)), Data: data})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n)
	}
	b.Crash()
	path := filepath.Join(dir, "media.db")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[30]++
	raw[pageSize+30]++
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 60 {
		now = now.Add(time.Second)
		if _, err := b.Commit([]Entry{{Class: telemetry.ClassHealth, Content: telemetry.Content{Anchors: []telemetry.Anchor{{At: now, By: telemetry.AnchorNTP}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if b.Stats().Salvaging != 0 {
		t.Fatal("the salvage does not end")
	}
	for _, n := range names {
		if got, err := b.Read(n.Store, n.Class, n.Seq, 1); err != nil || len(got) != 1 || got[0].Name != n {
			t.Errorf("%v did not come back: %v", n, err)
		}
	}
}
