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
}

// wearer lives the life of a worn store.
type wearer struct {
	*wornStore
	t      testing.TB
	rnd    *rand.Rand
	now    telemetry.At
	b      *Buffer
	clipAt int64
}

// wear lives a while in a directory and closes it in order or not.
func wear(t testing.TB, seed uint64, clean bool) wornStore {
	t.Helper()
	w := wearer{
		wornStore: &wornStore{dir: memoryDir(t), held: map[telemetry.Name][]byte{}, given: map[telemetry.Name][]byte{}, files: map[string][]byte{}},
		t:         t, rnd: rand.New(rand.NewPCG(seed, 77)), now: telemetry.At(time.Hour),
	}
	var err error
	w.b, err = Open(t.Context(), Options{Dir: w.dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return w.now }, faults: &faults{movable: true}})
	w.must(err)
	for i := range 120 + w.rnd.IntN(200) {
		w.second(i)
	}
	w.commit()
	for _, s := range w.b.Streams() { // the events of the gap rows
		got, _ := w.b.Read(s.Store, s.Class, 0, 64<<20)
		for _, st := range got {
			w.held[st.Name], w.given[st.Name] = st.Blob, st.Blob
		}
	}
	if clean {
		w.must(w.b.Close())
	} else { // the last transaction gave names
		w.commit(w.entry(0, nil), w.entry(1, nil), w.entry(2, nil))
		w.b.Crash()
	}
	entries, err := os.ReadDir(w.dir)
	w.must(err)
	for _, e := range entries {
		w.files[e.Name()], err = os.ReadFile(filepath.Join(w.dir, e.Name()))
		w.must(err)
	}
	return *w.wornStore
}

func (w *wearer) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// second is one of that life.
func (w *wearer) second(i int) {
	w.now = w.now.Add(time.Second)
	var entries []Entry
	for range 1 + w.rnd.IntN(4) {
		pad := w.noise(w.rnd.IntN(500) * (1 + 8*(w.rnd.IntN(9)/8)))
		entries = append(entries, w.entry(w.rnd.IntN(3), pad))
	}
	w.commit(entries...)
	if i%40 == 10 {
		w.b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Store: telemetry.StoreID{9}, FromSeq: uint64(i), ToSeq: uint64(i), Count: 1, Reason: telemetry.ReasonEvicted})
		w.must(w.b.Record("cmd-"+strconv.Itoa(i), []byte("done"), time.Time{}))
	}
	if i%6 == 0 {
		data := w.noise(8<<10 + w.rnd.IntN(40<<10))
		n, err := w.b.CommitChunk("cam/a", telemetry.Chunk{Clip: telemetry.ClipID{3}, Offset: w.clipAt, Data: data})
		w.must(err)
		w.clipAt += int64(len(data))
		w.keep(n)
	}
}

func (w *wearer) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rnd.Uint32())
	}
	return b
}

func (w *wearer) entry(class int, pad []byte) Entry {
	c := telemetry.Content{Anchors: []telemetry.Anchor{{At: w.now, By: telemetry.AnchorNTP}}}
	if pad != nil {
		c.Chunks = []telemetry.Chunk{{Data: pad}}
	}
	return Entry{Class: telemetry.Classes[class], Content: c}
}

func (w *wearer) commit(entries ...Entry) {
	names, err := w.b.Commit(entries)
	w.must(err)
	for _, n := range names {
		w.keep(n)
	}
}

// keep notes a batch; some are acknowledged at once.
func (w *wearer) keep(n telemetry.Name) {
	got, err := w.b.Read(n.Store, n.Class, n.Seq, 1)
	if err != nil || len(got) == 0 || got[0].Name != n {
		w.t.Fatalf("read %v: %v", n, err)
	}
	w.held[n], w.given[n] = got[0].Blob, got[0].Blob
	if w.rnd.IntN(4) == 0 {
		w.b.Ack(n)
		delete(w.held, n)
	}
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
