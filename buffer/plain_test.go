package buffer_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/buffer"
	"obu/telemetry"
)

// TestPipesStopNobody: a pipe or a folder with the name of one of the store's
// files is waited for by nobody. The buffer opens without what it cannot read,
// or says in whose place it stands.
func TestPipesStopNobody(t *testing.T) {
	makers := map[string]func(string) error{
		"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.MkdirAll(filepath.Join(path, "in use"), 0o700) },
	}
	for kind, mk := range makers {
		for name, opens := range map[string]bool{
			"boots.json": true, "pending.json": true, "session.json": kind == "pipe", // a pipe is replaced, a folder is left alone
			"session.json.new": false, "wipe.json": false, "telemetry.db": false, "media.db": false,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				path := filepath.Join(dir, name)
				if err := mk(path); err != nil {
					t.Fatal(err)
				}
				b, err := buffer.Open(t.Context(), buffer.Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1},
					Now: func() telemetry.At { return 1 }, Wall: func() time.Time { return someDay }})
				if (err == nil) != opens {
					t.Fatalf("opened: %t, want %t; %v", err == nil, opens, err)
				}
				if err != nil && (!strings.Contains(err.Error(), path) || name != "session.json.new" && !errors.Is(err, buffer.ErrNoFile)) {
					t.Errorf("the error does not say what stands where: %v", err)
				}
				if err == nil {
					if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(1)}}); err != nil {
						t.Error(err)
					}
					if err := b.Close(); err != nil {
						t.Error(err)
					}
				}
				r, err := buffer.Inspect(t.Context(), dir)
				if err != nil {
					t.Errorf("inspect: %v", err)
				}
				for _, f := range r.Files {
					if f.Path == path && !errors.Is(f.Err, buffer.ErrNoFile) {
						t.Errorf("inspect: %v", f.Err)
					}
				}
				_, _ = buffer.Export(t.Context(), dir, func(buffer.Batch) error { return nil })
				_, _ = buffer.Boots(dir)
			})
		}
	}
}

// TestPipeInPlaceOfAStoreInUse: while it is in use, telemetry.db is moved away
// and a pipe takes its name. Commits and Close come back, and what was committed
// is in memory or in the file that was moved.
func TestPipeInPlaceOfAStoreInUse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "telemetry.db")
	now := telemetry.At(1)
	b := open(t, dir, func(o *buffer.Options) { o.Now = func() telemetry.At { return now } })
	for i := range 300 {
		if i == 3 {
			if err := errors.Join(os.Rename(path, path+".moved"), unix.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: anchor(i)}}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	held := 0
	for _, s := range b.Streams() {
		held += s.Batches
	}
	if held < 300 {
		t.Errorf("%d batches held of 300", held)
	}
	_ = b.Close() // where it can store nothing it says so
}
