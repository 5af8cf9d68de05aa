package buffer

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/buffer/wreck"
	"obu/telemetry"
)

// tailedFile is a telemetry.db of a stream with a hole of acknowledged batches
// and a full tail; held is what it owes.
func tailedFile(t *testing.T) (raw []byte, held map[telemetry.Name][]byte) {
	t.Helper()
	dir, now := t.TempDir(), telemetry.At(time.Hour)
	b, err := Open(t.Context(), Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }})
	if err != nil {
		t.Fatal(err)
	}
	b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Store: telemetry.StoreID{9}, FromSeq: 5, ToSeq: 5, Count: 1, Reason: telemetry.ReasonEvicted})
	held = map[telemetry.Name][]byte{}
	for i := range 70 {
		now = now.Add(time.Second)
		if i == 45 {
			now = now.Add(sweepEvery) // what is acknowledged leaves the tree
		}
		names, err := b.Commit([]Entry{{Class: telemetry.ClassHealth, Content: telemetry.Content{Anchors: []telemetry.Anchor{{At: now, By: telemetry.AnchorNTP}}}}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Read(names[0].Store, names[0].Class, names[0].Seq, 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("read %v: %d, %v", names[0], len(got), err)
		}
		held[names[0]] = got[0].Blob
		if i == 44 {
			for n := range held {
				if n.Seq >= 5 && n.Seq < 29 {
					b.Ack(n)
					delete(held, n)
				}
			}
		}
	}
	b.Crash()
	if raw, err = os.ReadFile(filepath.Join(dir, "telemetry.db")); err != nil {
		t.Fatal(err)
	}
	return raw, held
}

// spoil flips a bit wherever what lies in raw.
func spoil(t *testing.T, raw, what []byte) {
	t.Helper()
	n := 0
	for at := bytes.Index(raw, what); at >= 0; at = bytes.Index(raw, what) {
		raw[at+len(what)/2] ^= 4
		n++
	}
	if n == 0 {
		t.Fatal("what is to be spoiled is not in the file")
	}
}

// TestBucketOfAnotherName: the name of the tail is spoiled, and one batch beside
// a hole of acknowledged ones. As many seqs as are missing could lie in that
// hole; still what the tail held is listed.
func TestBucketOfAnotherName(t *testing.T) {
	raw, held := tailedFile(t)
	for n, blob := range held {
		if n.Seq == 29 {
			spoil(t, raw, blob)
		}
	}
	spoil(t, raw, bucketTail)
	allFoundOrListed(t, raw, held)
}

// TestKeyOfAnotherLength: of one batch the key's length is spoiled, and another
// one beside a hole of acknowledged ones. Both are listed.
func TestKeyOfAnotherLength(t *testing.T) {
	raw, held := tailedFile(t)
	for n, blob := range held {
		if n.Seq == 29 {
			spoil(t, raw, blob)
		}
	}
	const page, elem = 4096, 16
	le, lengthened := binary.LittleEndian, 0
	for at := 2 * page; at < len(raw); at += page {
		count := int(le.Uint16(raw[at+10:]))
		last := at + elem*count // its element: no other key after it tells
		if raw[at+8] != 2 || count < 2 || last+elem > at+page {
			continue
		}
		pos, key, value := int(le.Uint32(raw[last+4:])), int(le.Uint32(raw[last+8:])), int(le.Uint32(raw[last+12:]))
		if key == 8 && last+pos+256+key+value <= at+page && binary.BigEndian.Uint64(raw[last+pos:]) > 29 {
			raw[last+9] = 1
			lengthened++
		}
	}
	if lengthened == 0 {
		t.Fatal("the key is not in the file")
	}
	allFoundOrListed(t, raw, held)
}

// allFoundOrListed searches a file for what it owes.
func allFoundOrListed(t *testing.T, raw []byte, held map[telemetry.Name][]byte) {
	t.Helper()
	f, err := wreck.Open(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	s := newSearch(f, telemetry.Classes[:3], nil)
	found := map[telemetry.Name]bool{}
	for fd := range s.finds {
		if fd.stream != nil {
			found[telemetry.Name{Store: fd.stream.store, Class: fd.stream.class, Seq: fd.seq}] = true
		}
	}
	missing, hidden := s.missing(telemetry.Gap{}), 0
	for n := range held {
		listed := false
		for _, g := range missing {
			listed = listed || g.Covers(n)
		}
		if !found[n] {
			hidden++
		}
		if !found[n] && !listed {
			t.Errorf("%v is neither found nor listed", n)
		}
	}
	if hidden < 2 {
		t.Errorf("%d of %d batches hidden: the test tests nothing", hidden, len(held))
	}
}

// TestGapsOfAnotherName: a Gap table whose name is spoiled is one of which rows
// may be missing.
func TestGapsOfAnotherName(t *testing.T) {
	raw, _ := tailedFile(t)
	torn := func() bool {
		f, err := wreck.Open(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		_, torn := newSearch(f, telemetry.Classes[:3], nil).papers()
		return torn
	}
	if torn() {
		t.Fatal("rows of a sound table are missing")
	}
	spoil(t, raw, bucketGaps)
	if !torn() {
		t.Error("the table is not found, and nobody is told")
	}
}

// TestOpenedWithAnotherName: a file whose structure is sound and in which a
// bucket's name is not is one that something is missing of.
func TestOpenedWithAnotherName(t *testing.T) {
	raw, _ := tailedFile(t)
	spoil(t, raw, bucketGaps)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "telemetry.db"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := wreck.Prove(bytes.NewReader(raw), int64(len(raw))); err != nil {
		t.Fatalf("%v: the test tests something else", err)
	}
	now := telemetry.At(2 * time.Hour)
	b, err := Open(t.Context(), Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 5 {
		now = now.Add(time.Second)
		if _, err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	listed := false
	for _, r := range b.gaps.sorted() {
		listed = listed || r.Class == telemetry.ClassTelemetry && r.Reason == telemetry.ReasonDamagedStore
	}
	if !listed {
		t.Error("the Gap table is gone, and nobody is told")
	}
}
