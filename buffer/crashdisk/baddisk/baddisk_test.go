//go:build linux && (amd64 || arm64)

package baddisk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

const childEnv = "OBU_BADDISK_BACKING"

func TestMain(m *testing.M) {
	if backing := os.Getenv(childEnv); backing != "" {
		if err := Serve(backing, os.Args[1], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func mounted(t *testing.T) (d *Disk, backing string) {
	t.Helper()
	backing, dir := t.TempDir(), t.TempDir()
	cmd := exec.Command(os.Args[0], dir)
	cmd.Env = append(os.Environ(), childEnv+"="+backing, "GORACE=atexit_sleep_ms=0")
	d, err := Mount(dir, cmd)
	if err != nil {
		t.Skipf("skipped: needs root and /dev/fuse: %v", err)
	}
	return d, backing
}

// touch reads a byte of a mapped file and reports whether it can be read.
func touch(b []byte, at int) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { ok = recover() == nil }()
	return b[at] != 0
}

// TestFails: what was read a moment before fails when it is told to, by a plain
// read and under a memory map, and what follows a refusal does so at once.
func TestFails(t *testing.T) {
	d, backing := mounted(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(d.Dir(), "f")
	must(os.WriteFile(path, make([]byte, 4*pageBytes), 0o600))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(err)
	m, err := unix.Mmap(int(f.Fd()), 0, 4*pageBytes, unix.PROT_READ, unix.MAP_SHARED)
	must(err)
	read := func(page int64) error { _, err := f.ReadAt(make([]byte, 1), page*pageBytes); return err }
	write := func() error { _, err := f.WriteAt(make([]byte, pageBytes), 0); return err }
	if read(1) != nil || !touch(m, pageBytes) || write() != nil || f.Sync() != nil {
		t.Fatal("a good disk fails")
	}
	bad := Faults{Reads: []Range{{File: "f", From: pageBytes, To: pageBytes + 512}}}
	must(d.Fail(bad))
	if !errors.Is(read(1), unix.EIO) || touch(m, pageBytes) {
		t.Error("a bad sector can be read")
	}
	if read(0) != nil || read(2) != nil || !touch(m, 0) || !touch(m, 2*pageBytes) || write() != nil {
		t.Error("its neighbours cannot be used")
	}
	must(d.Fail(Faults{Writes: []string{All}, Then: &bad}))
	if read(1) != nil || !errors.Is(write(), unix.EIO) || read(1) == nil || touch(m, pageBytes) {
		t.Error("a refused write is not followed by what was to follow")
	}
	must(d.Fail(Faults{Writes: []string{"f"}, Full: true, Syncs: []string{"f"}}))
	if !errors.Is(write(), unix.ENOSPC) || !errors.Is(f.Truncate(0), unix.ENOSPC) || !errors.Is(f.Sync(), unix.EIO) {
		t.Error("a full disk takes data")
	}
	must(d.Fail(Faults{Synced: &bad}))
	if read(1) != nil || f.Sync() != nil || read(1) == nil {
		t.Error("a sync is not followed by what was to follow")
	}
	must(d.Fail(Faults{}))
	if read(1) != nil || !touch(m, pageBytes) {
		t.Error("a mended disk cannot be read")
	}
	n, err := d.Failed()
	must(err)
	if n.Reads == 0 || n.Writes < 3 || n.Syncs != 1 {
		t.Errorf("%+v", n)
	}
	must(f.Close()) // the map keeps the mount busy
	must(d.Close())
	if _, err := os.Stat(filepath.Join(backing, "f")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still mounted: %v", err)
	}
	must(unix.Munmap(m))
}
