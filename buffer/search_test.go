package buffer

import (
	"bytes"
	"testing"

	"obu/buffer/wreck"
	"obu/telemetry"
)

// FuzzSearch: no content ends a search or keeps it for ever, and it never
// yields a batch that was not written.
func FuzzSearch(f *testing.F) {
	w := wear(f, 5, true)
	raw := w.files["telemetry.db"]
	f.Add(uint32(0), uint32(len(raw)), uint32(0), []byte{})
	f.Add(uint32(0), uint32(64<<10), uint32(0), []byte{})
	f.Add(uint32(0), uint32(len(raw)), uint32(8192+8), []byte{1, 0, 0xff, 0xff})
	f.Add(uint32(8192), uint32(len(raw)), uint32(0), []byte{})
	f.Add(uint32(0), uint32(4), uint32(0), []byte("text"))
	classes := []telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth}
	store := firstStore(&w, telemetry.ClassTelemetry)
	f.Fuzz(func(t *testing.T, from, to, at uint32, patch []byte) {
		img := bytes.Clone(raw[min(int(from), len(raw)):])
		img = img[:min(int(to), len(img))]
		copy(img[min(int(at), len(img)):], patch)
		p, err := wreck.Open(bytes.NewReader(img), int64(len(img)))
		if err != nil {
			t.Fatal(err)
		}
		s := newSearch(p, classes, []telemetry.StoreID{store})
		s.papers()
		for fd := range s.finds {
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
		s.missing(telemetry.Gap{})
		if p.BytesRead() > int64(len(img))*64+1<<20 {
			t.Fatalf("read %d bytes of a file of %d", p.BytesRead(), len(img))
		}
	})
}
