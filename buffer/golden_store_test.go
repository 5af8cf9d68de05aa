package buffer_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// goldenStore is what a store of an earlier format holds, as the obu that wrote
// it said.
type goldenStore struct {
	Batches  map[string]string `json:"batches"`  // name: SHA-256 of the blob
	Commands map[string]string `json:"commands"` // id: reply
	Gaps     []string          `json:"gaps"`     // class, store, seqs, reason
	Clips    map[string]string `json:"clips"`    // key: bytes stored, done
}

func nameText(n telemetry.Name) string { return fmt.Sprintf("%s %s %d", n.Store, n.Class, n.Seq) }

func sumText(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// writeGolden lives a small life in dir and says what it left. Run with
// OBU_GOLDEN=DIR it writes the store of the format this obu writes.
func writeGolden(t *testing.T, dir string) goldenStore {
	t.Helper()
	now := telemetry.At(time.Hour)
	b := open(t, dir, func(o *buffer.Options) { o.Now = func() telemetry.At { return now } })
	g := goldenStore{Batches: map[string]string{}, Commands: map[string]string{}, Clips: map[string]string{}}
	for i := range 90 {
		now = now.Add(time.Second)
		content := numbered(i + 1)
		if i%15 == 7 { // large enough for pages of its own
			content.Chunks = []telemetry.Chunk{{Data: clipBytes(uint64(i), 0)[:3000]}}
		}
		names, err := b.Commit([]buffer.Entry{{Class: telemetry.Classes[i%3], Content: content}})
		if err != nil {
			t.Fatal(err)
		}
		if i%5 == 2 {
			b.Ack(names...)
		}
		if i%30 == 11 {
			b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Store: telemetry.StoreID{5}, FromSeq: uint64(i), ToSeq: uint64(i), Count: 3, Reason: telemetry.ReasonEvicted})
		}
	}
	for _, id := range []string{"ping-1", "ping-2"} {
		g.Commands[id] = "reply of " + id
		if err := b.Record(id, []byte(g.Commands[id]), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	var first telemetry.Name
	for i := range int64(3) {
		n, err := b.CommitChunk("cam/open", telemetry.Chunk{Clip: telemetry.ClipID{7}, Offset: i * clipChunk, Data: clipBytes(7, i)})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = n
		}
	}
	b.Ack(first)
	if _, err := b.CommitChunk("cam/done", telemetry.Chunk{Clip: telemetry.ClipID{8}, Data: clipBytes(8, 0)}); err != nil {
		t.Fatal(err)
	}
	if err := b.FinishClip("cam/done", telemetry.Clip{ID: telemetry.ClipID{8}, Camera: "cam", Name: "done.mp4", SizeBytes: clipChunk, Cause: "event"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.Streams() {
		list, err := b.Read(s.Store, s.Class, 0, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, st := range list {
			g.Batches[nameText(st.Name)] = sumText(st.Blob)
			batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
			if err != nil {
				t.Fatal(err)
			}
			for _, gap := range batch.Gaps {
				g.Gaps = append(g.Gaps, fmt.Sprintf("%s %s %d-%d %s", gap.Class, gap.Store, gap.FromSeq, gap.ToSeq, gap.Reason))
			}
		}
	}
	for _, key := range []string{"cam/open", "cam/done"} {
		stored, done, _ := b.ClipProgress(key)
		g.Clips[key] = fmt.Sprint(stored, done)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	sort.Strings(g.Gaps)
	return g
}

// TestWriteGolden writes the golden store of the present format, on request:
// once for each format, with the last obu that writes it.
func TestWriteGolden(t *testing.T) {
	to := os.Getenv("OBU_GOLDEN")
	if to == "" {
		t.Skip("skipped: writes a golden store only with OBU_GOLDEN=DIR")
	}
	dir := t.TempDir()
	g := writeGolden(t, dir)
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"telemetry.db", "media.db", "session.json"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var z bytes.Buffer
		w, _ := gzip.NewWriterLevel(&z, gzip.BestCompression)
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := os.WriteFile(filepath.Join(to, name+".gz"), z.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, _ := json.MarshalIndent(g, "", " ")
	if err := os.WriteFile(filepath.Join(to, "want.json"), append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func unpackGolden(t *testing.T, from, to string) goldenStore {
	t.Helper()
	for _, name := range []string{"telemetry.db", "media.db", "session.json"} {
		z, err := os.Open(filepath.Join(from, name+".gz"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := gzip.NewReader(z)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		z.Close()
		if err := os.WriteFile(filepath.Join(to, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var g goldenStore
	raw, err := os.ReadFile(filepath.Join(from, "want.json"))
	if err == nil {
		err = json.Unmarshal(raw, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGoldenStores: a store of every format there was opens, and all it holds
// comes out of it as it went in.
func TestGoldenStores(t *testing.T) {
	formats, _ := filepath.Glob("testdata/store/v*")
	if len(formats) < 2 {
		t.Fatalf("formats %v", formats)
	}
	for _, from := range formats {
		for _, end := range []string{"in order", "killed", "set aside as newer", "with both roots lost"} {
			t.Run(filepath.Base(from)+" "+end, func(t *testing.T) { checkGolden(t, from, end) })
		}
	}
}

func checkGolden(t *testing.T, from, end string) {
	dir := t.TempDir()
	g := unpackGolden(t, from, dir)
	path := filepath.Join(dir, "telemetry.db")
	switch end {
	case "killed":
		must(t, os.Remove(filepath.Join(dir, "session.json")))
	case "set aside as newer": // by an older obu, which then began its own
		must(t, os.Rename(path, path+".newer-1"))
		must(t, os.Rename(filepath.Join(dir, "media.db"), filepath.Join(dir, "media.db.newer-1")))
		must(t, os.Remove(filepath.Join(dir, "session.json")))
	case "with both roots lost":
		raw, err := os.ReadFile(path)
		must(t, err)
		clear(raw[:2*4096])
		must(t, os.WriteFile(path, raw, 0o600))
	}
	b := open(t, dir, func(o *buffer.Options) { o.Now = func() telemetry.At { return telemetry.At(2 * time.Hour) } })
	defer b.Close()
	lost := end == "with both roots lost"
	if !lost {
		for id, reply := range g.Commands {
			if got, ok := b.Executed(id); !ok || string(got) != reply {
				t.Errorf("command %s: %q, %v", id, got, ok)
			}
		}
		for key, want := range g.Clips {
			if stored, done, _ := b.ClipProgress(key); fmt.Sprint(stored, done) != want {
				t.Errorf("clip %s: %d, %v, want %s", key, stored, done, want)
			}
		}
	}
	got, gaps := blobsOf(t, b)
	for name, sum := range g.Batches {
		if got[name] != sum {
			t.Errorf("%s: %q, want %q", name, got[name], sum)
		}
	}
	for _, want := range g.Gaps {
		if !slices.Contains(gaps, want) {
			t.Errorf("gap %s is not delivered", want)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.newer-*")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	if !lost {
		for _, gap := range gaps {
			if strings.Contains(gap, string(telemetry.ReasonDamagedStore)) {
				t.Errorf("listed as lost: %s", gap)
			}
		}
	}
}

// blobsOf drains a buffer until nothing is held or being salvaged.
func blobsOf(t *testing.T, b *buffer.Buffer) (blobs map[string]string, gaps []string) {
	t.Helper()
	blobs = map[string]string{}
	for range 1000 {
		if _, err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, s := range b.Streams() {
			held += s.Batches
			list, err := b.Read(s.Store, s.Class, 0, 1<<20)
			must(t, err)
			for _, st := range list {
				if was, twice := blobs[nameText(st.Name)]; twice && was != sumText(st.Blob) {
					t.Errorf("%v has two contents", st.Name)
				}
				blobs[nameText(st.Name)] = sumText(st.Blob)
				batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
				must(t, err)
				for _, g := range batch.Gaps {
					gaps = append(gaps, fmt.Sprintf("%s %s %d-%d %s", g.Class, g.Store, g.FromSeq, g.ToSeq, g.Reason))
				}
				b.Ack(st.Name)
			}
		}
		if st := b.Stats(); held == 0 && st.Salvaging == 0 && st.Gaps == 0 {
			return blobs, gaps
		}
	}
	t.Fatalf("the drain does not end: %+v", b.Stats())
	return nil, nil
}

// beforeTail is the last commit that writes format 1.
const beforeTail = "da3288bbfe3e"

// oldProgram uses a buffer of an earlier obu: it stores batches, prints what it
// stored and holds, and leaves in order.
const oldProgram = `package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

func main() {
	b, err := buffer.Open(context.Background(), buffer.Options{Dir: os.Args[1], Unit: "sim-1", Vehicle: "car", Boot: telemetry.BootID{1},
		Now: func() telemetry.At { return telemetry.At(3 * time.Hour) }})
	if err != nil {
		panic(err)
	}
	for i := range 20 {
		c := telemetry.Content{Anchors: []telemetry.Anchor{{At: telemetry.At(i) * 1e9, By: telemetry.AnchorNTP}}}
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.Classes[i%3], Content: c}}); err != nil {
			panic(err)
		}
	}
	if err := b.Record("old-1", []byte("old reply"), time.Time{}); err != nil {
		panic(err)
	}
	for _, s := range b.Streams() {
		list, err := b.Read(s.Store, s.Class, 0, 64<<20)
		if err != nil {
			panic(err)
		}
		for _, st := range list {
			fmt.Printf("%s %s %d\t%x\n", st.Store, st.Class, st.Seq, sha256.Sum256(st.Blob))
		}
	}
	if err := b.Close(); err != nil {
		panic(err)
	}
}
`

// TestUpDownUp: a unit goes back to the obu before the present format and
// forward again, with batches that nobody fetched in between: every batch of
// all three comes, under the name and with the content it was given.
func TestUpDownUp(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: builds an earlier obu")
	}
	src := t.TempDir()
	if err := exec.Command("git", "cat-file", "-e", beforeTail).Run(); err != nil {
		t.Skipf("skipped: the history with %s is not here (a shallow clone?): %v", beforeTail, err)
	}
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	must(t, err)
	out, err := exec.Command("/bin/sh", "-c", "cd '"+strings.TrimSpace(string(top))+"' && git archive "+beforeTail+" | tar -x -C '"+src+"'").CombinedOutput()
	if err != nil {
		t.Skipf("skipped: the earlier obu cannot be unpacked: %v %s", err, out)
	}
	must(t, os.Mkdir(filepath.Join(src, "cmd/earlier"), 0o755))
	must(t, os.WriteFile(filepath.Join(src, "cmd/earlier/main.go"), []byte(oldProgram), 0o644))
	build := exec.Command("go", "build", "-o", filepath.Join(src, "earlier"), "./cmd/earlier")
	build.Dir = src
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	dir := t.TempDir()
	g := writeGolden(t, dir)
	raw, err := exec.Command(filepath.Join(src, "earlier"), dir).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("the earlier obu: %v\n%s", err, exit.Stderr)
	}
	must(t, err)
	if aside, _ := filepath.Glob(filepath.Join(dir, "*.newer-*")); len(aside) == 0 {
		t.Fatal("the earlier obu did not set the newer store aside")
	}
	b := open(t, dir, func(o *buffer.Options) { o.Now = func() telemetry.At { return telemetry.At(4 * time.Hour) } })
	defer b.Close()
	for id, reply := range map[string]string{"ping-1": "reply of ping-1", "old-1": "old reply"} {
		if got, ok := b.Executed(id); !ok || string(got) != reply {
			t.Errorf("command %s: %q, %v", id, got, ok)
		}
	}
	got, _ := blobsOf(t, b)
	for _, line := range strings.Split(strings.TrimSpace(string(raw)), "\n") {
		name, sum, _ := strings.Cut(line, "\t")
		if got[name] != sum {
			t.Errorf("of the earlier obu %s: %q, want %q", name, got[name], sum)
		}
	}
	for name, sum := range g.Batches {
		if got[name] != sum {
			t.Errorf("%s: %q, want %q", name, got[name], sum)
		}
	}
}
