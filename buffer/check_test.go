package buffer

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"obu/telemetry"
)

// TestCheckWhileRunning: of a store in use the batches that rotted are found,
// page by page, and only those; what is checked stays as it is.
func TestCheckWhileRunning(t *testing.T) {
	dir, now := t.TempDir(), telemetry.At(time.Hour)
	b, err := Open(t.Context(), Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var names []telemetry.Name
	rotten := map[uint64][]byte{}
	for i := range 200 {
		now = now.Add(time.Second)
		c := telemetry.Content{Anchors: []telemetry.Anchor{{At: now, By: telemetry.AnchorNTP}}, Chunks: []telemetry.Chunk{{Data: bytes.Repeat([]byte{byte(i), 7}, 300)}}}
		n, err := b.Commit([]Entry{{Class: telemetry.ClassTelemetry, Content: c}})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, n...)
		if i%3 == 0 {
			b.Ack(n[0]) // a hole, so that there are more runs than one look takes
		} else if i == 40 || i == 190 {
			got, err := b.Read(n[0].Store, n[0].Class, n[0].Seq, 1)
			if err != nil || len(got) != 1 {
				t.Fatalf("read: %v", err)
			}
			rotten[n[0].Seq] = got[0].Blob
		}
	}
	spoilInPlace(t, filepath.Join(dir, "telemetry.db"), rotten)
	held := b.Stats().Batches
	for _, page := range []int{1, 4000, math.MaxInt} {
		var damaged []uint64
		batches, from := 0, uint64(1)
		for {
			c, err := b.Check(names[0].Store, telemetry.ClassTelemetry, from, page)
			if err != nil || c.Batches > 0 && c.Last < from {
				t.Fatalf("from %d: %+v, %v", from, c, err)
			}
			if c.Batches == 0 {
				break
			}
			batches, damaged, from = batches+c.Batches, append(damaged, c.Damaged...), c.Last+1
		}
		if batches != held || !slices.Equal(damaged, []uint64{41, 191}) {
			t.Errorf("in pages of %d: %d batches of %d, damaged %v", page, batches, held, damaged)
		}
	}
	if st := b.Stats(); st.Batches != held || st.Gaps != 0 {
		t.Errorf("a check changed something: %+v", st)
	}
}

// spoilInPlace flips a bit in each content, wherever it lies in a file in use.
func spoilInPlace(t *testing.T, path string, contents map[uint64][]byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for seq, blob := range contents {
		n := 0
		for at := bytes.Index(raw, blob); at >= 0; at = bytes.Index(raw, blob) {
			raw[at+len(blob)/2] ^= 4
			if _, err := f.WriteAt(raw[at+len(blob)/2:][:1], int64(at+len(blob)/2)); err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n == 0 {
			t.Fatalf("seq %d is not in the file", seq)
		}
	}
}
