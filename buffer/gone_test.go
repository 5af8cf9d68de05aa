package buffer_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// ways are what people and scripts do to the store of a running agent.
var ways = map[string]func(t *testing.T, dir string){
	"moved": func(t *testing.T, dir string) {
		must(t, os.Rename(dir, dir+".old"))
		must(t, os.Mkdir(dir, 0o700))
	},
	"moved, no new one": func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".old")) },
	"emptied": func(t *testing.T, dir string) {
		found, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, f := range found {
			must(t, os.Remove(f))
		}
	},
	"deleted": func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
	"replaced": func(t *testing.T, dir string) {
		for _, f := range [...]string{"telemetry.db", "media.db"} {
			must(t, os.Rename(filepath.Join(dir, f), filepath.Join(dir, f+".mine")))
			must(t, os.WriteFile(filepath.Join(dir, f), []byte("another"), 0o600))
		}
	},
	"another's in its place": func(t *testing.T, dir string) {
		other := filled(t, true)
		must(t, os.Rename(dir, dir+".old"))
		must(t, os.Rename(other, dir))
	},
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// goneRig is a buffer with some batches of every class and chunks, whose clock
// the test moves.
type goneRig struct {
	t     *testing.T
	dir   string
	b     *buffer.Buffer
	now   telemetry.At
	id    int
	given map[telemetry.Name]int // 0: a chunk
	log   bytes.Buffer
}

func newGoneRig(t *testing.T) *goneRig {
	r := &goneRig{t: t, dir: filepath.Join(t.TempDir(), "store"), now: telemetry.At(time.Hour), given: map[telemetry.Name]int{}}
	r.open()
	for range 30 {
		r.commit()
	}
	for i := range int64(3) {
		r.chunk(i)
	}
	return r
}

func (r *goneRig) open() {
	r.b = open(r.t, r.dir, func(o *buffer.Options) {
		o.Now = func() telemetry.At { return r.now }
		o.Log = slog.New(slog.NewTextHandler(&r.log, nil))
	})
}

func (r *goneRig) chunk(i int64) {
	r.t.Helper()
	n, err := r.b.CommitChunk("k", telemetry.Chunk{Clip: telemetry.ClipID{7}, Offset: i * clipChunk, Data: clipBytes(7, i)})
	must(r.t, err)
	r.given[n] = 0
}

func (r *goneRig) commit() telemetry.Name {
	r.t.Helper()
	r.id++
	r.now = r.now.Add(time.Second)
	n, err := r.b.Commit([]buffer.Entry{{Class: telemetry.Classes[r.id%3], Content: numbered(r.id)}})
	must(r.t, err)
	r.given[n[0]] = r.id
	return n[0]
}

// check drains b: every batch comes out of it with what it was given for.
func (r *goneRig) check() {
	r.t.Helper()
	got, gaps := drainAll(r.t, r.b)
	for n, id := range r.given {
		batch, ok := got[n]
		if !ok {
			r.t.Fatalf("%v is gone\ngaps %+v\n%s", n, gaps, r.log.String())
		}
		if id != 0 && contentID(batch.Content) != id {
			r.t.Errorf("%v was given to %d and holds %d", n, id, contentID(batch.Content))
		}
	}
	for _, g := range gaps {
		for n := range r.given {
			if coveredBy([]telemetry.Gap{g}, n) {
				r.t.Fatalf("%v is held, and yet listed: %+v", n, g)
			}
		}
	}
}

// TestStoreGoneWhileRunning: a store that is moved, deleted or replaced loses
// nothing: what it held moves to the configured place, and new data gets names
// of a new store.
func TestStoreGoneWhileRunning(t *testing.T) {
	for name, do := range ways {
		t.Run(name, func(t *testing.T) {
			r := newGoneRig(t)
			do(t, r.dir)
			r.commit()
			if !r.b.Stats().Volatile || !strings.Contains(r.log.String(), "level=ERROR") {
				t.Fatalf("not noticed: %s", r.log.String())
			}
			acked := 0
			for n, id := range r.given { // of the deleted files, and of memory
				if id%10 == 1 {
					r.b.Ack(n)
					delete(r.given, n)
					acked++
				}
			}
			for range 5 {
				r.commit()
			}
			if s := r.b.Stats(); s.Volatile {
				t.Fatalf("not back on disk: %+v\n%s", s, r.log.String())
			}
			r.chunk(3)
			before := map[telemetry.StoreID]bool{}
			for n, id := range r.given {
				before[n.Store] = before[n.Store] || 0 < id && id <= 30
			}
			if n := r.commit(); before[n.Store] {
				t.Error("the old store id goes on")
			}
			must(t, r.b.Close())
			r.open()
			defer r.b.Close()
			held := 0
			for _, s := range r.b.Streams() {
				held += s.Batches
			}
			if held < len(r.given) || held > len(r.given)+1 { // the other's stores may be listed
				t.Errorf("%d batches held, want %d: %d were acknowledged", held, len(r.given), acked)
			}
			r.check()
		})
	}
}

// TestStoreGoneAtClose: the store goes in the last second.
func TestStoreGoneAtClose(t *testing.T) {
	for name, do := range ways {
		t.Run(name, func(t *testing.T) {
			r := newGoneRig(t)
			do(t, r.dir)
			must(t, r.b.Close())
			r.open()
			defer r.b.Close()
			r.check()
		})
	}
}

// TestStoreGoneForGood: the place cannot be written any more. Close says so,
// and where it can name the stores the next start lists them.
func TestStoreGoneForGood(t *testing.T) {
	for _, blocked := range [...]string{"telemetry.db.new", "media.db.new"} {
		t.Run(blocked, func(t *testing.T) {
			r := newGoneRig(t)
			ways["emptied"](t, r.dir)
			must(t, os.MkdirAll(filepath.Join(r.dir, blocked, "full"), 0o700))
			r.commit()
			if err := r.b.Close(); !errors.Is(err, buffer.ErrDiskFailed) {
				t.Errorf("close: %v", err)
			}
			must(t, os.RemoveAll(filepath.Join(r.dir, blocked)))
			r.open()
			defer r.b.Close()
			got, gaps := drainAll(t, r.b)
			for n := range r.given {
				if _, ok := got[n]; !ok && !coveredBy(gaps, n) {
					t.Fatalf("%v is gone and in no gap of %+v", n, gaps)
				}
			}
		})
	}
}
