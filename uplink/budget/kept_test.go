package budget_test

import (
	"errors"
	"testing"
	"time"

	"obu/telemetry"
	"obu/uplink/budget"
)

// TestABookThatWasNotKeptIsDueAgain: as long as the disk refuses it, it counts
// as not written, and is tried again.
func TestABookThatWasNotKeptIsDueAgain(t *testing.T) {
	b := budget.New(budget.Config{Monthly: 500 * mB})
	b.Connected("wwan0")
	at := telemetry.At(0)
	pass := func(d time.Duration) { at = at.Add(d); b.Advance(at, november) }
	pass(0)
	if err := b.Keep(false, func([]byte) error { return nil }); err != nil || b.Due() {
		t.Fatalf("kept with %v and due again at once", err)
	}
	b.Spent(budget.Usage{Telemetry: mB})
	pass(time.Second)
	full := errors.New("no space")
	for range 3 {
		if !b.Due() {
			t.Fatal("spent a megabyte, and not due")
		}
		if err := b.Keep(false, func([]byte) error { return full }); !errors.Is(err, full) {
			t.Fatal(err)
		}
		if b.Due() {
			t.Error("tried again without a pause")
		}
		pass(time.Minute)
	}
	var kept []byte
	if err := b.Keep(false, func(s []byte) error { kept = s; return nil }); err != nil || b.Due() {
		t.Errorf("kept with %v and still due", err)
	}
	again := budget.New(budget.Config{Monthly: 500 * mB})
	if err := again.Restore(kept); err != nil || again.Report().Used < mB {
		t.Errorf("%+v: %v", again.Report(), err)
	}
}

// TestTheMonthBeginsWhereItIsAgreedNow: a changed month_starts holds at once,
// and takes effect without a month that begins in the middle of another.
func TestTheMonthBeginsWhereItIsAgreedNow(t *testing.T) {
	date := func(m time.Month, d int) time.Time { return time.Date(2026, m, d, 12, 0, 0, 0, time.UTC) }
	run := func(saved []byte, starts int, at telemetry.At, days ...time.Time) ([]byte, budget.Report) {
		b := budget.New(budget.Config{Monthly: 500 * mB, MonthStarts: starts})
		b.Connected("wwan0")
		if saved != nil {
			if err := b.Restore(saved); err != nil {
				t.Fatal(err)
			}
		}
		for _, d := range days {
			at = at.Add(time.Second)
			b.Advance(at, d)
			b.Spent(budget.Usage{Telemetry: 100})
		}
		return b.Snapshot(true), b.Report()
	}
	for name, c := range map[string]struct{ before, after int }{"later": {1, 20}, "earlier": {20, 15}} {
		saved, r := run(nil, c.before, 0, date(time.March, 22))
		saved, r = run(saved, c.after, 0, date(time.March, 22))
		if want := date(time.March, c.after).Truncate(24 * time.Hour); !r.Starts.Equal(want) || r.Used != 200 {
			t.Errorf("%s: on the same day %d since %v", name, r.Used, r.Starts)
		}
		_, r = run(saved, c.after, 0, date(time.March, 23))
		if r.Used != 300 || r.Last != 0 {
			t.Errorf("%s: on the next day %d since %v, the month before %d", name, r.Used, r.Starts, r.Last)
		}
		_, r = run(saved, c.after, 0, date(time.April, c.after))
		if r.Used != 100 || r.Last != 200 {
			t.Errorf("%s: when it ends %d since %v, the month before %d", name, r.Used, r.Starts, r.Last)
		}
	}
}
