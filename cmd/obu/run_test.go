package main

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPlainUnitOfAnyFile: the unit a broken file names is found whatever else is
// wrong with it, and a pipe is not waited for.
func TestPlainUnitOfAnyFile(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, []byte("vehicle: \"\xff\x00\nunit: unit-0007\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe.yaml")
	if err := unix.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	if a, b := plainUnit(bad), plainUnit(pipe); a != "unit-0007" || b != "" {
		t.Errorf("named %q and %q", a, b)
	}
}
