package buffer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// filled makes a buffer with some batches of every class, closes it, and
// returns its directory.
func filled(t *testing.T, clean bool) string {
	t.Helper()
	dir := t.TempDir()
	b := open(t, dir)
	for i := range 120 {
		c := numbered(i + 1)
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.Classes[i%3], Content: c}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range int64(4) {
		if _, err := b.CommitChunk("k", telemetry.Chunk{Clip: telemetry.ClipID{7}, Offset: i * clipChunk, Data: clipBytes(7, i)}); err != nil {
			t.Fatal(err)
		}
	}
	if !clean {
		b.Crash()
	} else if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// drainAll reads everything a buffer holds and returns the batches by name and
// the gaps they listed.
func drainAll(t *testing.T, b *buffer.Buffer) (map[telemetry.Name]telemetry.Batch, []telemetry.Gap) {
	t.Helper()
	got := map[telemetry.Name]telemetry.Batch{}
	var gaps []telemetry.Gap
	for range 1000 {
		if _, err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, s := range b.Streams() {
			held += s.Batches
			list, err := b.Read(s.Store, s.Class, 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for _, st := range list {
				batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
				if err != nil {
					t.Fatal(err)
				}
				got[st.Name] = batch
				gaps = append(gaps, batch.Gaps...)
				b.Ack(st.Name)
			}
		}
		if held == 0 {
			return got, gaps
		}
	}
	t.Fatal("the drain does not end")
	return nil, nil
}

// TestDamagedStore flips bits, cuts and replaces files that were not closed
// cleanly: the buffer opens all the same, in this process, and whatever does
// not come out of it is listed.
func TestDamagedStore(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	damage := map[string]func(p []byte) []byte{
		"empty":     func(p []byte) []byte { return nil },
		"one byte":  func(p []byte) []byte { return p[:1] },
		"short":     func(p []byte) []byte { return p[:5000] },
		"half":      func(p []byte) []byte { return p[:len(p)/2] },
		"cut tail":  func(p []byte) []byte { return p[:len(p)-4096] },
		"garbage":   func(p []byte) []byte { return randomBytes(rnd, len(p)) },
		"text":      func(p []byte) []byte { return bytes.Repeat([]byte("not a database\n"), 2000) },
		"zero root": func(p []byte) []byte { clear(p[2*4096 : 6*4096]); return p },
		"no metas":  func(p []byte) []byte { clear(p[:2*4096]); return p },
	}
	for i := range 15 {
		damage["flip "+string(rune('a'+i))] = func(p []byte) []byte {
			for range 1 + rnd.IntN(4) {
				p[rnd.IntN(len(p))] ^= 1 << rnd.IntN(8)
			}
			return p
		}
	}
	sound := filled(t, false)
	for _, file := range [...]string{"telemetry.db", "media.db"} {
		for name, hurt := range damage {
			t.Run(file+"/"+name, func(t *testing.T) {
				dir := t.TempDir()
				if err := os.CopyFS(dir, os.DirFS(sound)); err != nil {
					t.Fatal(err)
				}
				checkDamaged(t, dir, file, hurt)
			})
		}
	}
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(rnd.Uint32())
	}
	return p
}

func checkDamaged(t *testing.T, dir, file string, hurt func([]byte) []byte) {
	before := map[telemetry.Name]bool{}
	err := buffer.Each(context.Background(), dir, func(b buffer.Batch) error {
		before[b.Name] = true
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, file)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, hurt(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	b := open(t, dir, func(o *buffer.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	defer b.Close()
	after, gaps := drainAll(t, b)
	for n := range before {
		if _, ok := after[n]; !ok && !coveredBy(gaps, n) {
			t.Errorf("%v is gone and in no gap\n%s", n, log.String())
			break
		}
	}
	for n := range after {
		for m := range before {
			if n.Store == m.Store && n.Class == m.Class && !before[n] && n.Class != telemetry.ClassEvent {
				t.Errorf("%v was minted under a store that was damaged", n)
			}
		}
	}
	if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}}); err != nil {
		t.Error(err)
	}
	if b.Stats().Volatile {
		t.Error("the new store is not on disk")
	}
}

// TestSecondOpener: one directory, one agent.
func TestSecondOpener(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	defer b.Close()
	_, err := buffer.Open(context.Background(), buffer.Options{Dir: dir, Now: func() telemetry.At { return 0 }})
	if !errors.Is(err, buffer.ErrLocked) {
		t.Errorf("open: %v", err)
	}
	if _, err := buffer.Inspect(context.Background(), dir); !errors.Is(err, buffer.ErrLocked) {
		t.Errorf("inspect: %v", err)
	}
}

// TestDiskFull runs on a small file system of its own: real ENOSPC, from the
// middle of a drive until there is room again.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("needs root to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	r := newRig(t, 11, func(o *buffer.Options) { o.Dir = filepath.Join(dir, "buffer") })
	ballast := filepath.Join(dir, "ballast")
	for range 20 {
		r.produce()
	}
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 4096); ; {
		if _, err := f.Write(chunk); err != nil {
			break // full
		}
	}
	f.Close()
	for i := 0; i < 200 && !r.b.Stats().Volatile; i++ {
		r.produce()
	}
	if !r.b.Stats().Volatile {
		t.Fatal("a full disk was not noticed")
	}
	if _, err := r.b.CommitChunk("k", telemetry.Chunk{Data: clipBytes(1, 0)}); !errors.Is(err, buffer.ErrDiskFailed) {
		t.Errorf("chunk on a full disk: %v", err)
	}
	for range 50 {
		r.produce()
		r.consume(false)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r.live(100, nil)
	if err := r.violations(); err != nil {
		t.Fatal(err)
	}
	if r.b.Stats().Volatile || len(r.gaps) != 0 {
		t.Fatalf("stats %+v, gaps %+v", r.b.Stats(), r.gaps)
	}
	if _, err := r.b.CommitChunk("k", telemetry.Chunk{Data: clipBytes(1, 0)}); err != nil {
		t.Errorf("chunk after the disk has room: %v", err)
	}
}

// TestStartOnFullDisk: a unit whose disk is full still sends what it sees.
func TestStartOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("obu-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("needs root to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 60<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, 12, func(o *buffer.Options) { o.Dir = dir })
	if !r.b.Stats().Volatile {
		t.Fatalf("stats %+v", r.b.Stats())
	}
	for range 20 {
		r.produce()
		r.consume(false)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("obu-test", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Hour)
	r.live(20, nil)
	if err := r.violations(); err != nil {
		t.Fatal(err)
	}
	if r.b.Stats().Volatile {
		t.Fatal("did not go back to the disk")
	}
}

// TestUnwritableDir runs as another user: the message names the directory.
func TestUnwritableDir(t *testing.T) {
	if dir := os.Getenv("OBU_BUFFER_UNWRITABLE"); dir != "" {
		_, err := buffer.Open(context.Background(), buffer.Options{Dir: dir, Now: func() telemetry.At { return 0 }})
		if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("open: %v", err)
		}
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user")
	}
	dir, err := os.MkdirTemp("/tmp", "obu-unwritable")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "test")
	raw, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestUnwritableDir$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "OBU_BUFFER_UNWRITABLE="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestClonedDisk: a copy on other hardware mints under another store and still
// delivers what it holds.
func TestClonedDisk(t *testing.T) {
	dir := filled(t, true)
	for _, edit := range [...]func(*buffer.Options){
		func(o *buffer.Options) { o.Hardware = "another board" },
		func(o *buffer.Options) { o.Unit = "sim-2" },
	} {
		clone := t.TempDir()
		if err := os.CopyFS(clone, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		b := open(t, clone, edit)
		names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range b.Streams() {
			if s.Class == telemetry.ClassTelemetry && s.Current != (s.Store == names[0].Store) {
				t.Errorf("stream %+v", s)
			}
		}
		if names[0].Seq != 1 {
			t.Errorf("the clone went on at %v", names[0])
		}
		got, gaps := drainAll(t, b)
		if len(got) < 125 || len(gaps) != 0 {
			t.Errorf("%d batches, gaps %v", len(got), gaps)
		}
		b.Close()
	}
}

// TestPowerCutRetiresStore: after a power cut nothing is minted under the old
// store, because the disk may have forgotten what it acknowledged.
func TestPowerCutRetiresStore(t *testing.T) {
	dir := filled(t, false)
	var old telemetry.StoreID
	_ = buffer.Each(context.Background(), dir, func(b buffer.Batch) error { old = b.Store; return nil })
	b := open(t, dir, func(o *buffer.Options) { o.Boot = telemetry.BootID{2} })
	defer b.Close()
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}})
	if err != nil || names[0].Store == old || names[0].Seq != 1 {
		t.Fatalf("%v, %v", names, err)
	}
}
