package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/internal/clock"
	"obu/telemetry"
)

// TestFullDiskLeavesNoLastGoodTime: what could not be written is not left
// behind, and the older time stays.
func TestFullDiskLeavesNoLastGoodTime(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "last-good-time")
	// A folder that is not empty in its place fails the rename, as a full disk
	// fails the write before it.
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := clock.Virtual(keepLastGood(dir)...)
	fixes(c)
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	// A disk that is full: /dev/full takes no byte.
	if err := os.Symlink("/dev/full", path+".new"); err != nil {
		t.Fatal(err)
	}
	c = clock.Virtual(keepLastGood(dir)...)
	fixes(c)
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("left behind: %v", files)
	}
	c = clock.Virtual(keepLastGood(dir)...)
	fixes(c)
	text, err := os.ReadFile(path)
	if _, bad := time.Parse(time.RFC3339, strings.TrimSpace(string(text))); err != nil || bad != nil {
		t.Errorf("kept %q, %v, %v", text, err, bad)
	}
}

// fixes shows a clock a receiver until it is anchored.
func fixes(c *clock.Clock) {
	for i := range 4 {
		f := telemetry.NoFix()
		f.At, f.Valid, f.Mode, f.Receiver = telemetry.At(i)*telemetry.At(time.Second), true, telemetry.Mode3D, "gps"
		f.UTC = time.Date(2026, 6, 1, 12, 0, i, 0, time.UTC)
		c.Observe(f)
	}
}

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
