package buffer_test

import (
	"syscall"
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// TestListIsReadWithoutContent: in pages of any size, with holes of what was
// acknowledged, on disk and in memory, List gives what Read does.
func TestListIsReadWithoutContent(t *testing.T) {
	for name, faults := range map[string]buffer.Faults{"disk": {}, "memory": {BeforeCommit: func(string) error { return syscall.ENOSPC }}} {
		t.Run(name, func(t *testing.T) {
			b := open(t, t.TempDir(), func(o *buffer.Options) { buffer.Break(o, faults) })
			defer b.Close()
			var entries []buffer.Entry
			for i := range 600 {
				entries = append(entries, buffer.Entry{Class: telemetry.ClassTelemetry, Content: track(i)})
			}
			names, err := b.Commit(entries)
			if err != nil && len(names) == 0 {
				t.Fatal(err)
			}
			for i := 0; i < len(names); i += 4 { // more runs than one look takes
				b.Ack(names[i])
			}
			n := names[0]
			for _, rows := range []int{1, 7, 1000} {
				var got []buffer.Listed
				for from := uint64(1); ; {
					page, err := b.List(n.Store, n.Class, from, rows)
					if err != nil || len(page) > rows {
						t.Fatalf("%d rows of %d: %v", len(page), rows, err)
					}
					if len(page) == 0 {
						break
					}
					got, from = append(got, page...), page[len(page)-1].Seq+1
				}
				i := 0
				for from := uint64(1); ; {
					page, err := b.Read(n.Store, n.Class, from, 1<<16)
					if err != nil {
						t.Fatal(err)
					}
					if len(page) == 0 {
						break
					}
					for _, s := range page {
						if want := (buffer.Listed{Name: s.Name, Values: s.Values, SizeBytes: len(s.Blob)}); i >= len(got) || got[i] != want {
							t.Fatalf("row %d of %d is not %+v", i, len(got), want)
						}
						i++
					}
					from = page[len(page)-1].Seq + 1
				}
				if i != 450 || len(got) != i {
					t.Errorf("%d rows listed, %d read", len(got), i)
				}
			}
		})
	}
}
