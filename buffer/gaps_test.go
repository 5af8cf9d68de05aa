package buffer_test

import (
	"testing"

	"obu/buffer"
	"obu/telemetry"
)

// TestGapTableIsBounded: far more losses than rows leave a bounded table in
// which every loss still stands.
func TestGapTableIsBounded(t *testing.T) {
	b := open(t, t.TempDir())
	defer b.Close()
	store := telemetry.StoreID{1}
	var names []telemetry.Name
	for i := range 3 * buffer.MaxGapRows {
		n := telemetry.Name{Store: store, Class: telemetry.ClassTelemetry, Seq: uint64(i)*3 + 1}
		names = append(names, n)
		b.Lost(telemetry.Gap{Class: n.Class, Store: n.Store, FromSeq: n.Seq, ToSeq: n.Seq, Count: 1, Reason: telemetry.ReasonRefused})
		if i%500 == 0 {
			if _, err := b.Commit(nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	if n := b.Stats().Gaps; n > buffer.MaxGapRows || n < buffer.MaxGapRows/2 {
		t.Errorf("%d rows", n)
	}
	_, gaps := drainAll(t, b)
	last := map[uint64]telemetry.Gap{}
	for _, g := range gaps {
		if last[g.ID].Version < g.Version {
			last[g.ID] = g
		}
	}
	for _, n := range names {
		if !coveredBy(gaps, n) {
			t.Fatalf("%v is listed no more", n)
		}
	}
}

// TestGapVersions: a row goes out, widens while it is out, goes out again with
// a higher version, and leaves after the acknowledgement of that.
func TestGapVersions(t *testing.T) {
	b := open(t, t.TempDir())
	defer b.Close()
	lose := func(count int64) {
		b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: telemetry.BootID{1}, Count: count, Reason: telemetry.ReasonDecode, Source: "gps"})
		if _, err := b.Commit(nil); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (telemetry.Name, []telemetry.Gap) {
		for _, s := range b.Streams() {
			got, err := b.Read(s.Store, s.Class, s.Floor, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 1 {
				batch, err := telemetry.DecodeBatch(got[0].Name, got[0].Blob)
				if err != nil {
					t.Fatal(err)
				}
				return got[0].Name, batch.Gaps
			}
			if len(got) > 1 {
				t.Fatalf("%d events for one row", len(got))
			}
		}
		return telemetry.Name{}, nil
	}
	lose(3)
	for range 100 { // a storm while the first event is on its way
		lose(1)
	}
	first, gaps := read()
	if len(gaps) != 1 || gaps[0].Version != 1 || gaps[0].Count != 3 {
		t.Fatalf("first %+v", gaps)
	}
	b.Ack(first)
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	second, gaps := read()
	if len(gaps) != 1 || gaps[0].Version != 101 || gaps[0].Count != 103 {
		t.Fatalf("second %+v", gaps)
	}
	b.Ack(second)
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	if n, gaps := read(); len(gaps) != 0 || b.Stats().Gaps != 0 {
		t.Fatalf("%v still carries %+v", n, gaps)
	}
	// Refused events and refused data are losses like others.
	names, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: numbered(1)}})
	if err != nil {
		t.Fatal(err)
	}
	b.Refuse(names[0], telemetry.ReasonRefused)
	b.Refuse(names[0], telemetry.ReasonRefused)
	_, all := drainAll(t, b)
	if len(all) != 1 || !all[0].Covers(names[0]) || all[0].Count != 1 {
		t.Fatalf("refused: %+v", all)
	}
}

// TestOverlappingLossesAreNotCountedTwice: what two losses have in common counts
// once, and how much that is nobody knows.
func TestOverlappingLossesAreNotCountedTwice(t *testing.T) {
	type loss struct {
		from, to uint64
		count    int64
	}
	for name, c := range map[string]struct{ a, b, want loss }{
		"neighbours":   {loss{1, 10, 10}, loss{11, 20, 30}, loss{1, 20, 40}},
		"told twice":   {loss{1, 10, 10}, loss{1, 10, 10}, loss{1, 10, 10}},
		"overlapping":  {loss{1, 10, 10}, loss{5, 15, 11}, loss{1, 15, telemetry.CountUnknown}},
		"one in other": {loss{1, 10, 10}, loss{3, 3, 1}, loss{1, 10, telemetry.CountUnknown}},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, t.TempDir())
			defer b.Close()
			for _, l := range []loss{c.a, c.b} {
				b.Lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Store: telemetry.StoreID{1}, FromSeq: l.from, ToSeq: l.to, Count: l.count, Reason: telemetry.ReasonRefused})
			}
			_, gaps := drainAll(t, b)
			if len(gaps) != 1 || (loss{gaps[0].FromSeq, gaps[0].ToSeq, gaps[0].Count}) != c.want {
				t.Errorf("%+v, want %+v", gaps, c.want)
			}
		})
	}
}
