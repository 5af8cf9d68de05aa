package buffer

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"obu/buffer/wreck"
	"obu/telemetry"
)

// realFile makes a telemetry.db with a history of appends, deletes and large
// records, and returns its bytes.
func realFile(t testing.TB, seed uint64, commits int) []byte {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 9))
	dir := t.TempDir()
	b, err := Open(t.Context(), Options{Dir: dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range commits {
		var entries []Entry
		for range 1 + rnd.IntN(4) {
			pad := make([]byte, rnd.IntN(700)*(1+6*(rnd.IntN(9)/8)))
			for k := range pad {
				pad[k] = byte(rnd.Uint32())
			}
			c := telemetry.Content{Anchors: []telemetry.Anchor{{At: telemetry.At(i), By: telemetry.AnchorNTP}}, Chunks: []telemetry.Chunk{{Data: pad}}}
			entries = append(entries, Entry{Class: telemetry.Classes[rnd.IntN(3)], Content: c})
		}
		names, err := b.Commit(entries)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if rnd.IntN(3) == 0 {
				b.Ack(n)
			}
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "telemetry.db"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// hurt damages a file in one of the ways disks and cables do.
func hurt(rnd *rand.Rand, p []byte) []byte {
	const page = 4096
	at := func() int { return rnd.IntN(max(len(p)/page, 1)) * page }
	span := func(i int) []byte { return p[i:min(i+page, len(p))] }
	switch rnd.IntN(10) {
	case 0:
		p[rnd.IntN(len(p))] ^= 1 << rnd.IntN(8)
	case 1:
		for range 2 + rnd.IntN(40) {
			p[rnd.IntN(len(p))] ^= 1 << rnd.IntN(8)
		}
	case 2: // where structure lies
		for range 1 + rnd.IntN(3) {
			p[min(at()+rnd.IntN(64), len(p)-1)] ^= 1 << rnd.IntN(8)
		}
	case 3:
		for range 1 + rnd.IntN(3) {
			clear(span(at()))
		}
	case 4:
		for range 1 + rnd.IntN(3) {
			s := span(at())
			for i := range s {
				s[i] = byte(rnd.Uint32())
			}
		}
	case 5:
		p = p[:rnd.IntN(len(p))]
	case 6: // one page written in place of another
		copy(span(at()), bytes.Clone(span(at())))
	case 7:
		i, j := at(), at()
		s := bytes.Clone(span(i))
		copy(span(i), span(j))
		copy(span(j), s)
	case 8: // half a page, from a sector on
		s := span(at())
		clear(s[min(rnd.IntN(8)*512, len(s)):])
	case 9: // one of the roots
		p[min(rnd.IntN(2)*page+16+rnd.IntN(64), len(p)-1)] ^= 1 << rnd.IntN(8)
	}
	return p
}

// TestProvenFilesOpen: whatever is proven bbolt opens, reads to its end and
// writes to; a file for which it would end the process is never proven. It
// would end this one.
func TestProvenFilesOpen(t *testing.T) {
	rnd := rand.New(rand.NewPCG(4, 5))
	path := filepath.Join(t.TempDir(), "f.db")
	proven, images := 0, 600
	if testing.Short() {
		images = 200
	}
	for seed := range uint64(3) {
		sound := realFile(t, seed, 60+int(seed)*60)
		if _, err := wreck.Prove(bytes.NewReader(sound), int64(len(sound))); err != nil {
			t.Fatalf("a sound file: %v", err)
		}
		for range images / 3 {
			img := hurt(rnd, bytes.Clone(sound))
			_, err := wreck.Prove(bytes.NewReader(img), int64(len(img)))
			if err != nil {
				if !errors.Is(err, ErrDamaged) {
					t.Fatalf("%v is no verdict", err)
				}
				continue
			}
			proven++
			if err := os.WriteFile(path, img, 0o600); err != nil {
				t.Fatal(err)
			}
			rolled, _ := wreck.Prove(bytes.NewReader(img), int64(len(img)))
			useAll(t, path, !rolled)
		}
	}
	t.Logf("%d of %d damaged images are safe to open", proven, images)
}

// useAll opens a file and touches every element of it. bbolt's own check stops
// at a root that is not sound, its use does not.
func useAll(t *testing.T, path string, check bool) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, NoSync: true})
	if err != nil {
		t.Fatalf("proven, and bbolt says %v", err)
	}
	defer db.Close()
	var walk func(b *bbolt.Bucket) error
	walk = func(b *bbolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return walk(b.Bucket(k))
			}
			return nil
		})
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if check {
			for e := range tx.Check() {
				t.Errorf("proven, and bbolt's own check says %v", e)
			}
		}
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error { return walk(b) })
	})
	if err != nil {
		t.Error(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("zzz"))
		if err != nil {
			return err
		}
		return b.Put([]byte("k"), make([]byte, 9000))
	})
	if err != nil {
		t.Error(err)
	}
}

// FuzzProve: no content ends the prover, and what it accepts bbolt's own check
// accepts.
func FuzzProve(f *testing.F) {
	sound := realFile(f, 7, 20)
	f.Add(sound, uint32(0), []byte{})
	f.Add(sound[:8192], uint32(40), []byte{1, 2, 3})
	f.Add([]byte("text"), uint32(0), []byte{})
	f.Fuzz(func(t *testing.T, img []byte, at uint32, patch []byte) {
		img = bytes.Clone(img)
		if int(at) < len(img) {
			copy(img[at:], patch)
		}
		rolled, err := wreck.Prove(bytes.NewReader(img), int64(len(img)))
		if err != nil {
			return
		}
		path := filepath.Join(t.TempDir(), "f.db")
		if err := os.WriteFile(path, img, 0o600); err != nil {
			t.Fatal(err)
		}
		useAll(t, path, !rolled)
	})
}
