package wreck_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"obu/buffer/wreck"
)

const rows = 400

// image makes a file that bbolt wrote: a bucket of small values, a bucket whose
// value overflows its page, and one that lies inline.
func image(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for _, update := range []func(*bbolt.Tx) error{
		func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket([]byte("rows"))
			for i := 0; err == nil && i < rows; i++ {
				err = b.Put(binary.BigEndian.AppendUint64(nil, uint64(i)), fmt.Appendf(nil, "row %d of the table of rows", i))
			}
			return err
		},
		func(tx *bbolt.Tx) error {
			for name, value := range map[string][]byte{"large": bytes.Repeat([]byte("large "), 5000), "small": []byte("s")} {
				b, err := tx.CreateBucket([]byte(name))
				if err != nil {
					return err
				}
				if err := b.Put([]byte("v"), value); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		if err := db.Update(update); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestWalk reads every value of a sound file, by both roots what each knows.
func TestWalk(t *testing.T) {
	raw := image(t)
	if rolledBack, err := wreck.Prove(bytes.NewReader(raw), int64(len(raw))); err != nil || rolledBack {
		t.Fatalf("a sound file: %v, %v", rolledBack, err)
	}
	f, err := wreck.Open(bytes.NewReader(raw), int64(len(raw)))
	if err != nil || f.Roots() != 2 {
		t.Fatalf("%d roots, %v", f.Roots(), err)
	}
	for root, want := range []map[string]int{{"rows": rows, "large": 1, "small": 1}, {"rows": rows}} {
		got := map[string]int{}
		whole := f.Walk(root, func(b wreck.Item) bool {
			return f.Within(b, func(it wreck.Item) bool {
				got[string(b.Key)]++
				if string(b.Key) == "large" && len(it.Value) != 30_000 {
					t.Errorf("large value of %d bytes", len(it.Value))
				}
				return true
			}, func() { t.Errorf("%s is not whole", b.Key) })
		})
		if !whole || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("root %d: %v, whole %v, want %v", root, got, whole, want)
		}
	}
}

// badSectors is a disk that does not give some pages.
type badSectors struct {
	io.ReaderAt
	bad map[int64]bool // pages
}

func (d badSectors) ReadAt(b []byte, at int64) (int, error) {
	for p := at / 4096; p*4096 < at+int64(len(b)); p++ {
		if d.bad[p] {
			return 0, syscall.EIO
		}
	}
	return d.ReaderAt.ReadAt(b, at)
}

// TestBadSector: what cannot be read is the disk's error and no verdict, and
// hides nothing beside it.
func TestBadSector(t *testing.T) {
	raw := image(t)
	all := int64(len(raw) / 4096)
	for page := range all {
		r := badSectors{bytes.NewReader(raw), map[int64]bool{page: true}}
		_, err := wreck.Prove(r, int64(len(raw)))
		if err != nil && (!wreck.Unreadable(err) || !errors.Is(err, syscall.EIO)) {
			t.Errorf("page %d: %v is a verdict", page, err)
		}
		f, oerr := wreck.Open(r, int64(len(raw)))
		if (oerr != nil) != (page < 2) {
			t.Errorf("page %d: open: %v", page, oerr)
		}
		found := map[uint64]bool{}
		f.Sweep(func(it wreck.Item) bool {
			if len(it.Key) == 8 {
				found[binary.BigEndian.Uint64(it.Key)] = true
			}
			return true
		}, func() bool { return true })
		if len(found) < rows-150 { // of a page
			t.Errorf("page %d hides all but %d of %d rows", page, len(found), rows)
		}
		if page >= 2 && f.Faults() == 0 {
			t.Errorf("page %d: no fault counted", page)
		}
	}
}

// FuzzFile: no content ends the reader, keeps it for ever or takes memory that
// the file's size does not account for; of a proven file every element
// can be read.
func FuzzFile(f *testing.F) {
	raw := image(f)
	f.Add(uint32(0), []byte{})
	f.Add(uint32(64), []byte{0xff, 0xff, 0xff})
	f.Add(uint32(3*4096+8), []byte{1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Add(uint32(4*4096+12), []byte{9})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		img := bytes.Clone(raw)
		copy(img[min(int(at), len(img)):], patch)
		size := int64(len(img))
		_, err := wreck.Prove(bytes.NewReader(img), size)
		if wreck.Unreadable(err) {
			t.Fatalf("%v from memory", err)
		}
		w, oerr := wreck.Open(bytes.NewReader(img), size)
		if oerr != nil {
			t.Fatal(oerr)
		}
		seen := 0
		count := func(wreck.Item) bool { seen++; return true }
		for i := range w.Roots() {
			hurt := false
			whole := w.Walk(i, func(b wreck.Item) bool { return w.Within(b, count, func() { hurt = true }) })
			if i == 0 && err == nil && (!whole || hurt) {
				t.Fatal("a proven file is not whole")
			}
		}
		w.Sweep(func(it wreck.Item) bool {
			return !it.Bucket || !w.Again(it) || w.Within(it, count, nil)
		}, func() bool { return true })
		if limit := 64*size + 1<<20; w.BytesRead() > limit {
			t.Fatalf("read %d bytes of a file of %d", w.BytesRead(), size)
		}
	})
}
