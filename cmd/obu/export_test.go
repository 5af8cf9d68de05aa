package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"obu/buffer"
)

// TestExportTellsWhatItHadToLeave: one of two files is no store any more. What
// the other holds is written and counted, and the command fails with the name
// of the first.
func TestExportTellsWhatItHadToLeave(t *testing.T) {
	t.Parallel()
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "out")
	fillStore(t, dir, 5, 3)
	if err := os.WriteFile(filepath.Join(dir, "telemetry.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := &bufferPlace{dir: dir, socket: filepath.Join(dir, "obu.sock")}
	var report bytes.Buffer
	err := bufferExport(t.Context(), p, out, &report)
	if !errors.Is(err, buffer.ErrDamaged) || !strings.Contains(err.Error(), "telemetry.db") {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(report.String(), "3 batches") {
		t.Errorf("the report is %q", report.String())
	}
	records, err := os.ReadFile(filepath.Join(out, recordsName))
	if err != nil || bytes.Count(records, []byte("\n")) != 3 {
		t.Errorf("%v, records:\n%s", err, records)
	}
	var list bytes.Buffer
	if err := bufferList(t.Context(), p, &list); !errors.Is(err, buffer.ErrDamaged) || strings.Count(list.String(), "\n") != 3 {
		t.Errorf("ls: %v\n%s", err, list.String())
	}
}

// TestExportOfNothing: of what is no store nothing is said to be exported.
func TestExportOfNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "telemetry.db.damaged-1")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	for range 2 { // the first leaves nothing that is in the way of the second
		var report bytes.Buffer
		err := bufferExport(t.Context(), &bufferPlace{dir: path}, out, &report)
		if !errors.Is(err, buffer.ErrDamaged) || report.Len() > 0 {
			t.Fatalf("%v, report %q", err, report.String())
		}
		if h := hint(err); !strings.Contains(h, "is a store file") {
			t.Errorf("the hint for a file that is no store is %q", h)
		}
	}
}

// TestStoreFileWhereAFolderIsWanted: a technician who names what was set aside is
// told the command that reads it.
func TestStoreFileWhereAFolderIsWanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fillStore(t, dir, 1, 1)
	path := filepath.Join(dir, "telemetry.db")
	err := (&bufferPlace{dir: path, socket: filepath.Join(dir, "none")}).there(t.Context())
	if err == nil || !strings.Contains(err.Error(), path+" is a file") || !strings.Contains(hint(err), "obu buffer export "+path) {
		t.Errorf("%v; hint %q", err, hint(err))
	}
}
