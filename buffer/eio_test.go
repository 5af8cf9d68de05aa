//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/buffer/crashdisk/baddisk"
	"obu/telemetry"
)

// badDiskChild serves the directory in the last argument but one at the last.
func badDiskChild() {
	if err := baddisk.Serve(os.Args[len(os.Args)-2], os.Args[len(os.Args)-1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// newBadDisk mounts a disk that fails on request, until the test is over.
func newBadDisk(t *testing.T) *baddisk.Disk {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil || os.Getuid() != 0 {
		t.Skip("skipped: a disk that reports errors needs root and /dev/fuse")
	}
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0], t.TempDir(), dir)
	cmd.Env = append(os.Environ(), childMode+"="+childBadDisk, "GORACE=atexit_sleep_ms=0")
	d, err := baddisk.Mount(dir, cmd)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

const (
	eioPage     = 4096
	worstSector = 20 // batches that may lie in one page
)

func badPage(t *testing.T, d *baddisk.Disk, path string, page int64) {
	t.Helper()
	file, err := filepath.Rel(d.Dir(), path)
	must(t, err)
	must(t, d.Fail(baddisk.Faults{Reads: []baddisk.Range{{File: file, From: page * eioPage, To: page*eioPage + 1}}}))
}

// somePages are the two roots and a sample of the other pages of a file.
func somePages(t *testing.T, path string, n int64) []int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	last := info.Size() / eioPage
	out := []int64{0, 1}
	for i := int64(0); i < n; i++ {
		out = append(out, 2+i*(last-2)/n)
	}
	return out
}

// TestSectorUnreadableAtStart: the start goes on without what lies in a sector
// that cannot be read, whichever it is: the rest of the store is delivered, and
// what is missing is listed.
func TestSectorUnreadableAtStart(t *testing.T) {
	d := newBadDisk(t)
	for _, file := range []string{"telemetry.db", "media.db"} {
		sound := filepath.Join(d.Dir(), "sound-"+file)
		r := newRotRig(t, sound)
		must(t, r.b.Close())
		for _, page := range somePages(t, filepath.Join(sound, file), 8) {
			t.Run(fmt.Sprintf("%s page %d", file, page), func(t *testing.T) {
				s := &rotRig{t: t, dir: filepath.Join(d.Dir(), fmt.Sprintf("%s-%d", file, page)), now: r.now, held: map[telemetry.Name]bool{}}
				must(t, os.CopyFS(s.dir, os.DirFS(sound)))
				for n := range r.held {
					s.held[n] = true
				}
				badPage(t, d, filepath.Join(s.dir, file), page)
				within(t, "Open", s.open)
				came, lost := 0, 0
				within(t, "the drain", func() { came, lost = s.drain() })
				within(t, "Close", func() { must(t, s.b.Close()) })
				must(t, d.Fail(baddisk.Faults{}))
				t.Logf("%d came, %d are listed as lost", came, lost)
				if came < 60 || lost > worstSector {
					t.Error("live data did not go on, or one sector cost more than lay in it")
				}
			})
		}
	}
	if f, err := d.Failed(); err != nil || f.Reads == 0 {
		t.Errorf("the disk failed nothing: %+v, %v", f, err)
	}
}

// TestSectorDiesWhileRunning: a sector that cannot be read any more is SIGBUS
// for whoever reads it through the memory map. Whatever touches it first, every
// call returns, data goes on, acknowledgements count, and what is gone is listed.
func TestSectorDiesWhileRunning(t *testing.T) {
	d := newBadDisk(t)
	for _, file := range []string{"telemetry.db", "media.db"} {
		for _, first := range []string{"Read", "Commit", "CommitChunk"} {
			for i := range 6 {
				t.Run(fmt.Sprintf("%s, %s, page %d", file, first, i), func(t *testing.T) {
					r := newRotRig(t, filepath.Join(d.Dir(), fmt.Sprintf("%s-%s-%d", file, first, i)))
					page := somePages(t, filepath.Join(r.dir, file), 4)[i]
					badPage(t, d, filepath.Join(r.dir, file), page)
					calls := r.calls()
					within(t, first, calls[first])
					for what, call := range calls {
						if what != first {
							within(t, what, call)
						}
					}
					came, lost := 0, 0
					within(t, "the drain", func() { came, lost = r.drain() })
					within(t, "Close", func() { must(t, r.b.Close()) })
					must(t, d.Fail(baddisk.Faults{}))
					t.Logf("page %d: %d came, %d are listed as lost", page, came, lost)
					if came < 60 || lost > worstSector {
						t.Error("live data did not go on, or one sector cost more than lay in it")
					}
				})
			}
		}
	}
	if f, err := d.Failed(); err != nil || f.Reads == 0 {
		t.Errorf("the disk failed nothing: %+v, %v", f, err)
	}
}

// out is a card out of contact, worn one that takes no data and has lost all but
// the first pages of each file.
var (
	nothing = []string{baddisk.All}
	out     = baddisk.Faults{Writes: nothing, Syncs: nothing, Reads: []baddisk.Range{{File: baddisk.All}}}
	worn    = baddisk.Faults{Writes: nothing, Syncs: nothing, Reads: []baddisk.Range{{File: baddisk.All, From: 2 * eioPage}}}
)

// diesWithin are the moments of a commit in which that happens.
var diesWithin = map[string]baddisk.Faults{
	"before the pages":       out,
	"at the pages":           {Writes: nothing, Then: &out},
	"at the sync":            {Syncs: nothing, Then: &out},
	"worn, before the pages": worn,
	"worn, at the pages":     {Writes: nothing, Then: &worn},
	"worn, at the sync":      {Syncs: nothing, Then: &worn},
	"worn, at the root":      {Synced: &worn},
	"worn, after the root":   {Synced: &baddisk.Faults{Synced: &worn}},
	"full":                   {Writes: nothing, Full: true},
	"full, then worn":        {Writes: nothing, Full: true, Then: &worn},
}

// TestDiskDiesWithinCommit: a card that takes no data and gives none, from the
// middle of a transaction on, does not end the process: data goes on from
// memory, and once the card is back, in contact again, all is there that was.
func TestDiskDiesWithinCommit(t *testing.T) {
	const lifeEnv = "OBU_EIO_LIFE"
	for _, file := range []string{"telemetry.db", "media.db"} {
		for how, faults := range diesWithin {
			t.Run(file+" "+how, func(t *testing.T) {
				if dir := os.Getenv(lifeEnv); dir != "" {
					dieWithinCommit(t, dir, file, faults)
					return
				}
				d := newBadDisk(t)
				cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^TestDiskDiesWithinCommit$/^"+strings.ReplaceAll(t.Name()[len("TestDiskDiesWithinCommit/"):], " ", "_")+"$")
				cmd.Env = append(os.Environ(), lifeEnv+"="+d.Dir(), "GORACE=atexit_sleep_ms=0")
				if said, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("the process ended: %v\n%s", err, said)
				}
				if f, err := d.Failed(); err != nil || f.Syncs+f.Writes == 0 {
					t.Errorf("the disk failed nothing: %+v, %v", f, err)
				}
			})
		}
	}
}

// dieWithinCommit is the life of the process that must not end.
func dieWithinCommit(t *testing.T, dir, file string, faults baddisk.Faults) {
	d, armed := baddisk.At(dir), false
	r := &rotRig{t: t, dir: filepath.Join(dir, "buffer"), now: telemetry.At(time.Hour), held: map[telemetry.Name]bool{}}
	r.opts = func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{BeforeCommit: func(f string) error {
			if f == file && armed {
				armed = false
				must(t, d.Fail(faults))
			}
			return nil
		}})
	}
	r.open()
	r.fill()
	armed = true
	calls := r.calls()
	within(t, "Commit", calls["Commit"])
	within(t, "CommitChunk", calls["CommitChunk"])
	if armed {
		t.Fatal("no transaction was made")
	}
	for range 100 {
		for what, call := range calls {
			within(t, what, call)
		}
	}
	if st := r.b.Stats(); !st.Volatile {
		t.Errorf("a dead disk was not noticed: %+v", st)
	}
	must(t, d.Fail(baddisk.Faults{}))
	r.now = r.now.Add(2 * time.Minute) // past the back-off
	within(t, "the drain", func() {
		if came, lost := r.drain(); came < 150 || lost > 0 {
			t.Errorf("%d came, %d are listed as lost", came, lost)
		}
	})
	within(t, "Close", func() { must(t, r.b.Close()) })
}
