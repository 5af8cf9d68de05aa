package buffer

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"obu/buffer/wreck"
	"obu/telemetry"
)

// damageImages is how many images TestDamageLaws makes; `make damage` asks for
// thousands through the environment.
const (
	damageImages    = 240
	damageImagesEnv = "OBU_DAMAGE_IMAGES"
	damageSeedEnv   = "OBU_DAMAGE_SEED"
	damageOneEnv    = "OBU_DAMAGE_ONE" // only this image
)

// wornStore is a store as a unit leaves it: backlog, acknowledged batches,
// clips, gap rows, executed commands. held is what it owes, by name; given what
// was ever given out.
type wornStore struct {
	dir   string
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
	return w
}

// outcome is what one image came to.
type outcome struct {
	aside, salvaged, held, came, copies int
	err                                 error
}

// TestDamageLaws damages real files in thousands of ways and lives on with
// each: the agent goes on, every batch is delivered or in a Gap, nothing comes
// that was not written, no name has two contents, and nothing is given a name
// that was given before.
func TestDamageLaws(t *testing.T) {
	images, seed := damageImages, uint64(1)
	if v, err := strconv.Atoi(os.Getenv(damageImagesEnv)); err == nil {
		images = v
	}
	if v, err := strconv.ParseUint(os.Getenv(damageSeedEnv), 10, 64); err == nil {
		seed = v
	}
	var worn []wornStore
	for i := range uint64(4) {
		worn = append(worn, wear(t, seed*10+i, i%2 == 0))
	}
	jobs := make(chan int)
	var mu sync.Mutex
	var sum outcome
	bad := 0
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 4) {
		dir := memoryDir(t)
		wg.Go(func() {
			for i := range jobs {
				o := damageOne(filepath.Join(dir, strconv.Itoa(i)), &worn[i%len(worn)], rand.New(rand.NewPCG(seed, uint64(i))))
				mu.Lock()
				sum.aside, sum.salvaged, sum.held, sum.came, sum.copies = sum.aside+o.aside, sum.salvaged+o.salvaged, sum.held+o.held, sum.came+o.came, sum.copies+o.copies
				if o.err != nil {
					if bad++; bad <= 5 {
						t.Errorf("image %d of seed %d: %v", i, seed, o.err)
					}
				}
				mu.Unlock()
			}
		})
	}
	for i := range images {
		if one, err := strconv.Atoi(os.Getenv(damageOneEnv)); err == nil && i != one {
			continue
		}
		jobs <- i
	}
	close(jobs)
	wg.Wait()
	t.Logf("%d images, %d files set aside; of %d batches held in those, %d came (%.2f %%), %d acknowledged ones as copies; %d laws broken",
		images, sum.aside, sum.held, sum.came, 100*float64(sum.came)/float64(max(sum.held, 1)), sum.copies, bad)
	if bad > 0 {
		t.Fail()
	}
}

func damageOne(dir string, w *wornStore, rnd *rand.Rand) (o outcome) {
	fail := func(format string, args ...any) { o.err = fmt.Errorf(format, args...) }
	if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
		fail("%v", err)
		return o
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"telemetry.db", "media.db"} {
		if rnd.IntN(3) == 0 {
			continue
		}
		path := filepath.Join(dir, name)
		raw, err := os.ReadFile(path)
		if err == nil {
			raw = hurt(rnd, raw)
			if rnd.IntN(4) == 0 {
				raw = hurt(rnd, raw)
			}
			err = os.WriteFile(path, raw, 0o600)
		}
		if err != nil {
			fail("%v", err)
			return o
		}
	}
	now := telemetry.At(2 * time.Hour)
	open := func() *Buffer {
		b, err := Open(context.Background(), Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }})
		if err != nil {
			fail("open: %v", err)
		}
		return b
	}
	b := open()
	if b == nil {
		return o
	}
	came := map[telemetry.Name]bool{}
	live := map[telemetry.Name]bool{}
	var gaps []telemetry.Gap
	restart := 1 + rnd.IntN(6)
	asideClasses := map[telemetry.Class]bool{}
	for _, f := range []*file{b.tele, b.vid} {
		if len(f.saving) > 0 {
			o.aside++
			for _, c := range f.classes {
				asideClasses[c] = true
			}
		}
	}
	for round := 0; ; round++ {
		if round == restart && len(b.tele.saving)+len(b.vid.saving) > 0 { // the salvage goes on after it
			b.Crash()
			if b = open(); b == nil {
				return o
			}
		}
		now = now.Add(time.Second)
		names, err := b.Commit([]Entry{{Class: telemetry.ClassTelemetry, Content: telemetry.Content{Anchors: []telemetry.Anchor{{At: now, By: telemetry.AnchorNTP}}}}})
		if err != nil {
			fail("commit: %v", err)
			break
		}
		if n := names[0]; w.given[n] != nil || live[n] || n.Seq == 0 {
			fail("name %v given again", n)
			break
		}
		live[names[0]] = true
		held := 0
		for _, s := range b.Streams() {
			list, err := b.Read(s.Store, s.Class, s.Floor, 1<<20)
			if err != nil {
				fail("read: %v", err)
			}
			for _, st := range list {
				batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
				if err != nil {
					fail("decode %v: %v", st.Name, err)
				}
				if was := w.given[st.Name]; was != nil && !bytes.Equal(was, st.Blob) {
					fail("%v has another content", st.Name)
				} else if was == nil && st.Store == firstStore(w, st.Class) && !live[st.Name] && st.Class != telemetry.ClassEvent {
					fail("%v was never given out", st.Name)
				}
				gaps = append(gaps, batch.Gaps...)
				came[st.Name] = true
				b.Ack(st.Name)
			}
			held += s.Batches
		}
		st := b.Stats()
		if round > 3 && held <= 3 && st.Salvaging == 0 && st.Gaps == 0 {
			o.salvaged = int(st.Salvaged)
			if st.Volatile {
				fail("not on disk: %+v", st)
			}
			break
		}
		if round > 3000 {
			fail("does not end: %+v", st)
			break
		}
	}
	if err := b.Close(); err != nil && o.err == nil {
		fail("close: %v", err)
	}
	covered := func(n telemetry.Name) bool {
		for _, g := range gaps {
			if g.Covers(n) {
				return true
			}
		}
		return false
	}
	for n := range w.held {
		if asideClasses[n.Class] {
			o.held++
			if came[n] {
				o.came++
			}
		}
		if !came[n] && !covered(n) && o.err == nil {
			fail("%v is gone and in no gap", n)
		}
	}
	for n := range came {
		if w.given[n] != nil && w.held[n] == nil {
			o.copies++
		}
	}
	return o
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

// FuzzWreck: no content ends the reader or keeps it for ever, and it never
// yields a batch that was not written.
func FuzzWreck(f *testing.F) {
	w := wear(f, 5, true)
	raw, err := os.ReadFile(filepath.Join(w.dir, "telemetry.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[:64<<10], uint32(0), []byte{})
	f.Add(raw, uint32(8192+8), []byte{1, 0, 0xff, 0xff})
	f.Add(raw[8192:], uint32(0), []byte{})
	f.Add([]byte("text"), uint32(0), []byte{})
	classes := []telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth}
	store := firstStore(&w, telemetry.ClassTelemetry)
	f.Fuzz(func(t *testing.T, img []byte, at uint32, patch []byte) {
		img = bytes.Clone(img)
		if int(at) < len(img) {
			copy(img[at:], patch)
		}
		p, err := wreck.Open(bytes.NewReader(img), int64(len(img)))
		if err != nil {
			t.Fatal(err)
		}
		wr := newSearch(p, classes, []telemetry.StoreID{store})
		wr.papers()
		for fd := range wr.finds {
			if fd.stream == nil {
				continue
			}
			n := telemetry.Name{Store: fd.stream.store, Class: fd.stream.class, Seq: fd.seq}
			_, blob, err := openRecord(n, fd.rec)
			if err != nil {
				t.Fatalf("%v: %v", n, err)
			}
			if was := w.given[n]; was != nil && !bytes.Equal(was, blob) {
				t.Fatalf("%v was never written so", n)
			}
		}
		wr.missing(telemetry.Gap{})
		if p.BytesRead() > int64(len(img))*64+1<<20 {
			t.Fatalf("read %d bytes of a file of %d", p.BytesRead(), len(img))
		}
	})
}
