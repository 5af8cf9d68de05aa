package buffer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"obu/telemetry"
)

// TestExport: a sound store gives what it holds and nothing else, a damaged
// file what is left in it and a list of the rest.
func TestExport(t *testing.T) {
	w := wear(t, 21, true)
	export := func(path string) (map[telemetry.Name]bool, []telemetry.Gap) {
		t.Helper()
		came := map[telemetry.Name]bool{}
		gaps, err := Export(t.Context(), path, func(b Batch) error {
			if came[b.Name] || w.given[b.Name] != nil && !bytes.Equal(w.given[b.Name], b.Blob) {
				t.Errorf("%v came twice or changed", b.Name)
			}
			came[b.Name] = true
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return came, gaps
	}
	came, gaps := export(w.dir)
	want := map[telemetry.Name]bool{}
	if err := Each(t.Context(), w.dir, func(b Batch) error { want[b.Name] = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(came) != len(want) || len(want) < len(w.held) || len(gaps) != 0 {
		t.Errorf("%d batches of %d came, gaps %v", len(came), len(want), gaps)
	}
	raw, err := os.ReadFile(filepath.Join(w.dir, "telemetry.db"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "telemetry.db.damaged-1")
	for page := 2; page < len(raw)/4096; page++ {
		img := bytes.Clone(raw)
		clear(img[page*4096 : page*4096+2048])
		if err := os.WriteFile(path, img, 0o600); err != nil {
			t.Fatal(err)
		}
		came, gaps := export(path)
		for n := range w.held {
			listed := false
			for _, g := range gaps {
				listed = listed || g.Covers(n)
			}
			if n.Class != telemetry.ClassMedia && !came[n] && !listed {
				t.Fatalf("page %d: %v neither came nor is listed", page, n)
			}
		}
	}
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(context.Background(), path, func(Batch) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file that is no store: %v", err)
	}
}

// TestExportOfAShortRun: classes of which nothing was ever stored are not missing.
func TestExportOfAShortRun(t *testing.T) {
	dir, now := t.TempDir(), telemetry.At(1e9)
	b, err := Open(t.Context(), Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }})
	if err != nil {
		t.Fatal(err)
	}
	anchor := telemetry.Anchor{Boot: telemetry.BootID{1}, At: now, By: telemetry.AnchorRTC}
	if _, err := b.Commit([]Entry{{Class: telemetry.ClassEvent, Content: telemetry.Content{Anchors: []telemetry.Anchor{anchor}}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	if gaps, err := Export(t.Context(), dir, func(Batch) error { n++; return nil }); err != nil || n != 1 || len(gaps) != 0 {
		t.Errorf("%d batches, missing %v, %v", n, gaps, err)
	}
}
