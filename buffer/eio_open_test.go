//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/buffer/crashdisk/baddisk"
	"obu/telemetry"
)

// secondRoot is unreadable in every file: bbolt finds the page size in the first
// root by a plain read, and meets this one in the memory map.
var secondRoot = baddisk.Faults{Reads: []baddisk.Range{{File: baddisk.All, From: eioPage, To: 2 * eioPage}}}

// TestNewStoreUnreadable: a disk that takes a new store and does not give it
// back is a failing disk: the start goes on from memory, and once it can be read
// all is stored.
func TestNewStoreUnreadable(t *testing.T) {
	d, faults := newBadDisk(t), secondRoot
	for range 40 { // what was written is read from the disk after each sync
		next := faults
		faults = baddisk.Faults{Reads: secondRoot.Reads, Synced: &next}
	}
	must(t, d.Fail(faults))
	r := &rotRig{t: t, dir: filepath.Join(d.Dir(), "buffer"), now: telemetry.At(time.Hour), held: map[telemetry.Name]bool{}}
	r.open()
	calls := r.calls()
	for range 10 {
		within(t, "Commit", calls["Commit"])
		within(t, "CommitChunk", calls["CommitChunk"])
	}
	if st := r.b.Stats(); !st.Volatile || !st.MediaFailing {
		t.Errorf("not noticed: %+v", st)
	}
	if n := mapped(t, r.dir); n != 0 {
		t.Errorf("%d memory maps are left of files that cannot be used", n)
	}
	must(t, d.Fail(baddisk.Faults{}))
	r.now = r.now.Add(2 * time.Minute)
	r.fill()
	if came, lost := r.drain(); came < 170 || lost != 0 {
		t.Errorf("%d came, %d are listed as lost", came, lost)
	}
	must(t, r.b.Close())
}

// TestDiskDiesWithinCreate: a disk that goes away while a new store is made does
// not end the process, in whichever moment.
func TestDiskDiesWithinCreate(t *testing.T) {
	for moment := range 4 {
		t.Run(fmt.Sprintf("after %d syncs", moment), func(t *testing.T) {
			d, faults := newBadDisk(t), &out
			for range moment {
				faults = &baddisk.Faults{Synced: faults}
			}
			r := &rotRig{t: t, dir: filepath.Join(d.Dir(), "buffer"), now: telemetry.At(time.Hour), held: map[telemetry.Name]bool{}}
			r.opts = func(o *buffer.Options) {
				buffer.Break(o, buffer.Faults{NoDirSync: true})
			}
			must(t, os.Mkdir(r.dir, 0o700))
			must(t, d.Fail(*faults))
			within(t, "Open", r.open)
			calls := r.calls()
			within(t, "Commit", calls["Commit"])
			within(t, "CommitChunk", calls["CommitChunk"])
			must(t, d.Fail(baddisk.Faults{}))
			r.now = r.now.Add(2 * time.Minute)
			r.fill()
			within(t, "the drain", func() {
				if came, lost := r.drain(); came < 150 || lost != 0 {
					t.Errorf("%d came, %d are listed as lost", came, lost)
				}
			})
			within(t, "Close", func() { must(t, r.b.Close()) })
		})
	}
}

// mapped counts the memory maps of files in a directory.
func mapped(t *testing.T, dir string) int {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/maps")
	must(t, err)
	return strings.Count(string(raw), " "+dir+"/")
}

// worseAfterProof is a buffer whose disk loses the second roots between the
// proof of a file and its opening, as often as bad says.
func worseAfterProof(t *testing.T, d *baddisk.Disk, bad *int, file string) *rotRig {
	r := &rotRig{t: t, dir: filepath.Join(d.Dir(), "buffer"), now: telemetry.At(time.Hour), held: map[telemetry.Name]bool{}}
	r.open()
	r.fill()
	must(t, r.b.Close())
	r.opts = func(o *buffer.Options) {
		buffer.Break(o, buffer.Faults{
			BeforeOpen: func(string) error { return d.Fail(baddisk.Faults{}) },
			AfterProof: func(f string) {
				if f == file && *bad > 0 {
					*bad--
					must(t, d.Fail(secondRoot))
				}
			},
		})
	}
	return r
}

// TestOpenMeetsBadSector: bbolt meets a bad sector as it opens a file that was
// proven the moment before. Nobody waits for that handle, live data goes on, and
// nothing is lost that can be read later.
func TestOpenMeetsBadSector(t *testing.T) {
	for _, file := range []string{"telemetry.db", "media.db"} {
		t.Run(file, func(t *testing.T) {
			d, bad := newBadDisk(t), 1
			r := worseAfterProof(t, d, &bad, file)
			within(t, "Open", r.open)
			if n := mapped(t, r.dir); n != 3 || bad != 0 {
				t.Errorf("%d memory maps, want those of both stores and the one given up", n)
			}
			must(t, d.Fail(baddisk.Faults{}))
			within(t, "the drain", func() {
				if came, lost := r.drain(); lost > 0 || came < 200 {
					t.Errorf("%d came, %d are listed as lost", came, lost)
				}
			})
			within(t, "Close", func() { must(t, r.b.Close()) })
		})
	}
}

// TestAbandonedHandlesAreBounded: a disk that kills every opening costs a
// bounded number of memory maps; then the file is left alone until a restart,
// the technician is told so, and live data goes on all the while. After the
// restart what the store held is delivered or listed.
func TestAbandonedHandlesAreBounded(t *testing.T) {
	for _, file := range []string{"telemetry.db", "media.db"} {
		t.Run(file, func(t *testing.T) {
			d, bad := newBadDisk(t), 1000
			r := worseAfterProof(t, d, &bad, file)
			within(t, "Open", r.open)
			calls, most := r.calls(), 0
			for range 60 {
				r.now = r.now.Add(time.Minute)
				within(t, "Commit", calls["Commit"])
				within(t, "CommitChunk", calls["CommitChunk"])
				most = max(most, mapped(t, r.dir))
			}
			st := r.b.Stats()
			if said := st.VolatileError + st.MediaError; !strings.Contains(said, fmt.Sprintf("%d times", buffer.MaxAbandoned)) || !strings.Contains(said, "restart obu") {
				t.Errorf("the technician is told %q", said)
			}
			if most < buffer.MaxAbandoned || most > buffer.MaxAbandoned+1 { // and the other file
				t.Errorf("%d memory maps are left, want %d", most, buffer.MaxAbandoned)
			}
			began, ended := telemetry.At(2*time.Hour), r.now
			inMemory := map[telemetry.Class]bool{}
			for _, s := range r.b.Streams() {
				for n := range r.held {
					if file == "telemetry.db" && s.Current && n.Store == s.Store && n.Class != telemetry.ClassMedia {
						inMemory[n.Class] = true
						delete(r.held, n) // it ends with the process: listed by time
					}
				}
			}
			r.b.Crash()
			bad = 0
			within(t, "Open", r.open)
			within(t, "the drain", func() {
				came, lost := r.drain()
				t.Logf("%d came, %d are listed as lost", came, lost)
			})
			for class := range inMemory {
				if !slices.ContainsFunc(r.gaps, func(g telemetry.Gap) bool {
					return g.Class == class && g.Reason == telemetry.ReasonUncleanStart && g.From <= began && g.To >= ended
				}) {
					t.Errorf("what memory held of %s is listed nowhere: %+v", class, r.gaps)
				}
			}
			within(t, "Close", func() { must(t, r.b.Close()) })
		})
	}
}

// TestStartAfterDeathInOpen: a page that the proof read and the kernel cannot
// read again the moment after, as bbolt opens the file, may still end the process.
// The next start has all that was stored.
func TestStartAfterDeathInOpen(t *testing.T) {
	const dirEnv = "OBU_EIO_OPEN"
	if dir := os.Getenv(dirEnv); dir != "" {
		open(t, filepath.Join(dir, "buffer"), func(o *buffer.Options) {
			buffer.Break(o, buffer.Faults{AfterProof: func(string) { must(t, baddisk.At(dir).Fail(worn)) }})
		})
		return
	}
	d := newBadDisk(t)
	r := newRotRig(t, filepath.Join(d.Dir(), "buffer"))
	must(t, r.b.Close())
	cmd := exec.Command(os.Args[0], "-test.run=^TestStartAfterDeathInOpen$")
	cmd.Env = append(os.Environ(), dirEnv+"="+d.Dir(), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if n, ferr := d.Failed(); ferr != nil || n.Reads == 0 {
		t.Fatalf("the disk failed nothing: %v, %v\n%s", ferr, err, out)
	}
	if err != nil && !strings.Contains(string(out), "fatal error: fault") {
		t.Fatalf("%v\n%s", err, out)
	}
	must(t, d.Fail(baddisk.Faults{}))
	r.open()
	if came, lost := r.drain(); lost > 0 {
		t.Errorf("%d came, %d are listed as lost", came, lost)
	}
	must(t, r.b.Close())
}
