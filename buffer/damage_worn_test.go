package buffer

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"obu/telemetry"
)

// wornStore is a store as a unit leaves it: backlog, acknowledged batches,
// clips, gap rows, executed commands. held is what it owes, by name; given what
// was ever given out.
type wornStore struct {
	dir   string
	files map[string][]byte // content by name, so that an image is one write
	held  map[telemetry.Name][]byte
	given map[telemetry.Name][]byte
	gaps  []telemetry.Gap
}

// wear lives a while in a directory and closes it in order or not.
func wear(t testing.TB, seed uint64, clean bool) wornStore {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 77))
	w := wornStore{dir: memoryDir(t), held: map[telemetry.Name][]byte{}, given: map[telemetry.Name][]byte{}}
	now := telemetry.At(time.Hour)
	b, err := Open(t.Context(), Options{Dir: w.dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }})
	if err != nil {
		t.Fatal(err)
	}
	keep := func(names ...telemetry.Name) {
		for _, n := range names {
			got, err := b.Read(n.Store, n.Class, n.Seq, 1)
			if err != nil || len(got) == 0 || got[0].Name != n {
				t.Fatalf("read %v: %v", n, err)
			}
			w.held[n], w.given[n] = got[0].Blob, got[0].Blob
			if rnd.IntN(4) == 0 {
				b.Ack(n)
				delete(w.held, n)
			}
		}
	}
	clipAt := int64(0)
	for i := range 120 + rnd.IntN(200) {
		now = now.Add(time.Second)
		var entries []Entry
		for range 1 + rnd.IntN(4) {
			pad := make([]byte, rnd.IntN(500)*(1+8*(rnd.IntN(9)/8)))
			for k := range pad {
				pad[k] = byte(rnd.Uint32())
			}
			c := telemetry.Content{Anchors: []telemetry.Anchor{{At: now, By: telemetry.AnchorNTP}}, Chunks: []telemetry.Chunk{{Data: pad}}}
			entries = append(entries, Entry{Class: telemetry.Classes[rnd.IntN(3)], Content: c})
		}
		names, err := b.Commit(entries)
		if err != nil {
			t.Fatal(err)
		}
		keep(names...)
		if i%40 == 10 {
			w.gaps = append(w.gaps, telemetry.Gap{Class: telemetry.ClassTelemetry, Store: telemetry.StoreID{9}, FromSeq: uint64(i), ToSeq: uint64(i), Count: 1, Reason: telemetry.ReasonEvicted})
			b.Lost(w.gaps[len(w.gaps)-1])
			if err := b.Record("cmd-"+strconv.Itoa(i), []byte("done"), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		if i%6 == 0 {
			data := make([]byte, 8<<10+rnd.IntN(40<<10))
			for k := range data {
				data[k] = byte(rnd.Uint32())
			}
			n, err := b.CommitChunk("cam/a", telemetry.Chunk{Clip: telemetry.ClipID{3}, Offset: clipAt, Data: data})
			if err != nil {
				t.Fatal(err)
			}
			clipAt += int64(len(data))
			keep(n)
		}
	}
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Streams() { // the events of the gap rows
		got, _ := b.Read(s.Store, s.Class, 0, 64<<20)
		for _, st := range got {
			w.held[st.Name], w.given[st.Name] = st.Blob, st.Blob
		}
	}
	if !clean {
		b.Crash()
	} else if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	w.files = map[string][]byte{}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if w.files[e.Name()], err = os.ReadFile(filepath.Join(w.dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// memoryDir is a directory in memory where there is one: these laws are about
// content, and thousands of images wait for thousands of syncs elsewhere.
func memoryDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "obu-damage")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// firstStore is the store the worn files minted under.
func firstStore(w *wornStore, class telemetry.Class) (id telemetry.StoreID) {
	for n := range w.given {
		if n.Class == class {
			return n.Store
		}
	}
	return id
}
