package buffer_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/buffer"
	"obu/telemetry"
)

const (
	matrixDisk     = 16 << 20 // small, so that filling it takes no time
	matrixVolatile = 96 << 10
	// matrixRecover is how long the way back to a disk that works may take: the
	// longest back-off and the commits around it.
	matrixRecover = 65 * time.Second
)

// TestDiskMatrix takes the disk away at every stage of a store's life, in two
// ways, on a real ext4: until it is back all goes on from memory, bounded and
// counted, and then all is as before without a restart.
func TestDiskMatrix(t *testing.T) {
	for _, readOnly := range []bool{false, true} {
		runMatrix(t, map[bool]string{false: "full", true: "read-only"}[readOnly], func(t *testing.T) *matrix { return newMatrix(t, readOnly) })
	}
}

// runMatrix takes a disk away, in the way how, at every stage.
func runMatrix(t *testing.T, how string, disk func(*testing.T) *matrix) {
	stages := map[string]func(*matrix){
		"before the first start": func(m *matrix) { m.take(); m.start() },
		"new telemetry.db":       func(m *matrix) { m.must(os.Mkdir(m.dir, 0o700)); m.take(); m.start() },
		"growth":                 func(m *matrix) { m.start(); m.lives(20); m.take() },
		"commits with acks":      func(m *matrix) { m.start(); m.lives(60); m.take(); m.lives(20) },
		"chunks":                 func(m *matrix) { m.start(); m.lives(20); m.chunks(3); m.take(); m.chunks(60) },
		"FinishClip":             func(m *matrix) { m.start(); m.chunks(3); m.take(); m.finish() },
		"while recovering":       func(m *matrix) { m.start(); m.lives(20); m.take(); m.onMemory(); m.comesAndGoes() },
	}
	for stage, run := range stages {
		t.Run(fmt.Sprintf("%s/%s", how, stage), func(t *testing.T) {
			m := disk(t)
			run(m)
			m.onMemory()
			m.give()
			m.backOnDisk()
			m.end()
		})
	}
}

// TestDiskMatrixClose ends the process while the disk is away: what memory held
// is lost, and the next start lists the time it is of.
func TestDiskMatrixClose(t *testing.T) {
	for name, readOnly := range map[string]bool{"full": false, "read-only": true} {
		t.Run(name, func(t *testing.T) {
			m := newMatrix(t, readOnly)
			m.start()
			m.lives(60)
			m.take()
			m.onMemory()
			began := m.r.now.Add(-time.Duration(m.r.b.Stats().VolatileS * float64(time.Second)))
			held, ended := m.volatileNames(), m.r.now.Add(-time.Second) // of the last batch
			if len(held) == 0 {
				t.Fatal("nothing is held in memory")
			}
			if err := m.r.b.Close(); err == nil {
				t.Error("Close says that all is stored")
			}
			m.give()
			m.r.open()
			m.r.drain()
			m.r.receivedOrListed(held, began, ended)
			m.end()
		})
	}
}

// matrix is one cell: a unit whose disk comes and goes.
type matrix struct {
	t     *testing.T
	d     *wearDisk
	dir   string
	image string
	ro    bool
	bad   func(bool) // makes a card fail, or work again; nil: an ext4
	r     *rig
	hook  func() // within the next transaction, before it is written
	key   string // of the clip
	clip  int64  // chunks of it in custody
	upper string // loop device mounted above the first
	chunk map[telemetry.Name]bool
}

func newMatrix(t *testing.T, readOnly bool) *matrix {
	d := newWearDisk(t, matrixDisk, "errors=remount-ro")
	m := &matrix{t: t, d: d, dir: filepath.Join(d.dir, "buffer"), image: filepath.Join(filepath.Dir(d.dir), "image"), ro: readOnly, key: "before", chunk: map[telemetry.Name]bool{}}
	if _, err := exec.LookPath("e2fsck"); err != nil {
		t.Skip("skipped: needs e2fsck (package e2fsprogs)")
	}
	if _, err := os.Stat(m.trigger()); err != nil {
		t.Skipf("skipped: this kernel cannot make an ext4 read-only under open files: %v", err)
	}
	t.Cleanup(func() {
		if m.upper != "" {
			m.must(unix.Unmount(d.dir, 0))
			run(t, "losetup", "-d", m.upper)
		}
	})
	return m
}

func (m *matrix) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// start opens the buffer, which must not fail whatever the disk does.
func (m *matrix) start() {
	m.r = newRig(m.t, 21, func(o *buffer.Options) {
		o.Dir, o.VolatileBytes = m.dir, matrixVolatile
		buffer.Break(o, buffer.Faults{BeforeCommit: func(string) error {
			if hook := m.hook; hook != nil {
				m.hook = nil
				hook()
			}
			return nil
		}})
	})
}

func (m *matrix) trigger() string {
	return "/sys/fs/ext4/" + filepath.Base(m.d.dev) + "/trigger_fs_error"
}

// take fills the disk, or lets the file system go read-only under open files as
// a worn card makes it do: a plain remount is refused while files are open.
func (m *matrix) take() {
	m.t.Helper()
	if m.bad != nil {
		m.bad(true)
		return
	}
	if m.ro {
		m.must(os.WriteFile(m.trigger(), []byte("1"), 0))
		if err := os.WriteFile(filepath.Join(m.d.dir, "x"), nil, 0o600); err == nil {
			m.t.Fatal("the file system still takes data")
		}
		return
	}
	f, err := os.Create(filepath.Join(m.d.dir, "filler"))
	m.must(err)
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil { // what did not fit may fit in part
			chunk = chunk[:len(chunk)/2]
		}
	}
	m.must(f.Sync())
}

// give makes room, or does what a technician does with a file system that went
// read-only: it is checked, and mounted in its place again, here as a copy, for
// the first one stays in use by whoever has a file of it open.
func (m *matrix) give() {
	m.t.Helper()
	if m.bad != nil {
		m.bad(false)
		return
	}
	if !m.ro {
		m.must(os.Remove(filepath.Join(m.d.dir, "filler")))
		m.d.syncfs()
		return
	}
	raw, err := os.ReadFile(m.image)
	m.must(err)
	checked := m.image + ".checked"
	m.must(os.WriteFile(checked, raw, 0o600))
	const repaired = 1 // exit code
	if out, err := exec.Command("e2fsck", "-fy", checked).CombinedOutput(); err != nil && err.(*exec.ExitError).ExitCode() != repaired {
		m.t.Fatalf("e2fsck: %v: %s", err, out)
	}
	dev := strings.TrimSpace(run(m.t, "losetup", "--find", "--show", checked))
	m.must(unix.Mount(dev, m.d.dir, "ext4", unix.MS_NOATIME, ""))
	m.upper = dev
}

// lives produces and consumes.
func (m *matrix) lives(n int) { m.r.lives(n) }

// chunks stores parts of a clip; the camera keeps what is refused.
func (m *matrix) chunks(n int) {
	for range n {
		name, err := m.r.b.CommitChunk(m.key, telemetry.Chunk{Clip: telemetry.ClipID{m.key[0]}, Offset: m.clip * clipChunk, Data: clipBytes(7, m.clip)})
		if err == nil {
			m.chunk[name] = true
			m.clip++
		}
		m.r.now = m.r.now.Add(time.Second)
	}
	stored, _, _ := m.r.b.ClipProgress(m.key)
	m.r.law(stored == m.clip*clipChunk, "%d bytes of a clip are said to be stored, %d are", stored, m.clip*clipChunk)
}

func (m *matrix) finish() {
	err := m.r.b.FinishClip(m.key, telemetry.Clip{ID: telemetry.ClipID{m.key[0]}, SizeBytes: m.clip * clipChunk})
	_, done, _ := m.r.b.ClipProgress(m.key)
	m.r.law(done == (err == nil), "the clip is done: %v; FinishClip said %v", done, err)
}

// volatileNames returns the names given under the store that memory holds.
func (m *matrix) volatileNames() (out []telemetry.Name) {
	for _, s := range m.r.b.Streams() {
		for n := range m.r.emitted {
			if s.Current && s.Class == n.Class && s.Store == n.Store {
				out = append(out, n)
			}
		}
	}
	return out
}

// onMemory runs until the disk's absence is noticed, which on a full one takes
// until the file must grow, and on, beyond the bound of what memory holds.
func (m *matrix) onMemory() {
	m.t.Helper()
	r := m.r
	for i := 0; i < 4000 && !r.b.Stats().Volatile; i++ {
		r.produce()
	}
	if !r.b.Stats().Volatile {
		m.t.Fatalf("not noticed: %+v", r.b.Stats())
	}
	was := r.b.Stats()
	for i := range 150 {
		known := len(r.emitted)
		r.produce()
		if len(r.emitted) > known {
			m.readNewest()
		}
		if i%10 == 0 {
			r.consume(false)
		}
	}
	st := r.b.Stats()
	r.law(st.Volatile && st.VolatileError != "" && st.VolatileS > 0, "it is not told: %+v", st)
	r.law(st.Failures > was.Failures, "%d failures, then %d: the disk was not tried again", was.Failures, st.Failures)
	r.law(st.VolatileBytes > 0 && st.VolatileBytes <= matrixVolatile+16<<10, "%d bytes in memory", st.VolatileBytes)
	m.noViolations()
}

// readNewest reads the newest batch of each current stream back at once.
func (m *matrix) readNewest() {
	for _, s := range m.r.b.Streams() {
		if !s.Current || s.Batches == 0 || s.Class == telemetry.ClassMedia {
			continue
		}
		n := telemetry.Name{Store: s.Store, Class: s.Class, Seq: s.Next - 1}
		got, err := m.r.b.Read(s.Store, s.Class, n.Seq, 1)
		m.r.law(err == nil && (len(got) == 1 && got[0].Name == n || m.r.acked[n]), "%v cannot be read at once: %d, %v", n, len(got), err)
	}
}

// comesAndGoes gives the disk back and takes it within the transaction that
// returns to it.
func (m *matrix) comesAndGoes() {
	m.t.Helper()
	if m.ro { // a file system made anew goes away once more below
		m.t.Skip("a file system that went read-only comes back as another one: see full/while recovering")
	}
	m.give()
	again := false
	m.hook = func() { m.take(); again = true }
	for i := 0; i < 120 && !again; i++ {
		m.r.produce()
	}
	if !again {
		m.t.Fatal("the disk was not tried again")
	}
}

// backOnDisk expects the way back within the back-off, without a restart.
func (m *matrix) backOnDisk() {
	m.t.Helper()
	for until := m.r.now.Add(matrixRecover); m.r.b.Stats().Volatile && m.r.now < until; {
		m.r.produce()
	}
	if st := m.r.b.Stats(); st.Volatile || st.VolatileBytes != 0 || st.VolatileError != "" {
		m.t.Fatalf("still in memory: %+v", st)
	}
	m.r.now = m.r.now.Add(2 * time.Minute) // the media store's back-off
	m.key, m.clip = "after", 0
	m.chunks(2)
	m.r.law(m.clip == 2, "%d of 2 chunks were taken", m.clip)
	err := m.r.b.FinishClip(m.key, telemetry.Clip{ID: telemetry.ClipID{m.key[0]}, SizeBytes: m.clip * clipChunk})
	m.r.law(err == nil, "finish clip: %v", err)
	m.lives(20)
	m.noViolations()
}

// end drains, checks the books, and sees that a restart finds the store closed
// in order and on disk.
func (m *matrix) end() {
	m.t.Helper()
	r := m.r
	r.drain()
	r.settle()
	for n := range m.chunk {
		_, ok := r.received[n]
		r.law(ok || r.covered(n), "chunk %v is missing and in no gap", n)
	}
	m.noViolations()
	checkContents(m.t, r)
	m.must(r.b.Close())
	gaps := len(r.gaps)
	r.open()
	r.lives(10)
	r.drain()
	m.noViolations()
	if st := r.b.Stats(); st.Volatile || len(r.gaps) != gaps {
		m.t.Errorf("after a restart: %+v, %d gaps, were %d", st, len(r.gaps), gaps)
	}
	m.must(r.b.Close())
}

func (m *matrix) noViolations() {
	m.t.Helper()
	if err := m.r.violations(); err != nil {
		m.t.Fatal(err)
	}
}

// lives produces and consumes.
func (r *rig) lives(n int) {
	for range n {
		r.produce()
		r.consume(false)
	}
}

// receivedOrListed looks for names that ended with the process: what did not
// come is of a time that is listed. They leave the books.
func (r *rig) receivedOrListed(held []telemetry.Name, began, ended telemetry.At) {
	for _, n := range held {
		listed := r.covered(n)
		for _, g := range r.gaps {
			listed = listed || g.Class == n.Class && g.Reason == telemetry.ReasonUncleanStart && g.From <= began && g.To >= ended
		}
		_, ok := r.received[n]
		r.law(ok || listed, "%v ended with the process and is not listed", n)
		if !ok {
			delete(r.emitted, n)
		}
		delete(r.next, streamID{n.Store, n.Class})
	}
}
