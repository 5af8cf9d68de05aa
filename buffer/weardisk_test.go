package buffer_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// wearDisk is an ext4 of its own on a loop device of its own, so that every
// sector the device counts was written for the store.
type wearDisk struct {
	t   *testing.T
	dev string // "/dev/loop3"
	dir string // where it is mounted
	// journalEvery is how often the file system's journal is written by its
	// timer, in seconds: the mount option commit.
	journalEvery int
}

// newWearDisk makes an image, a loop device and a mount, and undoes them at
// the end of the test. The image lies in memory where it can: the sectors are
// counted above it, and nobody else's disk has to carry them.
func newWearDisk(t *testing.T, sizeBytes int64, options string) *wearDisk {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("skipped: needs root to mount a file system of its own")
	}
	for _, tool := range []string{"losetup", "mkfs.ext4"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("skipped: needs %s (packages util-linux, e2fsprogs)", tool)
		}
	}
	base, err := os.MkdirTemp(imageDir(), "obu-wear-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(base) })
	image, mount := filepath.Join(base, "image"), filepath.Join(base, "mount")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, sizeBytes); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	// No lazy initialisation: a kernel thread would write in between.
	run(t, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
	dev := strings.TrimSpace(run(t, "losetup", "--find", "--show", image))
	t.Cleanup(func() { run(t, "losetup", "-d", dev) })
	if err := unix.Mount(dev, mount, "ext4", unix.MS_NOATIME, options); err != nil {
		t.Skipf("skipped: cannot mount an ext4 on %s: %v", dev, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Errorf("unmount %s: %v", mount, err)
		}
	})
	every := 5
	if _, text, ok := strings.Cut(options, "commit="); ok {
		every = atoi(text)
	}
	return &wearDisk{t, dev, mount, every}
}

// imageDir is where images lie: in memory, else where tests put their files.
func imageDir() string {
	if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// written is what the device was given to write since it exists, in bytes,
// with nothing left in memory.
func (d *wearDisk) written() int64 {
	d.t.Helper()
	d.syncfs()
	text, err := os.ReadFile("/sys/block/" + filepath.Base(d.dev) + "/stat")
	if err != nil {
		d.t.Fatal(err)
	}
	const sectorsWritten, sector = 6, 512 // Documentation/block/stat.rst
	n, err := strconv.ParseInt(strings.Fields(string(text))[sectorsWritten], 10, 64)
	if err != nil {
		d.t.Fatal(err)
	}
	return n * sector
}

// syncfs writes everything that waits, in the way the kernel's write-back does.
func (d *wearDisk) syncfs() {
	d.t.Helper()
	h, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer h.Close()
	if err := unix.Syncfs(int(h.Fd())); err != nil {
		d.t.Fatal(err)
	}
}

// second lets the file system do what it does with time. A measurement runs
// faster than its clock: the journal's timer (5 s by default) and the write-back of what
// is dirty (30 s) are run by hand as often as they would have come by themselves.
func (d *wearDisk) second(i int, path string) {
	const writebackEvery = 30
	// A kernel's coarse clock does not tell commits apart that follow each other
	// within a tick; a look at the time stamp makes the next one its own.
	if _, err := os.Stat(path); err != nil {
		d.t.Fatal(err)
	}
	switch {
	case i%max(writebackEvery, d.journalEvery) == 0:
		d.syncfs()
	case i%d.journalEvery == 0:
		h, err := os.Open(path)
		if err != nil {
			d.t.Fatal(err)
		}
		defer h.Close()
		if err := h.Sync(); err != nil {
			d.t.Fatal(err)
		}
	}
}
