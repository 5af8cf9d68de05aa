package ledger_test

import (
	"testing"
	"time"

	"obu/telemetry"
	"obu/telemetry/ledger"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func anchors(seq uint64, boot telemetry.BootID, as ...telemetry.Anchor) telemetry.Envelope {
	for i := range as {
		as[i].Boot = boot
	}
	e := envelope(1, seq+1, telemetry.Batch{Name: telemetry.Name{Seq: seq}, Content: telemetry.Content{Anchors: as}})
	e.Class, e.Boot = telemetry.ClassEvent, boot
	return e
}

func TestWallTimeHeals(t *testing.T) {
	var l ledger.Ledger
	at := func(d time.Duration) telemetry.At { return telemetry.At(d) }
	ask := func(d time.Duration) (time.Duration, time.Duration, bool) {
		w, u, ok := l.WallTime("u1", boot1, at(d))
		return w.Sub(noon), u, ok
	}
	l.Take(envelope(1, 2, samples(1, 1)))
	if _, _, ok := ask(0); ok {
		t.Fatal("wall time without an anchor")
	}
	if _, _, ok := l.WallTime("nobody", boot1, 0); ok {
		t.Fatal("wall time of a unit never heard of")
	}
	// A coarse anchor, later a good one: data sent before it heals too.
	l.Take(anchors(1, boot1, telemetry.Anchor{At: at(time.Minute), Wall: noon.Add(time.Hour), Uncertainty: time.Hour, By: telemetry.AnchorRTC}))
	if off, u, ok := ask(0); !ok || off != 59*time.Minute || u < time.Hour {
		t.Errorf("by rtc: %v give or take %v, %v", off, u, ok)
	}
	l.Take(anchors(2, boot1, telemetry.Anchor{At: at(100 * time.Second), Wall: noon.Add(100 * time.Second), Uncertainty: time.Millisecond, By: telemetry.AnchorGNSS}))
	if off, u, ok := ask(0); !ok || off != 0 || u != 11*time.Millisecond {
		t.Errorf("by gnss: %v give or take %v, %v", off, u, ok)
	}
	// 50 ppm fast over 1000 s: between the anchors the line is followed.
	l.Take(anchors(3, boot1, telemetry.Anchor{At: at(1100 * time.Second), Wall: noon.Add(1100*time.Second - 50*time.Millisecond), Uncertainty: 2 * time.Millisecond, By: telemetry.AnchorGNSS}))
	if off, u, ok := ask(600 * time.Second); !ok || off != 600*time.Second-25*time.Millisecond || u != 52*time.Millisecond {
		t.Errorf("between: %v give or take %v, %v", off, u, ok)
	}
	if off, u, ok := ask(1200 * time.Second); !ok || off != 1200*time.Second-50*time.Millisecond || u != 12*time.Millisecond {
		t.Errorf("after: %v give or take %v, %v", off, u, ok)
	}
}

func TestWallTimeAfterCorrection(t *testing.T) {
	var l ledger.Ledger
	l.Take(anchors(1, boot1,
		telemetry.Anchor{At: 0, Wall: noon.Add(-1024 * 7 * 24 * time.Hour), Uncertainty: time.Second, By: telemetry.AnchorGNSS},
		telemetry.Anchor{At: 1e9, Wall: noon.Add(time.Second), Uncertainty: time.Second, By: telemetry.AnchorGNSS}))
	w, _, ok := l.WallTime("u1", boot1, 5e8)
	if !ok || !w.Equal(noon.Add(500*time.Millisecond)) {
		t.Errorf("a week rollover was averaged into %v", w)
	}
}

func TestBootWithoutAnchorIsBounded(t *testing.T) {
	var l ledger.Ledger
	boot3 := telemetry.BootID{3}
	take := func(seq uint64, boot telemetry.BootID, last time.Duration) {
		b := samples(seq, 1)
		b.Boot, b.Samples[0].At = boot, telemetry.At(last)
		e := envelope(1, seq+1, b)
		e.Boot = boot
		l.Take(e)
	}
	take(3, boot3, time.Second)
	take(2, boot2, 10*time.Second)
	take(1, boot1, 100*time.Second)
	if _, _, ok := l.WallTime("u1", boot2, 0); ok {
		t.Fatal("no boot has an anchor yet")
	}
	l.Take(anchors(1, boot1, telemetry.Anchor{At: 0, Wall: noon, By: telemetry.AnchorNTP}))
	if _, _, ok := l.WallTime("u1", boot2, 0); ok {
		t.Fatal("the boot after has no anchor yet")
	}
	l.Take(anchors(2, boot3, telemetry.Anchor{At: 0, Wall: noon.Add(210 * time.Second), By: telemetry.AnchorNTP}))
	// Boot 2 lay between 100 s and 210 s and lasted at least 10 s.
	w, u, ok := l.WallTime("u1", boot2, telemetry.At(5*time.Second))
	if !ok || w.Add(-u).Before(noon.Add(104*time.Second)) || w.Add(u).After(noon.Add(206*time.Second)) || u < 45*time.Second {
		t.Errorf("%v give or take %v, %v", w.Sub(noon), u, ok)
	}
}

// TestBatteryClockIsCheckedAgainstTheNeighbours: a boot that only a battery's
// clock dates is narrowed by the boots beside it, and where they prove that
// clock wrong, they count and it does not.
func TestBatteryClockIsCheckedAgainstTheNeighbours(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name        string
		rtc         time.Duration // what the battery's clock said, after noon
		before      bool
		after       bool
		ok          bool
		from, until time.Duration
	}{
		{"right, alone", 5 * day, false, false, true, 4 * day, 6 * day},
		{"right, narrowed by both", 5 * day, true, true, true, 4 * day, 6 * day},
		{"right, narrowed from above", 9*day + 12*time.Hour, true, true, true, 8*day + 12*time.Hour, 10 * day},
		{"right, narrowed from below", 2*time.Hour - day, true, false, true, 0, 2 * time.Hour},
		{"dead, put between", -9 * 365 * day, true, true, true, 0, 10 * day},
		{"ahead, put between", 400 * day, true, true, true, 0, 10 * day},
		{"dead, only the boot before is known", -9 * 365 * day, true, false, false, 0, 0},
	} {
		var l ledger.Ledger
		boots := [...]telemetry.BootID{boot1, boot2, {3}}
		for i, id := range boots {
			b := samples(uint64(i+1), 1)
			b.Boot, b.Samples[0].At = id, 0
			e := envelope(1, uint64(i+2), b)
			e.Boot = id
			l.Take(e)
		}
		l.Take(anchors(2, boot2, telemetry.Anchor{At: 0, Wall: noon.Add(c.rtc), Uncertainty: day, By: telemetry.AnchorRTC}))
		if c.before {
			l.Take(anchors(1, boot1, telemetry.Anchor{At: 0, Wall: noon, By: telemetry.AnchorGNSS}))
		}
		if c.after {
			l.Take(anchors(3, boots[2], telemetry.Anchor{At: 0, Wall: noon.Add(10 * day), By: telemetry.AnchorNTP}))
		}
		w, u, ok := l.WallTime("u1", boot2, 0)
		if ok != c.ok || ok && (!w.Add(-u).Equal(noon.Add(c.from)) || !w.Add(u).Equal(noon.Add(c.until))) {
			t.Errorf("%s: %v give or take %v, %v", c.name, w.Sub(noon), u, ok)
		}
	}
}

// TestUnitsEstimate: after a power cut a unit begins a new store, and only it
// knows the order of its boots. Its estimate dates a boot without anchors and
// unmasks a battery's clock.
func TestUnitsEstimate(t *testing.T) {
	const day = 24 * time.Hour
	estimate := telemetry.Anchor{Wall: noon.Add(5 * day), Uncertainty: 5 * day, By: telemetry.AnchorEstimate}
	for _, c := range []struct {
		name        string
		rtc         time.Duration // what a battery's clock said; 0: there is none
		from, until time.Duration
	}{
		{"no other", 0, 0, 10 * day},
		{"a battery's clock within it", 3 * day, 2 * day, 4 * day},
		{"a battery's clock that reaches out of it", 10 * day, 9 * day, 10 * day},
		{"a dead one", -900 * day, 0, 10 * day},
	} {
		var l ledger.Ledger
		if c.rtc != 0 {
			l.Take(anchors(1, boot1, telemetry.Anchor{Wall: noon.Add(c.rtc), Uncertainty: day, By: telemetry.AnchorRTC}))
		}
		l.Take(anchors(2, boot1, estimate))
		w, u, ok := l.WallTime("u1", boot1, 0)
		if !ok || !w.Add(-u).Equal(noon.Add(c.from)) || !w.Add(u).Equal(noon.Add(c.until)) {
			t.Errorf("%s: %v give or take %v, %v", c.name, w.Sub(noon), u, ok)
		}
		l.Take(anchors(3, boot1, telemetry.Anchor{Wall: noon.Add(20 * day), Uncertainty: time.Second, By: telemetry.AnchorGNSS}))
		if w, u, ok := l.WallTime("u1", boot1, 0); !ok || !w.Equal(noon.Add(20*day)) || u != time.Second {
			t.Errorf("%s, and a fix at last: %v give or take %v, %v", c.name, w.Sub(noon), u, ok)
		}
	}
}

// TestSurerAnchorCountsAlone: beside a wide anchor, as one after a suspend is,
// a sure one tells more by itself than the line through both.
func TestSurerAnchorCountsAlone(t *testing.T) {
	var l ledger.Ledger
	l.Take(anchors(1, boot1,
		telemetry.Anchor{At: 0, Wall: noon, Uncertainty: 2 * time.Second, By: telemetry.AnchorGNSS},
		telemetry.Anchor{At: 100e9, Wall: noon.Add(101 * time.Second), Uncertainty: 10 * time.Millisecond, By: telemetry.AnchorGNSS}))
	w, u, ok := l.WallTime("u1", boot1, 50e9)
	if !ok || !w.Equal(noon.Add(51*time.Second)) || u < 15*time.Millisecond || u > 25*time.Millisecond {
		t.Errorf("%v give or take %v, %v", w.Sub(noon), u, ok)
	}
}

// TestSureAnchorReplacesAWideOneBefore: the pulse that is believed some seconds
// after the first fix counts for what came before both, but not across a
// suspend, which two anchors close together mark.
func TestSureAnchorReplacesAWideOneBefore(t *testing.T) {
	gnss := func(at, off, u time.Duration) telemetry.Anchor {
		return telemetry.Anchor{At: telemetry.At(at), Wall: noon.Add(at + off), Uncertainty: u, By: telemetry.AnchorGNSS}
	}
	const ms = time.Millisecond
	var l ledger.Ledger
	l.Take(anchors(1, boot1, gnss(10*time.Second, 500*ms, 700*ms), gnss(14*time.Second, 0, 10*ms)))
	if w, u, ok := l.WallTime("u1", boot1, 0); !ok || !w.Equal(noon) || u > 12*ms {
		t.Errorf("before both: %v give or take %v, %v", w.Sub(noon), u, ok)
	}
	l.Take(anchors(2, boot2, gnss(10*time.Second, 500*ms, 700*ms), gnss(14*time.Second, 500*ms, 701*ms), gnss(14*time.Second+ms, 500*ms, 1701*ms),
		gnss(20*time.Second, -400*ms, 10*ms)))
	if w, u, ok := l.WallTime("u1", boot2, 0); !ok || !w.Equal(noon.Add(500*ms)) || u < 700*ms {
		t.Errorf("before the suspend: %v give or take %v, %v", w.Sub(noon), u, ok)
	}
	if w, u, ok := l.WallTime("u1", boot2, 15e9); !ok || w.Sub(noon.Add(14600*ms)).Abs() > ms || u > 20*ms {
		t.Errorf("behind the suspend: %v give or take %v, %v", w.Sub(noon), u, ok)
	}
}

func TestAnchorsAreBounded(t *testing.T) {
	var l ledger.Ledger
	for i := range 5000 {
		a := telemetry.Anchor{At: telemetry.At(i) * 1e9, Wall: noon.Add(time.Duration(i) * time.Second), Uncertainty: time.Millisecond, By: telemetry.AnchorGNSS}
		l.Take(anchors(uint64(i+1), boot1, a))
	}
	for _, s := range []time.Duration{0, 1234 * time.Second, 4999 * time.Second} {
		w, u, ok := l.WallTime("u1", boot1, telemetry.At(s))
		if !ok || !w.Equal(noon.Add(s)) || u < time.Millisecond || u > 200*time.Millisecond {
			t.Errorf("at %v: %v give or take %v, %v", s, w.Sub(noon), u, ok)
		}
	}
}
