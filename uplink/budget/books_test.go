package budget_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"obu/telemetry"
	"obu/uplink/budget"
)

// TestPowerCutsNeverCountTooLittle cuts the power at random moments, at any
// rate of the link: at each start the book has at least what was spent, up to
// what leaves within two seconds, and at most one stated margin more.
func TestPowerCutsNeverCountTooLittle(t *testing.T) {
	for _, monthly := range []int64{5 * mB, 500 * mB} {
		rng := rand.New(rand.NewPCG(uint64(monthly), 2))
		c := newCar(t, budget.Config{Monthly: monthly})
		c.b.Advance(c.at, c.wall)
		base := int64(0) // what cuts have left uncounted or counted too much so far
		for range 400 {
			if rng.IntN(3) > 0 {
				c.b.Connected("wwan0")
			} else {
				c.b.Connected("wlan0")
			}
			metered := c.b.Report().Metered
			rate := int64(1) << rng.IntN(17)
			within := int64(0) // the last two seconds
			for range 1 + rng.IntN(300) {
				n := rng.Int64N(2 * rate)
				c.b.Spent(budget.Usage{Telemetry: n})
				within = n
				if metered {
					c.spent += n
				}
				c.tick(time.Second, true)
			}
			if rng.IntN(8) == 0 { // a stop in good order
				c.saved = c.b.Snapshot(true)
				within = 0
			}
			before := c.b.Report()
			if got := before.Used; got+within < c.spent+base {
				t.Fatalf("counted %d while %d was spent", got, c.spent+base)
			}
			c.cut()
			c.b.Advance(c.at, c.wall)
			after := c.b.Report()
			margin := after.Margin - before.Margin
			if after.Used < before.Used-2*within || after.Used > before.Used+margin {
				t.Fatalf("the power was cut at %d, and %d stand in the book, of which %d are a margin", before.Used, after.Used, margin)
			}
			base = after.Used - c.spent
		}
	}
}

// TestMonthBeginsByTrustedTimeAlone: a clock in 1970 or none, a clock that
// jumps ahead and comes back, and one that swings over the boundary: bytes move
// between months with the time that was believed, and none are forgotten.
func TestMonthBeginsByTrustedTimeAlone(t *testing.T) {
	at := telemetry.At(0)
	tell := func(b *budget.Budget, wall time.Time, spend int64) budget.Report {
		at = at.Add(time.Second)
		b.Advance(at, wall)
		b.Spent(budget.Usage{Telemetry: spend})
		return b.Report()
	}
	date := func(m time.Month, d int) time.Time { return time.Date(2026, m, d, 12, 0, 0, 0, time.UTC) }
	b := budget.New(budget.Config{Monthly: 500 * mB, MonthStarts: 15})
	b.Connected("wwan0")
	if r := tell(b, time.Time{}, 100); r.Used != 100 || !r.Starts.IsZero() {
		t.Errorf("before any time was known: %+v", r)
	}
	if r := tell(b, date(time.March, 14), 10); r.Used != 110 || !r.Starts.Equal(time.Date(2026, 2, 15, 0, 0, 0, 0, time.UTC)) || !r.Ends.Equal(time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the first trusted time: %+v", r)
	}
	if r := tell(b, time.Time{}, 10); r.Used != 120 || r.Day.Telemetry != 120 {
		t.Errorf("no time: %+v", r)
	}
	if r := tell(b, date(time.March, 15), 5); r.Used != 5 || r.Last != 120 || r.Day.Telemetry != 5 {
		t.Errorf("a new month: %+v", r)
	}
	if r := tell(b, date(time.March, 14), 5); r.Used != 130 || r.Last != 0 {
		t.Errorf("the clock swings back over the boundary: %+v", r)
	}
	if r := tell(b, date(time.March, 16), 7); r.Used != 7 || r.Last != 130 {
		t.Errorf("and over it again: %+v", r)
	}
	if r := tell(b, date(time.March, 17).AddDate(4, 0, 0), 1); r.Used != 1 || r.Last != 7 {
		t.Errorf("the clock jumps four years ahead: %+v", r)
	}
	if r := tell(b, date(time.March, 17), 1); r.Used != 9 {
		t.Errorf("and comes back: %+v", r)
	}
	if r := tell(b, date(time.January, 3), 1); r.Used != 10 {
		t.Errorf("a clock set back by months forgets nothing: %+v", r)
	}
	if r := tell(b, date(time.December, 31), 1); r.Used != 1 || !r.Ends.Equal(time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("the turn of the year: %+v", r)
	}
}

// TestStepHasHysteresis: a car whose cost lies right at what the month allows
// does not go up and down the ladder all the time: never down on the day of
// another change, and so not more than two changes a day.
func TestStepHasHysteresis(t *testing.T) {
	for _, rate := range []int64{150, 160, 165, 170, 180} { // bytes a second, 20 hours a day: 500 MB are 231 or 173
		b := budget.New(budget.Config{Monthly: 330 * mB})
		at, wall, all := telemetry.At(0), november, 0
		for day := range 30 {
			changes := 0
			b.Connected("wwan0")
			for s := range 24 * 120 { // of thirty seconds
				at, wall = at.Add(30*time.Second), wall.Add(30*time.Second)
				if s > 20*120 {
					b.Disconnected()
				} else {
					n := rate * 30
					if b.Plan().LiveEvery > 0 {
						n = rate * 10
					}
					b.Spent(budget.Usage{Telemetry: n * (90 + int64(s%20)) / 100})
				}
				if _, ok := b.Advance(at, wall); ok {
					changes++
				}
			}
			if changes > 2 {
				t.Errorf("rate %d: %d changes on day %d", rate, changes, day)
			}
			all += changes
		}
		if all > 20 {
			t.Errorf("rate %d: %d changes in a month", rate, all)
		}
		t.Logf("rate %d: %d changes", rate, all)
	}
}

// TestUsedUpIsNoticedAtOnce: whoever spends the month in an hour is held to
// events and signs of life within a second, and a fast link climbs the ladder
// before a tenth of the month is gone, though ten minutes have not passed.
func TestUsedUpIsNoticedAtOnce(t *testing.T) {
	b := budget.New(budget.Config{Monthly: 100 * mB})
	b.Connected("wwan0")
	at := telemetry.At(0)
	b.Advance(at, november)
	var steps []budget.Change
	for range 20 {
		at = at.Add(time.Second)
		if b.Plan().Media {
			b.Spent(budget.Usage{Media: mB})
		}
		if c, ok := b.Advance(at, november); ok {
			steps = append(steps, c)
		}
	}
	if c := steps[0]; c.From != 0 || c.To != 1 || c.Forecast <= c.Monthly {
		t.Errorf("the first step is explained by %+v", c)
	}
	if r := b.Report(); b.Plan().Media || r.Used > 10*mB {
		t.Errorf("%+v", r)
	}
	b.Spent(budget.Usage{Control: 100 * mB})
	b.Advance(at.Add(time.Second), november)
	if p := b.Plan(); p.Media || p.History || !p.Newest || p.LiveEvery != 5*time.Minute {
		t.Errorf("used up: %+v", p)
	}
	b.Connected("eth0")
	if p := b.Plan(); p != budget.Unrestricted {
		t.Errorf("on a free network: %+v", p)
	}
}

// TestWhichLinksCostMoney: the names of modems by default, else as said; what
// is not known costs money.
func TestWhichLinksCostMoney(t *testing.T) {
	for _, test := range []struct {
		c             budget.Config
		metered, free []string
	}{
		{budget.Config{}, []string{"wwan0", "wwp0s20u4", "ppp0", "usb0", "rmnet_data0", ""}, []string{"eth0", "wlan0", "lo", "enp3s0", "wg0", "wlp2s0"}},
		{budget.Config{Metered: []string{"usb1", "wg*"}}, []string{"usb1", "wg0", ""}, []string{"usb10", "wwan0", "eth0"}},
		{budget.Config{Free: []string{"wlan0", "eth*"}}, []string{"wwan0", "wlan1", "tun0", ""}, []string{"wlan0", "eth0", "eth1"}},
		{budget.Config{Free: []string{"wlan*"}, Metered: []string{"wlan1"}}, []string{"wlan1", "eth0"}, []string{"wlan0"}},
		{budget.Config{Metered: []string{"*"}}, []string{"eth0", "wlan0"}, nil},
	} {
		b := budget.New(test.c)
		for _, name := range test.metered {
			if b.IsFree(name) || !b.Connected(name).Metered {
				t.Errorf("%+v: %q is free", test.c, name)
			}
		}
		for _, name := range test.free {
			if !b.IsFree(name) || b.Connected(name).Metered {
				t.Errorf("%+v: %q costs money", test.c, name)
			}
		}
	}
}

// FuzzRestore: a book that was damaged is refused or makes sense: nothing
// panics, sums stay what they are, and what is kept is read again the same.
func FuzzRestore(f *testing.F) {
	b := budget.New(budget.Config{Monthly: 500 * mB})
	b.Connected("wwan0")
	b.Advance(0, november)
	b.Spent(budget.Usage{Telemetry: 1, Event: 2, Health: 3, Media: 4, Control: 5})
	f.Add(b.Snapshot(false))
	f.Add(b.Snapshot(true))
	f.Add([]byte(`{"format":1,"step":4,"rates":[1e9,1,1,1,1],"active":[86400,86400]}`))
	f.Add([]byte(`{"format":1,"step":-1}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"day":99999999}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := budget.New(budget.Config{Monthly: 500 * mB})
		if b.Restore(data) != nil {
			return
		}
		r := b.Report()
		if r.Used != r.Month.Total() || r.Used < 0 || r.Forecast < r.Used || r.Step < 0 || r.Step > budget.Steps {
			t.Fatalf("%+v", r)
		}
		again := budget.New(budget.Config{Monthly: 500 * mB})
		if err := again.Restore(b.Snapshot(true)); err != nil {
			t.Fatalf("what was kept is refused: %v", err)
		}
		if got := again.Report(); got != r {
			t.Fatalf("%+v became %+v", r, got)
		}
		b.Connected("wwan0")
		b.Advance(0, november)
		b.Spent(budget.Usage{Media: 1})
		b.Advance(telemetry.At(time.Minute), november.AddDate(0, 3, 0))
		if r := b.Report(); r.Used < 0 || r.Forecast < r.Used {
			t.Fatalf("%+v", r)
		}
	})
}
