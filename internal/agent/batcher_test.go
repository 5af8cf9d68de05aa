package agent

import (
	"fmt"
	"testing"

	"obu/telemetry"
)

// TestFullBatcherListsWhatItDrops: the bound holds, and what does not fit ends
// in exactly one Gap with the right count and span.
func TestFullBatcherListsWhatItDrops(t *testing.T) {
	now := telemetry.At(0)
	b := &batcher{now: func() telemetry.At { now++; return now }, boot: telemetry.BootID{1}}
	speed, _ := telemetry.Lookup("Vehicle.Speed")
	const over = 37
	for i := range maxHeld + over {
		b.samples([]telemetry.Sample{{At: telemetry.At(i), Signal: speed, Value: telemetry.Float(1)}})
	}
	got := b.take()
	if n := got.telemetry.Values(); n != maxHeld {
		t.Errorf("held %d values, bound is %d", n, maxHeld)
	}
	if len(got.lost) != 1 {
		t.Fatalf("%d gaps, want 1", len(got.lost))
	}
	g := got.lost[0]
	if g.Count != over || g.Reason != telemetry.ReasonBatcherFull || g.Class != telemetry.ClassTelemetry || g.Boot.IsZero() || g.To <= g.From {
		t.Errorf("gap %+v", g)
	}
	b.fix(telemetry.NoFix())
	if next := b.take(); next.telemetry.Values() != 1 || len(next.lost) != 0 {
		t.Errorf("after a take there is room and no gap: %d values, %d gaps", next.telemetry.Values(), len(next.lost))
	}
	if _, values, drops := b.counts(); values != maxHeld+1 || drops != over {
		t.Errorf("counted %d taken, %d dropped", values, drops)
	}
}

// TestBatcherBoundsItsGaps: sources that report losses while the disk hangs
// cannot fill the memory, and no loss goes unlisted.
func TestBatcherBoundsItsGaps(t *testing.T) {
	b := &batcher{now: func() telemetry.At { return 5 }, boot: telemetry.BootID{1}}
	const n = 10 * maxLost
	for i := range n {
		b.gap(telemetry.Gap{Class: telemetry.ClassTelemetry, From: telemetry.At(i), To: telemetry.At(i + 1), Count: 2, Reason: telemetry.ReasonDecode, Source: "can0"})
	}
	got := b.take().lost
	if len(got) != maxLost {
		t.Errorf("%d gaps wait, bound is %d", len(got), maxLost)
	}
	var count int64
	var to telemetry.At
	for _, g := range got {
		count += g.Count
		to = max(to, g.To)
	}
	if count != 2*n || to != n {
		t.Errorf("%d values up to %d listed, %d up to %d lost", count, to, 2*n, n)
	}
}

// TestFullBatcherNamesTheClass: a rare fact that did not fit is listed as one.
func TestFullBatcherNamesTheClass(t *testing.T) {
	b := &batcher{now: func() telemetry.At { return 5 }, boot: telemetry.BootID{1}}
	b.samples(make([]telemetry.Sample, maxHeld))
	b.fix(telemetry.NoFix())
	b.events(make([]telemetry.Sample, 2))
	b.statistics(make([]telemetry.Sample, 3))
	got := map[telemetry.Class]int64{}
	for _, g := range b.take().lost {
		got[g.Class] = g.Count
	}
	if got[telemetry.ClassTelemetry] != 1 || got[telemetry.ClassEvent] != 2 || got[telemetry.ClassHealth] != 3 {
		t.Errorf("listed %v", got)
	}
}

// TestBatcherKeepsClassesApart: each kind of content ends in its class.
func TestBatcherKeepsClassesApart(t *testing.T) {
	b := &batcher{now: func() telemetry.At { return 5 }, boot: telemetry.BootID{1}}
	vin, _ := telemetry.Lookup("Vehicle.VehicleIdentification.VIN")
	b.events([]telemetry.Sample{{Signal: vin, Value: telemetry.Text("WVWZZZ1JZ3W386752")}})
	b.statistics([]telemetry.Sample{{Signal: vin}})
	b.gap(telemetry.Gap{Reason: telemetry.ReasonRXOverflow})
	got := b.take()
	if len(got.event.Samples) != 1 || len(got.health.Samples) != 1 || got.telemetry.Values() != 0 {
		t.Errorf("taken %+v", got)
	}
	if len(got.lost) != 1 || got.lost[0].Boot != b.boot {
		t.Errorf("gap of a source must carry the boot: %+v", got.lost)
	}
}

// TestBatcherBoundsItsGapsByClass: past the bound a loss widens a row of its
// own class, however many kinds of others wait, and is never listed as
// another's.
func TestBatcherBoundsItsGapsByClass(t *testing.T) {
	b := &batcher{now: func() telemetry.At { return 5 }, boot: telemetry.BootID{1}}
	for i := range maxLost {
		b.gap(telemetry.Gap{Class: telemetry.ClassTelemetry, From: 1, To: 2, Count: 1, Reason: telemetry.ReasonDecode, Boot: telemetry.BootID{byte(i), 9}})
	}
	b.gap(telemetry.Gap{Class: telemetry.ClassMedia, From: 3, To: 4, Count: 7, Reason: telemetry.ReasonClipLost})
	b.gap(telemetry.Gap{Class: telemetry.ClassMedia, From: 5, To: 6, Count: 2, Reason: telemetry.ReasonClipLost})
	got := b.take().lost
	var media []telemetry.Gap
	for _, g := range got {
		if g.Class == telemetry.ClassMedia {
			media = append(media, g)
		} else if g.Count != 1 {
			t.Errorf("a row of another class was widened: %+v", g)
		}
	}
	if len(media) != 1 || media[0].Count != 9 || media[0].From != 3 || media[0].To != 6 || media[0].Reason != telemetry.ReasonClipLost {
		t.Errorf("listed as %+v", media)
	}
}

// TestBatcherMergesReasonsAtTheBound: kinds of loss without end stay within the
// bound and one row per class; boots are never mixed.
func TestBatcherMergesReasonsAtTheBound(t *testing.T) {
	b := &batcher{now: func() telemetry.At { return 5 }, boot: telemetry.BootID{1}}
	const n = 3 * maxLost
	for i := range n {
		b.gap(telemetry.Gap{Class: telemetry.Classes[i%4], From: telemetry.At(i), To: telemetry.At(i), Count: 1, Reason: telemetry.Reason(fmt.Sprint(i))})
	}
	got := b.take().lost
	if len(got) > maxLost+maxKinds+len(telemetry.Classes) {
		t.Errorf("%d rows", len(got))
	}
	covered := map[telemetry.Class]telemetry.At{}
	for _, g := range got {
		covered[g.Class] = max(covered[g.Class], g.To)
	}
	for i, c := range [...]telemetry.Class{telemetry.Classes[(n-4)%4], telemetry.Classes[(n-3)%4], telemetry.Classes[(n-2)%4], telemetry.Classes[(n-1)%4]} {
		if covered[c] != telemetry.At(n-4+i) {
			t.Errorf("%s is listed up to %d, lost up to %d", c, covered[c], n-4+i)
		}
	}
}
