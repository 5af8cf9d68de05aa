package buffer_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// rotRig is a buffer with a backlog whose names are known.
type rotRig struct {
	t    *testing.T
	dir  string
	now  telemetry.At
	b    *buffer.Buffer
	held map[telemetry.Name]bool
	opts func(*buffer.Options) // more of them; optional
	gaps []telemetry.Gap       // that came with the last drain
}

func newRotRig(t *testing.T, dir string) *rotRig {
	r := &rotRig{t: t, dir: dir, now: telemetry.At(time.Hour), held: map[telemetry.Name]bool{}}
	r.open()
	r.fill()
	return r
}

// fill stores a backlog of batches and chunks.
func (r *rotRig) fill() {
	t, at := r.t, int64(0)
	for i := range 150 {
		r.keep(padded(i+1, 100+i%7*150))
		if i%20 == 0 {
			n, err := r.b.CommitChunk("k", telemetry.Chunk{Clip: telemetry.ClipID{7}, Offset: at, Data: clipBytes(7, at/clipChunk)})
			must(t, err)
			at += clipChunk
			r.held[n] = true
		}
	}
}

func (r *rotRig) open() {
	r.b = open(r.t, r.dir, func(o *buffer.Options) {
		o.Now = func() telemetry.At { return r.now }
		if r.opts != nil {
			r.opts(o)
		}
	})
}

func (r *rotRig) keep(c telemetry.Content) telemetry.Name {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	names, err := r.b.Commit([]buffer.Entry{{Class: telemetry.Classes[int(r.now/1e9)%3], Content: c}})
	must(r.t, err)
	if r.held[names[0]] {
		r.t.Fatalf("%v was given twice", names[0])
	}
	r.held[names[0]] = true
	return names[0]
}

// drain lives on until all came: live data flows all the while, and whatever
// does not come is listed.
func (r *rotRig) drain() (came, lost int) {
	r.t.Helper()
	got := map[telemetry.Name]bool{}
	var gaps []telemetry.Gap
	for i := range 3000 {
		if i < 60 {
			r.keep(numbered(100_000 + i))
		} else {
			r.now = r.now.Add(time.Second)
			_, err := r.b.Commit(nil)
			must(r.t, err)
		}
		held := 0
		for _, s := range r.b.Streams() {
			held += s.Batches
			list, _ := r.b.Read(s.Store, s.Class, s.Floor, 1<<20) // an error stands for a try
			for _, st := range list {
				batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
				must(r.t, err)
				gaps = append(gaps, batch.Gaps...)
				got[st.Name] = true
				r.b.Ack(st.Name)
			}
		}
		if st := r.b.Stats(); i > 80 && held == 0 && st.Gaps == 0 && st.Salvaging == 0 && !st.Volatile {
			break
		}
	}
	if st := r.b.Stats(); st.Volatile || st.Batches != 0 || st.Salvaging != 0 {
		r.t.Errorf("does not end: %+v", st)
	}
	r.gaps = gaps
	for n := range r.held {
		switch {
		case got[n]:
			came++
		case coveredBy(gaps, n):
			lost++
		default:
			r.t.Errorf("%v is gone and in no gap", n)
		}
	}
	return came, lost
}

// within fails the test when fn hangs. Nothing here takes a second.
func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); fn() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("%s hangs", what)
	}
}

// calls are what an agent does with a running buffer.
func (r *rotRig) calls() map[string]func() {
	return map[string]func(){
		"Read": func() {
			for _, s := range r.b.Streams() {
				_, _ = r.b.Read(s.Store, s.Class, s.Floor, 1<<20) // the point is that it returns
			}
		},
		"Commit": func() { r.keep(numbered(50_000)) },
		"CommitChunk": func() {
			n, err := r.b.CommitChunk("late", telemetry.Chunk{Clip: telemetry.ClipID{9}, Data: clipBytes(9, 0)})
			if err == nil {
				r.held[n] = true
			}
		},
	}
}

// TestTruncatedWhileRunning: a file that another program cuts short is SIGBUS
// for whoever reads its end through the memory map. Whatever touches the file
// first, every call returns, data goes on, and what is gone is listed.
func TestTruncatedWhileRunning(t *testing.T) {
	for _, file := range []string{"telemetry.db", "media.db"} {
		for _, first := range []string{"Read", "Commit", "CommitChunk"} {
			for _, keep := range []string{"nothing", "a page", "half"} {
				t.Run(fmt.Sprintf("%s of %s, then %s", keep, file, first), func(t *testing.T) {
					r := newRotRig(t, t.TempDir())
					path := filepath.Join(r.dir, file)
					info, err := os.Stat(path)
					must(t, err)
					must(t, os.Truncate(path, map[string]int64{"nothing": 0, "a page": 4096, "half": info.Size() / 2}[keep]))
					calls := r.calls()
					within(t, first, calls[first])
					for what, call := range calls {
						if what != first {
							within(t, what, call)
						}
					}
					within(t, "Streams", func() { r.b.Streams() })
					within(t, "Stats", func() { r.b.Stats() })
					came, lost := 0, 0
					within(t, "the drain", func() { came, lost = r.drain() })
					t.Logf("%d came, %d are listed as lost", came, lost)
					if came < 60 {
						t.Errorf("%d batches came: live data did not go on", came)
					}
					within(t, "Close", func() {
						if err := r.b.Close(); err != nil {
							t.Error(err)
						}
					})
				})
			}
		}
	}
}

// TestTruncatedThenClosed: the first to touch the file is Close.
func TestTruncatedThenClosed(t *testing.T) {
	for _, file := range []string{"telemetry.db", "media.db"} {
		for _, keep := range []int64{0, 4096, 40960} {
			t.Run(fmt.Sprintf("%s to %d", file, keep), func(t *testing.T) {
				r := newRotRig(t, t.TempDir())
				must(t, os.Truncate(filepath.Join(r.dir, file), keep))
				within(t, "Close", func() { _ = r.b.Close() }) // may say what is lost
				within(t, "Open", r.open)
				within(t, "the drain", func() { r.drain() })
				within(t, "Close", func() { _ = r.b.Close() })
			})
		}
	}
}

// TestBrokenHandleIsLeft: a file cut short in the very moment bbolt begins a
// transaction leaves bbolt's locks taken. Nobody waits for them, and the file,
// whole again, is used again with all it held: the leaked map keeps no lock.
func TestBrokenHandleIsLeft(t *testing.T) {
	for _, file := range []string{"telemetry.db", "media.db"} {
		for _, first := range []string{"Read", "Commit", "CommitChunk"} {
			t.Run(file+", "+first, func(t *testing.T) {
				r := &rotRig{t: t, dir: t.TempDir(), now: telemetry.At(time.Hour), held: map[telemetry.Name]bool{}}
				path, cutNow := filepath.Join(r.dir, file), false
				r.opts = func(o *buffer.Options) {
					buffer.Break(o, buffer.Faults{InBegin: func(f string) {
						if f == file && cutNow {
							cutNow = false
							must(t, os.Truncate(path, 0))
						}
					}})
				}
				r.open()
				r.fill()
				whole, err := os.ReadFile(path)
				must(t, err)
				cutNow = true
				calls := r.calls()
				within(t, first, calls[first])
				if cutNow {
					within(t, "Read", calls["Read"])
				}
				if cutNow {
					t.Fatal("no transaction began")
				}
				must(t, os.WriteFile(path, whole, 0o600)) // the same inode
				for what, call := range calls {
					within(t, what, call)
				}
				within(t, "the drain", func() {
					if _, lost := r.drain(); lost > 0 {
						t.Errorf("%d are listed as lost", lost)
					}
				})
				within(t, "Close", func() { must(t, r.b.Close()) })
			})
		}
	}
}
