package ledger_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"obu/telemetry"
	"obu/telemetry/ledger"
)

var (
	storeA = telemetry.StoreID{0xA}
	storeB = telemetry.StoreID{0xB}
	boot1  = telemetry.BootID{1}
	boot2  = telemetry.BootID{2}
)

// samples makes a batch of n samples.
func samples(seq uint64, n int) telemetry.Batch {
	b := telemetry.Batch{Name: telemetry.Name{Store: storeA, Class: telemetry.ClassTelemetry, Seq: seq}, Boot: boot1}
	for i := range n {
		b.Samples = append(b.Samples, telemetry.Sample{At: telemetry.At(seq)*1e9 + telemetry.At(i), Value: telemetry.Int(int64(i))})
	}
	return b
}

func envelope(floor, next uint64, batches ...telemetry.Batch) telemetry.Envelope {
	return telemetry.Envelope{Unit: "u1", Vehicle: "v1", Store: storeA, Class: telemetry.ClassTelemetry,
		Boot: boot1, Floor: floor, Next: next, Batches: batches}
}

func events(floor, next, seq uint64, gaps ...telemetry.Gap) telemetry.Envelope {
	e := envelope(floor, next, telemetry.Batch{Name: telemetry.Name{Seq: seq}, Content: telemetry.Content{Gaps: gaps}})
	e.Class = telemetry.ClassEvent
	return e
}

func row(t *testing.T, l *ledger.Ledger, class telemetry.Class) ledger.Row {
	t.Helper()
	for _, r := range l.Report() {
		if r.Class == class {
			return r
		}
	}
	t.Fatalf("no row for class %v in %+v", class, l.Report())
	return ledger.Row{}
}

func TestCopyIsNotData(t *testing.T) {
	var l ledger.Ledger
	fresh, copies := l.Take(envelope(1, 3, samples(1, 5), samples(2, 7)))
	if len(fresh) != 2 || copies != 0 {
		t.Fatalf("first: %d fresh, %d copies", len(fresh), copies)
	}
	if fresh[0].Unit != "u1" || fresh[0].Vehicle != "v1" || fresh[0].Store != storeA || fresh[0].Boot != boot1 {
		t.Errorf("fresh batch lost what the envelope says: %+v", fresh[0])
	}
	fresh, copies = l.Take(envelope(1, 4, samples(2, 7), samples(3, 1)))
	if len(fresh) != 1 || fresh[0].Seq != 3 || copies != 1 {
		t.Fatalf("second: %+v fresh, %d copies", fresh, copies)
	}
	if r := row(t, &l, telemetry.ClassTelemetry); r.Batches != 3 || r.Values != 13 || r.Copies != 1 || r.Holes != 0 {
		t.Errorf("row %+v", r)
	}
}

func TestLateIsNotLost(t *testing.T) {
	var l ledger.Ledger
	l.Take(envelope(3, 11, samples(9, 1), samples(10, 1))) // live overtook history
	r := row(t, &l, telemetry.ClassTelemetry)
	if r.Holes != 2 || r.Pending != 6 {
		t.Errorf("holes %d, pending %d; want 2 and 6 (%+v)", r.Holes, r.Pending, r)
	}
	if h := l.Holes(); len(h) != 1 || h[0].From != 1 || h[0].To != 2 {
		t.Errorf("holes %+v", h)
	}
	l.Take(envelope(9, 11, samples(1, 1), samples(2, 1), samples(3, 1), samples(4, 1), samples(5, 1), samples(6, 1), samples(7, 1), samples(8, 1)))
	if r := row(t, &l, telemetry.ClassTelemetry); r.Holes != 0 || r.Pending != 0 || r.Batches != 10 {
		t.Errorf("after history: %+v", r)
	}
}

func TestGapExcusesSeq(t *testing.T) {
	var l ledger.Ledger
	l.Take(envelope(6, 7, samples(6, 1)))
	g := telemetry.Gap{ID: 1, Version: 1, Class: telemetry.ClassTelemetry, Store: storeA, FromSeq: 1, ToSeq: 3, Count: 30, Reason: telemetry.ReasonEvicted}
	l.Take(events(1, 2, 1, g))
	if r := row(t, &l, telemetry.ClassTelemetry); r.Holes != 2 || r.Missing != 30 || r.Gaps != 1 {
		t.Errorf("version 1: %+v", r)
	}
	wider := g
	wider.Version, wider.ToSeq, wider.Count = 2, 5, 50
	l.Take(events(1, 3, 2, wider))
	l.Take(events(1, 4, 3, g)) // an older version under another name
	if r := row(t, &l, telemetry.ClassTelemetry); r.Holes != 0 || r.Missing != 50 || r.Gaps != 1 || r.MissingUnknown {
		t.Errorf("version 2: %+v", r)
	}
	unnamed := telemetry.Gap{ID: 2, Version: 1, Class: telemetry.ClassTelemetry, Count: telemetry.CountUnknown, Reason: telemetry.ReasonUncleanStart}
	l.Take(events(1, 5, 4, unnamed))
	if r := row(t, &l, telemetry.ClassTelemetry); r.Gaps != 2 || !r.MissingUnknown || r.Missing != 50 {
		t.Errorf("loss before a seq was minted: %+v", r)
	}
	if got := l.Gaps("u1"); len(got) != 2 || got[0] != wider || got[1] != unnamed {
		t.Errorf("union %+v", got)
	}
}

func TestGapWithoutStreamHasRow(t *testing.T) {
	var l ledger.Ledger
	l.Take(events(1, 2, 1, telemetry.Gap{ID: 1, Version: 1, Class: telemetry.ClassMedia, Store: storeB, FromSeq: 1, ToSeq: 9, Count: 9}))
	rows := l.Report()
	if len(rows) != 2 || rows[1].Store != storeB || rows[1].Missing != 9 {
		t.Errorf("report %+v", rows)
	}
}

func TestSeqZeroIsMalformed(t *testing.T) {
	var l ledger.Ledger
	fresh, _ := l.Take(envelope(0, 0, samples(0, 1)))
	if len(fresh) != 0 || l.Malformed() != 1 {
		t.Errorf("fresh %v, malformed %d", fresh, l.Malformed())
	}
}

// split divides a chunk batch into n parts.
func split(b telemetry.Batch, n int) []telemetry.Envelope {
	var out []telemetry.Envelope
	c := b.Chunks[0]
	size := (len(c.Data) + n - 1) / n
	for i := range n {
		part := b
		lo, hi := min(i*size, len(c.Data)), min((i+1)*size, len(c.Data))
		part.Chunks = []telemetry.Chunk{{Clip: c.Clip, Offset: c.Offset + int64(lo), Data: c.Data[lo:hi]}}
		e := telemetry.Envelope{Unit: "u1", Store: storeA, Class: telemetry.ClassMedia, Boot: boot1, Floor: 1, Next: b.Seq + 1,
			Part: &telemetry.Part{Index: uint32(i), Of: uint32(n)}, Batches: []telemetry.Batch{part}}
		out = append(out, e)
	}
	return out
}

func chunkBatch(seq uint64, size int) telemetry.Batch {
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*7 + int(seq))
	}
	return telemetry.Batch{Name: telemetry.Name{Store: storeA, Class: telemetry.ClassMedia, Seq: seq}, Boot: boot1,
		Content: telemetry.Content{Chunks: []telemetry.Chunk{{Clip: telemetry.ClipID{1}, Offset: 1000, Data: data}}}}
}

func TestPartsBecomeOneBatch(t *testing.T) {
	var l ledger.Ledger
	want := chunkBatch(1, 1000)
	parts := split(want, 5)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	for i, e := range parts[:4] {
		if fresh, copies := l.Take(e); len(fresh) != 0 || copies != 0 {
			t.Fatalf("part %d: %d fresh, %d copies", i, len(fresh), copies)
		}
	}
	if _, copies := l.Take(parts[2]); copies != 1 {
		t.Errorf("a part seen again: %d copies", copies)
	}
	if r := row(t, &l, telemetry.ClassMedia); r.Partial != 1 || r.Batches != 0 || r.Pending != 1 {
		t.Errorf("before the last part: %+v", r)
	}
	fresh, _ := l.Take(parts[4])
	if len(fresh) != 1 || len(fresh[0].Chunks) != 1 || !bytes.Equal(fresh[0].Chunks[0].Data, want.Chunks[0].Data) || fresh[0].Chunks[0].Offset != 1000 {
		t.Fatalf("joined: %+v", fresh)
	}
	if _, copies := l.Take(parts[0]); copies != 1 {
		t.Errorf("part of a batch that is whole: %d copies", copies)
	}
	if r := row(t, &l, telemetry.ClassMedia); r.Partial != 0 || r.Batches != 1 || r.Values != 1 || r.Copies != 2 {
		t.Errorf("after: %+v", r)
	}
}

func TestPartsDividedAnew(t *testing.T) {
	var l ledger.Ledger
	b := chunkBatch(1, 900)
	coarse, fine := split(b, 3), split(b, 9)
	l.Take(coarse[0])
	l.Take(fine[0])
	l.Take(coarse[1])
	l.Take(fine[1])
	fresh, _ := l.Take(coarse[2])
	if len(fresh) != 1 || !bytes.Equal(fresh[0].Chunks[0].Data, b.Chunks[0].Data) {
		t.Fatalf("coarse division is whole, got %+v", fresh)
	}
	for _, e := range fine[2:] {
		if fresh, copies := l.Take(e); len(fresh) != 0 || copies != 1 {
			t.Errorf("part of a whole batch: %d fresh, %d copies", len(fresh), copies)
		}
	}
	if r := row(t, &l, telemetry.ClassMedia); r.Partial != 0 || r.Values != 1 {
		t.Errorf("row %+v", r)
	}
}

func TestPartMemoryIsBounded(t *testing.T) {
	var l ledger.Ledger
	b := chunkBatch(1, 1<<20)
	for seq := uint64(1); seq <= 200; seq++ {
		b.Seq = seq
		l.Take(split(b, 2)[0])
	}
	r := row(t, &l, telemetry.ClassMedia)
	if r.GivenUp == 0 || r.GivenUp+int64(r.Partial) != 200 || r.Partial > ledger.MaxPartBytes>>19 {
		t.Errorf("partial %d, given up %d", r.Partial, r.GivenUp)
	}
	if r.Pending != 200 {
		t.Errorf("given-up batches are still owed: pending %d", r.Pending)
	}
}

func TestMalformedParts(t *testing.T) {
	var l ledger.Ledger
	good := split(chunkBatch(1, 10), 2)[0]
	for _, p := range []telemetry.Part{{Index: 0, Of: 0}, {Index: 2, Of: 2}, {Index: 0, Of: ledger.MaxParts + 1}} {
		e := good
		e.Part = &p
		l.Take(e)
	}
	two := good
	two.Batches = []telemetry.Batch{good.Batches[0], good.Batches[0]}
	l.Take(two)
	if l.Malformed() != 4 {
		t.Errorf("malformed %d, want 4", l.Malformed())
	}
}

// TestAgainstModel delivers random histories in random order with copies,
// losses, gaps and parts, and compares the ledger with plain sets.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(300) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func runModel(t *testing.T, r *rand.Rand) {
	n := uint64(r.IntN(120))
	floor := uint64(r.IntN(int(n)+2)) + 1
	next := max(floor, n+1)
	values := make(map[uint64]int)
	listed := make(map[uint64]bool)
	var missing int64
	var mail []telemetry.Envelope
	// Floor and next rise while a unit sends, and arrive in any order.
	earlier := func(v uint64) uint64 { return 1 + uint64(r.Int64N(int64(v))) }
	for seq := uint64(1); seq <= n; seq++ {
		b := samples(seq, 1+r.IntN(5))
		switch r.IntN(6) {
		case 0: // lost and not listed
		case 1: // lost, listed; sometimes two rows list it
			for range 1 + r.IntN(2) {
				id := uint64(len(listed)+1) * 10
				g := telemetry.Gap{ID: id + uint64(r.IntN(2)), Version: 1, Store: storeA, Class: telemetry.ClassTelemetry, FromSeq: seq, ToSeq: seq, Count: 0}
				mail = append(mail, events(1, 1, seq, g))
			}
			listed[seq] = true
			missing++
		case 2: // in parts
			values[seq] = len(b.Samples)
			for i := range b.Samples {
				part := b
				part.Samples = b.Samples[i : i+1]
				e := envelope(earlier(floor), earlier(next), part)
				e.Part = &telemetry.Part{Index: uint32(i), Of: uint32(len(b.Samples))}
				mail = append(mail, e)
			}
		default:
			values[seq] = len(b.Samples)
			mail = append(mail, envelope(earlier(floor), earlier(next), b))
		}
	}
	mail = append(mail, envelope(floor, next))
	for range r.IntN(50) {
		mail = append(mail, mail[r.IntN(len(mail))])
	}
	r.Shuffle(len(mail), func(i, j int) { mail[i], mail[j] = mail[j], mail[i] })

	var l ledger.Ledger
	got := make(map[uint64]int)
	for _, e := range mail {
		fresh, _ := l.Take(e)
		for _, b := range fresh {
			if b.Class != telemetry.ClassTelemetry {
				continue
			}
			if _, twice := got[b.Seq]; twice {
				t.Fatalf("seq %d is fresh twice", b.Seq)
			}
			got[b.Seq] = len(b.Samples)
			if want := samples(b.Seq, len(b.Samples)); !reflect.DeepEqual(b.Samples, want.Samples) {
				t.Fatalf("seq %d: samples changed order or value", b.Seq)
			}
		}
	}
	if !reflect.DeepEqual(got, values) {
		t.Fatalf("received %v, sent %v", got, values)
	}
	var holes, pending, sum int64
	for seq := uint64(1); seq < next; seq++ {
		_, seen := values[seq]
		switch {
		case seen || listed[seq]:
		case seq < floor:
			holes++
		default:
			pending++
		}
	}
	for _, n := range values {
		sum += int64(n)
	}
	row := row(t, &l, telemetry.ClassTelemetry)
	if row.Holes != holes || row.Pending != pending || row.Values != sum || row.Batches != int64(len(values)) || row.Partial != 0 {
		t.Fatalf("row %+v; want holes %d, pending %d, values %d, batches %d", row, holes, pending, sum, len(values))
	}
	var listedHoles int64
	for _, h := range l.Holes() {
		listedHoles += int64(h.To-h.From) + 1
	}
	if listedHoles != holes {
		t.Fatalf("Holes lists %d seqs, want %d", listedHoles, holes)
	}
}

// FuzzLedger throws arbitrary envelopes at a ledger: it must not panic, a name
// is fresh at most once, and what it counts is what it returned.
func FuzzLedger(f *testing.F) {
	f.Add([]byte{1, 0, 1, 3, 0, 1, 0, 0, 2, 2, 1})
	f.Add([]byte{200, 255, 255, 255, 255, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9})
	f.Fuzz(func(t *testing.T, in []byte) {
		var l ledger.Ledger
		fresh := make(map[telemetry.Name]bool)
		var values int64
		num := func() uint64 {
			if len(in) == 0 {
				return 0
			}
			v := uint64(in[0])
			in = in[1:]
			if v >= 250 {
				return 1<<64 - 1 - (v - 250)
			}
			return v
		}
		for len(in) > 0 {
			e := telemetry.Envelope{Unit: fmt.Sprint(num() % 2), Store: telemetry.StoreID{byte(num() % 2)},
				Class: telemetry.Class(num() % 3), Floor: num(), Next: num()}
			if num()%4 == 0 {
				e.Part = &telemetry.Part{Index: uint32(num()), Of: uint32(num())}
			}
			for range num() % 3 {
				b := samples(num(), int(num()%3))
				b.Gaps = []telemetry.Gap{{ID: num() % 8, Version: uint32(num()), Store: e.Store, Class: telemetry.Class(num() % 3), FromSeq: num(), ToSeq: num(), Count: int64(num() % 9)}}
				b.Anchors = []telemetry.Anchor{{At: telemetry.At(num()), Boot: boot1}}
				e.Batches = append(e.Batches, b)
			}
			got, _ := l.Take(e)
			for _, b := range got {
				n := b.Name
				n.Store[7] = e.Unit[0]
				if fresh[n] {
					t.Fatalf("%+v is fresh twice", n)
				}
				fresh[n] = true
				values += int64(b.Values())
				l.WallTime(e.Unit, b.Boot, telemetry.At(num()))
			}
		}
		rows := l.Report()
		if s := ledger.Sum(rows); s.Batches != int64(len(fresh)) || s.Values != values {
			t.Fatalf("report says %d batches, %d values; returned %d, %d", s.Batches, s.Values, len(fresh), values)
		}
		for _, r := range rows {
			if r.Holes < 0 || r.Pending < 0 {
				t.Fatalf("negative count: %+v", r)
			}
		}
		l.Holes()
	})
}

// BenchmarkTake books envelopes of ten batches of ten samples, in order.
func BenchmarkTake(b *testing.B) {
	batches := make([]telemetry.Batch, 10)
	var l ledger.Ledger
	seq := uint64(1)
	for b.Loop() {
		for i := range batches {
			if batches[i].Samples == nil {
				batches[i] = samples(1, 10)
			}
			batches[i].Seq = seq
			seq++
		}
		l.Take(envelope(seq-10, seq, batches...))
	}
}

// TestRowThatGrewUnderAnotherStore: the unit's table goes on under a new store
// after a power cut. A row that came before and after, grown, counts once; rows
// that only share an id count both.
func TestRowThatGrewUnderAnotherStore(t *testing.T) {
	row := telemetry.Gap{ID: 1, Version: 1, Class: telemetry.ClassTelemetry, Store: storeA, FromSeq: 3, ToSeq: 5, Boot: boot1, From: 10, To: 20, Count: 30, Reason: telemetry.ReasonEvicted}
	grown := row
	grown.Version, grown.ToSeq, grown.To, grown.Count = 4, 9, 40, 70
	elsewhere := grown
	elsewhere.FromSeq, elsewhere.From = 6, 30
	unsaid := row
	unsaid.Version, unsaid.ToSeq, unsaid.Count = 2, 6, telemetry.CountUnknown
	for name, tt := range map[string]struct {
		second  telemetry.Gap
		rows    int
		missing int64
	}{"grown": {grown, 1, 70}, "elsewhere": {elsewhere, 2, 100}, "same": {row, 2, 60}, "count unknown": {unsaid, 1, 0}} {
		var l ledger.Ledger
		l.Take(events(1, 2, 1, row))
		e := events(1, 2, 1, tt.second)
		e.Store = storeB
		l.Take(e)
		gaps := l.Gaps("u1")
		sum := ledger.Sum(l.Report())
		if len(gaps) != tt.rows || sum.Missing != tt.missing || sum.Gaps != tt.rows || sum.MissingUnknown != (name == "count unknown") {
			t.Errorf("%s: %d rows, %d missing, %+v", name, len(gaps), sum.Missing, gaps)
		}
	}
}
