package buffer_test

import (
	"bytes"
	"errors"
	"fmt"
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

// TestUncleanWithoutStore: a run ends without order and its store is gone,
// damaged or another's at the next start: what it had not stored yet is listed
// all the same, and the rows say when.
func TestUncleanWithoutStore(t *testing.T) {
	began := telemetry.At(time.Hour)
	lose := map[string]func(t *testing.T, path string){
		"gone":    func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"damaged": func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("not a database"), 0o600)) },
		"another's": func(t *testing.T, path string) {
			must(t, os.Rename(filepath.Join(filled(t, true), "telemetry.db"), path))
		},
	}
	for name, do := range lose {
		for _, reboot := range [...]bool{false, true} {
			t.Run(fmt.Sprintf("%s, reboot %v", name, reboot), func(t *testing.T) {
				r := newGoneRig(t)
				crashed := r.now.Add(500 * time.Millisecond)
				r.b.Crash()
				do(t, filepath.Join(r.dir, "telemetry.db"))
				next := telemetry.BootID{1}
				if r.now = crashed.Add(time.Minute); reboot {
					r.now, next = telemetry.At(time.Second), telemetry.BootID{2}
				}
				b := open(t, r.dir, func(o *buffer.Options) {
					o.Boot, o.Now = next, func() telemetry.At { return r.now }
				})
				defer b.Close()
				_, gaps := drainAll(t, b)
				listed := map[telemetry.Class]bool{}
				whole, rows := 0, 0
				for _, g := range gaps {
					if g.Boot != (telemetry.BootID{1}) || g.From > began || g.To < crashed || g.Count != telemetry.CountUnknown {
						t.Errorf("row %+v, the run began at %v and ended at %v", g, began, crashed)
					}
					listed[g.Class] = listed[g.Class] || g.Reason == telemetry.ReasonUncleanStart
					switch {
					case g.Reason == telemetry.ReasonDamagedStore && g.Store == telemetry.StoreID{}:
						rows++ // of the Gap table that may be lost with the file
					case g.Reason == telemetry.ReasonDamagedStore:
						whole++
					}
				}
				if !listed[telemetry.ClassTelemetry] || !listed[telemetry.ClassEvent] || !listed[telemetry.ClassHealth] || whole != 3 || rows != 0 && (rows != 3 || name != "damaged") {
					t.Errorf("gaps %+v", gaps)
				}
			})
		}
	}
}

// TestCleanWithoutStore: after an end in order there is no interval to list.
func TestCleanWithoutStore(t *testing.T) {
	r := newGoneRig(t)
	must(t, r.b.Close())
	must(t, os.Remove(filepath.Join(r.dir, "telemetry.db")))
	r.open()
	defer r.b.Close()
	_, gaps := drainAll(t, r.b)
	for _, g := range gaps {
		if g.Reason != telemetry.ReasonDamagedStore || g.Boot.IsZero() || g.To < g.From {
			t.Errorf("row %+v", g)
		}
	}
	if len(gaps) != 3 {
		t.Errorf("gaps %+v", gaps)
	}
}

// TestSpoiledBatchNamesItsTime: the row of a batch that is not what was written
// carries the time its neighbours leave for it.
func TestSpoiledBatchNamesItsTime(t *testing.T) {
	for _, running := range [...]bool{false, true} {
		r := newGoneRig(t)
		n := r.commit()
		at := r.now
		held, err := r.b.Read(n.Store, n.Class, n.Seq, 1)
		must(t, err)
		stored := held[0].Blob
		r.commit()
		if !running {
			r.b.Crash()
		}
		path := filepath.Join(r.dir, "telemetry.db")
		raw, err := os.ReadFile(path)
		must(t, err)
		hurt := false
		for i := 0; ; {
			k := bytes.Index(raw[i:], stored)
			if k < 0 {
				break
			}
			i += k + len(stored)
			raw[i-1] ^= 1
			hurt = true
		}
		if !hurt {
			t.Skip("the batch does not lie in one piece")
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteAt(raw, 0) // in place: the running store maps it
		must(t, err)
		must(t, f.Close())
		if !running {
			r.open()
		}
		_, gaps := drainAll(t, r.b)
		found := false
		for _, g := range gaps {
			if g.Covers(n) {
				found = true
				if g.Boot != (telemetry.BootID{1}) || g.From > at || g.To < at || g.To > r.now.Add(time.Minute) {
					t.Errorf("row %+v, stored at %v", g, at)
				}
			}
		}
		if !found {
			t.Errorf("running %v: %v is not listed: %+v", running, n, gaps)
		}
		must(t, r.b.Close())
	}
}
