package buffer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"obu/telemetry"
)

// exported returns the batches an export gives, and its error.
func exported(t *testing.T, path string) (map[telemetry.Name]bool, error) {
	t.Helper()
	came := map[telemetry.Name]bool{}
	_, err := Export(t.Context(), path, func(b Batch) error { came[b.Name] = true; return nil })
	return came, err
}

func (w *wornStore) copyTo(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "telemetry.db" {
			clear(raw[:2*pageSize]) // both roots
		}
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestExportWithoutARoot: when both roots are gone every batch lies where no
// tree leads to, and every one of them comes, as the agent would move it back:
// beside the session file that names the stores, and of a file all alone.
func TestExportWithoutARoot(t *testing.T) {
	w := wear(t, 8, true)
	for _, beside := range [][]string{{sessionName}, nil} {
		dir := t.TempDir()
		w.copyTo(t, dir, append(beside, "telemetry.db")...)
		for _, path := range []string{dir, filepath.Join(dir, "telemetry.db")} {
			came, err := exported(t, path)
			if err != nil {
				t.Fatal(err)
			}
			for n := range w.held {
				if n.Class != telemetry.ClassMedia && !came[n] {
					t.Fatalf("%v, beside %v: %d batches came, not %v", path, beside, len(came), n)
				}
			}
		}
	}
}

// TestExportOfWhatIsSetAside: the agent was stopped before it had moved back
// what it had set aside.
func TestExportOfWhatIsSetAside(t *testing.T) {
	w := wear(t, 9, true)
	dir := t.TempDir()
	w.copyTo(t, dir, sessionName, "telemetry.db", "media.db")
	b, err := Open(t.Context(), Options{Dir: dir, Unit: "sim-1", Now: func() telemetry.At { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	b.Crash()
	came, err := exported(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	for n := range w.held {
		if !came[n] {
			t.Fatalf("%d batches of %d came, not %v", len(came), len(w.held), n)
		}
	}
}

// TestExportGoesOnWithTheSoundFile: of two files one is no store any more. What
// the other holds comes all the same, and the first is named.
func TestExportGoesOnWithTheSoundFile(t *testing.T) {
	w := wear(t, 10, true)
	for _, content := range []string{"", "this is not what bbolt wrote"} {
		dir := t.TempDir()
		w.copyTo(t, dir, "media.db")
		if err := os.WriteFile(filepath.Join(dir, "telemetry.db"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		came, err := exported(t, dir)
		listed := map[telemetry.Name]bool{}
		eachErr := Each(t.Context(), dir, func(b Batch) error { listed[b.Name] = true; return nil })
		if !errors.Is(err, ErrDamaged) || !errors.Is(eachErr, ErrDamaged) {
			t.Errorf("the damage is not told: %v; %v", err, eachErr)
		}
		for n := range w.held {
			if n.Class == telemetry.ClassMedia && (!came[n] || !listed[n]) {
				t.Fatalf("%v: exported %v, listed %v", n, came[n], listed[n])
			}
		}
	}
}

// TestExportStopsWhenItCannotWrite: the first error of the one who writes ends
// it, in whichever file that is.
func TestExportStopsWhenItCannotWrite(t *testing.T) {
	w := wear(t, 11, true)
	full := errors.New("disk full")
	for _, pass := range []func(func(Batch) error) error{
		func(fn func(Batch) error) error { _, err := Export(t.Context(), w.dir, fn); return err },
		func(fn func(Batch) error) error { return Each(t.Context(), w.dir, fn) },
	} {
		n := 0
		if err := pass(func(Batch) error { n++; return full }); !errors.Is(err, full) || n != 1 {
			t.Errorf("called %d times, returned %v", n, err)
		}
	}
}
