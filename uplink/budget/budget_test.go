package budget_test

import (
	"testing"
	"time"

	"obu/telemetry"
	"obu/uplink/budget"
)

// seconds is how long a moment of driving is.
const seconds = 5

const (
	kB = int64(1000)
	mB = 1000 * kB
)

// november is when the books of these tests are opened: a Sunday.
var november = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// car is a model of a unit in use: what it sends a second under a plan. The
// rates are those of `go test -run TestBytesOfEachStep -v ./uplink`, rounded up.
type car struct {
	*testing.T
	b     *budget.Budget
	c     budget.Config
	at    telemetry.At
	wall  time.Time
	media int64 // waits
	live  time.Time

	spent   int64 // over metered links, ever
	lives   int   // live packets of today
	changes []budget.Change
	saved   []byte
}

func newCar(t *testing.T, c budget.Config) *car {
	return &car{T: t, c: c, b: budget.New(c), wall: november, at: telemetry.At(time.Minute)}
}

// drive is a moment on the road over wwan0.
func (c *car) drive() {
	p, u := c.b.Plan(), budget.Usage{Control: 7 * seconds}
	switch {
	case p.LiveEvery == 0:
		c.lives += seconds
		u.Telemetry, u.Control = 300*seconds, u.Control+150*seconds
	case c.wall.Sub(c.live) >= p.LiveEvery:
		c.live = c.wall
		c.lives++
		u.Telemetry, u.Control = 300, u.Control+150
		if !p.Newest {
			u.Telemetry = 520
		}
	}
	if c.wall.Unix()%60 == 0 {
		u.Health = 250
	}
	if c.wall.Unix()%600 == 0 {
		u.Event = 200
	}
	if p.Media && c.media > 0 {
		u.Media = min(c.media, 500*kB*seconds)
		c.media -= u.Media
	}
	c.b.Spent(u)
	c.spent += u.Total()
	c.tick(seconds*time.Second, true)
}

// tick lets time pass.
func (c *car) tick(d time.Duration, trusted bool) {
	c.at, c.wall = c.at.Add(d), c.wall.Add(d)
	wall := c.wall
	if !trusted {
		wall = time.Time{}
	}
	if change, ok := c.b.Advance(c.at, wall); ok {
		c.changes = append(c.changes, change)
	}
	if c.b.Due() {
		c.saved = c.b.Snapshot(false)
	}
}

// trip connects, drives and parks with the power cut.
func (c *car) trip(lasts time.Duration) {
	c.b.Connected("wwan0")
	c.b.Spent(budget.Usage{Control: 6 * kB}) // TLS and CONNECT
	c.spent += 6 * kB
	for range int(lasts / (seconds * time.Second)) {
		c.drive()
	}
	c.cut()
}

// cut takes the power away: a new process opens the book.
func (c *car) cut() {
	b := budget.New(c.c)
	if c.saved != nil {
		if err := b.Restore(c.saved); err != nil {
			c.Fatal(err)
		}
	}
	c.b, c.at = b, telemetry.At(10*time.Second)
}

// TestMonthStaysWithinItsBytes drives a car 20 hours a week, on five days, for
// three months with two power cuts a day, and holds each month against what
// was agreed. The car tells where it is at least each five minutes of driving,
// whatever the budget is.
func TestMonthStaysWithinItsBytes(t *testing.T) {
	for _, test := range []struct {
		name    string
		c       budget.Config
		media   int64 // a trip
		least   int64 // of a full month that is to be used: a ladder that gives up at once is none
		topmost int   // highest step that is to be taken
	}{
		{name: "enough for everything", c: budget.Config{Monthly: 500 * mB}, topmost: 0, least: 100 * mB},
		{name: "enough for live each 10 s", c: budget.Config{Monthly: 60 * mB}, topmost: 4, least: 20 * mB},
		{name: "hardly enough for a point a minute", c: budget.Config{Monthly: 8 * mB}, topmost: 4, least: 3 * mB},
		{name: "films on every trip", c: budget.Config{Monthly: 300 * mB}, media: 60 * mB, topmost: 4, least: 20 * mB},
		{name: "films on every trip, media first", media: 60 * mB, topmost: 4, least: 100 * mB,
			c: budget.Config{Monthly: 300 * mB, Ladder: []budget.Measure{budget.Media, budget.Slower, budget.Coarser}}},
		{name: "films wait for a free network", c: budget.Config{Monthly: 300 * mB, MediaFree: true}, media: 60 * mB, topmost: 0, least: 100 * mB},
		{name: "a month that starts on the 20th", c: budget.Config{Monthly: 60 * mB, MonthStarts: 20}, topmost: 4, least: 20 * mB},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newCar(t, test.c)
			topmost, changes, base, last := 0, 0, c.spent, int64(0)
			var months []int64
			var starts time.Time
			for day := range 92 {
				c.lives = 0
				morning := november.AddDate(0, 0, day).Add(8 * time.Hour)
				if wd := morning.Weekday(); wd != time.Saturday && wd != time.Sunday {
					for _, hour := range []time.Duration{0, 6 * time.Hour} {
						c.wall = morning.Add(hour)
						c.media += test.media
						c.b.Advance(c.at, c.wall) // the first fix
						c.trip(2 * time.Hour)
						topmost = max(topmost, c.b.Report().Step)
					}
					if c.lives < int(4*time.Hour/(5*time.Minute))-2 {
						t.Errorf("%v: told where it is %d times", morning.Format(time.DateOnly), c.lives)
					}
				}
				r := c.b.Report()
				if !starts.IsZero() && r.Starts != starts {
					months = append(months, r.Last)
					if real := last - base; real > test.c.Monthly || r.Last < real {
						t.Errorf("the month to %v cost %d bytes and was counted as %d, agreed were %d", r.Starts, real, r.Last, test.c.Monthly)
					}
					base = last
				}
				starts, last = r.Starts, c.spent
				if len(c.changes)-changes > 4 {
					t.Errorf("%v: the step changed %d times: %+v", morning.Format(time.DateOnly), len(c.changes)-changes, c.changes[changes:])
				}
				changes = len(c.changes)
			}
			t.Logf("months %v, margins of the last %d, highest step %d, %d changes", months, c.b.Report().Margin, topmost, changes)
			if topmost > test.topmost {
				t.Errorf("step %d was taken, %d would have done", topmost, test.topmost)
			}
			if full := months[len(months)-1]; full < test.least {
				t.Errorf("of %d bytes only %d were used", test.c.Monthly, full)
			}
		})
	}
}
