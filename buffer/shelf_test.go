package buffer_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// seqsOf reads every held batch of telemetry.
func seqsOf(t *testing.T, b *buffer.Buffer) []uint64 {
	t.Helper()
	var out []uint64
	for _, s := range b.Streams() {
		if s.Class != telemetry.ClassTelemetry {
			continue
		}
		for from := s.Floor; ; {
			got, err := b.Read(s.Store, s.Class, from, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 0 {
				break
			}
			for _, st := range got {
				if len(out) > 0 && st.Seq <= out[len(out)-1] && st.Seq != 1 {
					t.Fatalf("seq %d after %d", st.Seq, out[len(out)-1])
				}
				out = append(out, st.Seq)
			}
			from = got[len(got)-1].Seq + 1
		}
	}
	return out
}

// TestTailAndTreeAreOne: batches of every size, in the tail, in the tree and in
// buckets of their own, are read in order and are there after a restart.
func TestTailAndTreeAreOne(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(3, 1))
	b := open(t, dir)
	var want []uint64
	for i := range 200 {
		size := 40 + rnd.IntN(300)
		switch rnd.IntN(6) {
		case 0:
			size = 1000 + rnd.IntN(1200) // waits in the tail, then gets a bucket
		case 1:
			size = 5000
		}
		n, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: padded(i, size)}})
		if err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(3) == 0 {
			b.Ack(n...)
		} else {
			want = append(want, n[0].Seq)
		}
		same(t, want, seqsOf(t, b))
	}
	b.Crash()
	b = open(t, dir)
	defer b.Close()
	if got := seqsOf(t, b); len(got) < len(want) || len(got) > len(want)+1 { // the last acknowledgement had no commit
		t.Errorf("%d batches after the restart, want %d", len(got), len(want))
	}
	r, err := func() (buffer.Report, error) { b.Close(); return buffer.Inspect(context.Background(), dir) }()
	if err != nil || len(r.Files) != 1 || len(r.Files[0].Damaged) > 0 {
		t.Errorf("inspect: %+v, %v", r, err)
	}
	held := 0
	if err := buffer.Each(context.Background(), dir, func(b buffer.Batch) error {
		if b.Class == telemetry.ClassTelemetry {
			held++
		}
		return nil
	}); err != nil || held < len(want) || held > len(want)+1 {
		t.Errorf("Each handed out %d of %d batches: %v", held, len(want), err)
	}
}

func same(t *testing.T, want, got []uint64) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d batches, want %d", len(got), len(want))
	}
	for i := range want {
		if want[i] != got[i] {
			t.Fatalf("batch %d is seq %d, want %d", i, got[i], want[i])
		}
	}
}

// TestAcknowledgedStaysSo: an acknowledgement that one commit followed is
// durable, although the record itself leaves the tree later.
func TestAcknowledgedStaysSo(t *testing.T) {
	dir := t.TempDir()
	now := telemetry.At(time.Hour)
	edit := func(o *buffer.Options) { o.Now = func() telemetry.At { return now } }
	b := open(t, dir, edit)
	entries := make([]buffer.Entry, 300) // more than the tail holds
	for i := range entries {
		entries[i] = buffer.Entry{Class: telemetry.ClassTelemetry, Content: track(i)}
	}
	names, err := b.Commit(entries)
	if err != nil {
		t.Fatal(err)
	}
	before := b.Stats()
	for i := 0; i < 300; i += 2 { // no two neighbours: as many runs as there can be
		b.Ack(names[i])
	}
	if _, err := b.Commit(nil); err != nil {
		t.Fatal(err)
	}
	after := b.Stats()
	if after.Batches != 150 || after.Values != before.Values/2 || after.BacklogBytes > before.BacklogBytes*6/10 {
		t.Errorf("the backlog still counts what was acknowledged: %+v, before %+v", after, before)
	}
	b.Crash()
	b = open(t, dir, edit)
	if got := seqsOf(t, b); len(got) != 150 || got[0] != 2 {
		t.Fatalf("%d batches after a power cut, the first %v: acknowledged ones came back", len(got), got[:min(3, len(got))])
	}
	if s := b.Stats(); s.Batches != 151 && s.Batches != 150 && s.Values < 150*11 { // the unclean start adds events
		t.Errorf("after the restart: %+v", s)
	}
	for range 40 { // what was dropped leaves the file, a bounded part at a time
		now = now.Add(11 * time.Minute)
		if _, err := b.Commit([]buffer.Entry{{Class: telemetry.ClassTelemetry, Content: track(1)}}); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.Dropped(); n != 0 {
		t.Errorf("%d dropped records still lie in the file", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := buffer.Inspect(context.Background(), dir)
	if err != nil || len(r.Files) != 1 || r.Files[0].Records > 150+40+10 {
		t.Errorf("records in the file: %+v, %v", r.Files, err)
	}
}

// TestDroppedMakesRoom: delivered batches that wait to be swept are no reason
// to evict undelivered ones.
func TestDroppedMakesRoom(t *testing.T) {
	b := open(t, t.TempDir(), func(o *buffer.Options) { o.TelemetryQuota = 256 << 10 })
	defer b.Close()
	for i := range 800 {
		n, err := b.Commit([]buffer.Entry{
			{Class: telemetry.ClassTelemetry, Content: padded(i, 900)}, {Class: telemetry.ClassTelemetry, Content: padded(i, 900)},
			{Class: telemetry.ClassTelemetry, Content: padded(i, 900)}, {Class: telemetry.ClassTelemetry, Content: padded(i, 900)},
			{Class: telemetry.ClassTelemetry, Content: padded(i, 900)}, {Class: telemetry.ClassTelemetry, Content: padded(i, 900)},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.Ack(n...)
	}
	if s := b.Stats(); s.Evicted > 0 || s.Failures > 0 {
		t.Errorf("evicted %d although everything was delivered: %+v", s.Evicted, s)
	}
}
