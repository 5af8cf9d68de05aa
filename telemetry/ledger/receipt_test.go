package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"obu/telemetry"
	"obu/telemetry/ledger"
)

// confirms is the receipt for the telemetry of storeA, 0 when there is none.
func confirms(l *ledger.Ledger) uint64 {
	for _, r := range l.Receipts("u1") {
		if r.Store == storeA && r.Class == telemetry.ClassTelemetry {
			return r.Seq
		}
	}
	return 0
}

func TestReceiptIsCumulative(t *testing.T) {
	var l ledger.Ledger
	want := func(seq uint64, when string) {
		t.Helper()
		if got := confirms(&l); got != seq {
			t.Errorf("receipt up to %d %s, want %d", got, when, seq)
		}
	}
	want(0, "of an unknown unit")
	l.Take(envelope(3, 4))
	want(2, "before any batch")
	l.Take(envelope(3, 8, samples(3, 1), samples(4, 1), samples(7, 1)))
	want(4, "with 5 and 6 missing")
	e := envelope(3, 8, samples(5, 4))
	e.Part = &telemetry.Part{Index: 0, Of: 2}
	l.Take(e)
	want(4, "with half of 5")
	e.Part = &telemetry.Part{Index: 1, Of: 2}
	l.Take(e)
	want(5, "with all of 5")
	l.Take(events(1, 2, 1, telemetry.Gap{ID: 1, Version: 1, Class: telemetry.ClassTelemetry, Store: storeA, FromSeq: 6, ToSeq: 1<<53 - 1, Count: 1}))
	want(7, "with the rest in a gap: nothing beyond what the unit minted")
	l.Take(envelope(12, 20))
	want(19, "with a floor above what was received and the rest in the gap")
	l.Take(envelope(4, 9, samples(3, 1)))
	want(19, "after an older envelope")
}

// TestReceiptStopsAtWhatWasWrittenOff: bounding the ledger's memory must not
// confirm what never came.
func TestReceiptStopsAtWhatWasWrittenOff(t *testing.T) {
	var l ledger.Ledger
	for seq := uint64(1); seq <= 2*(ledger.MaxRuns+2); seq += 2 {
		l.Take(envelope(1, seq+1, samples(seq, 1)))
	}
	if got := confirms(&l); got != 0 {
		t.Errorf("confirmed up to %d with every second batch missing", got)
	}
}

// FuzzReceipts: whatever comes in whatever order, a receipt covers only what
// was received or listed, and never forgets to cover what follows.
func FuzzReceipts(f *testing.F) {
	f.Add(uint64(1), []byte{1, 2, 3, 5, 200, 6, 130, 4})
	f.Add(uint64(2), []byte{63, 62, 64 + 10, 1, 128 + 1, 255})
	f.Fuzz(func(t *testing.T, seed uint64, ops []byte) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var l ledger.Ledger
		known := make(map[uint64]bool)
		floor, next, id := uint64(1), uint64(1), uint64(0)
		for _, op := range ops {
			n := uint64(op&63) + 1
			switch op >> 6 {
			case 0, 1:
				next = max(next, n+1)
				l.Take(envelope(floor, next, samples(n, 1)))
				known[n] = true
			case 2:
				id++
				to := n + rnd.Uint64N(5)
				l.Take(events(1, id+1, id, telemetry.Gap{ID: id, Version: 1, Class: telemetry.ClassTelemetry, Store: storeA, FromSeq: n, ToSeq: to, Count: 1}))
				for s := n; s <= to; s++ {
					known[s] = true
				}
			case 3:
				floor, next = max(floor, n), max(next, n)
				l.Take(envelope(floor, next))
			}
			want := floor - 1
			for s := floor; s < next && known[s]; s++ {
				want = s
			}
			if got := confirms(&l); got != want {
				t.Fatalf("receipt up to %d, want %d: floor %d, next %d, known %v", got, want, floor, next, known)
			}
		}
	})
}

// A consumer of a fleet with custody: receipt makes durable what it took, then
// confirms what may be confirmed, about once a second.
func ExampleLedger_Receipts() {
	var books ledger.Ledger
	for _, seq := range []uint64{41, 42, 44} { // 43 is late
		books.Take(telemetry.Envelope{Unit: "unit-0001", Store: telemetry.StoreID{0xA1}, Class: telemetry.ClassTelemetry,
			Floor: 41, Next: 45, Batches: []telemetry.Batch{{Name: telemetry.Name{Seq: seq}}}})
	}
	// database.Commit()
	for _, r := range books.Receipts("unit-0001") {
		fmt.Printf("%s %s %d\n", r.Store, r.Class, r.Seq) // publish as JSON on obu/v1/<fleet>/unit-0001/ack
	}
	// Output: a100000000000000 telemetry 42
}
