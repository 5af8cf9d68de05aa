package budget

import (
	"time"

	"obu/telemetry"
)

// Days are numbered since 1970-01-01, in UTC; 0 means that no trusted time was
// ever known.

const day = 24 * time.Hour

// unknownLeft is how many days a month is taken to last while no trusted time
// was ever known.
const unknownLeft = 30

// keptDays is how long a day's activity is remembered: the week before today,
// and today. A car has a weekly rhythm.
const keptDays = 8

func dayOf(t time.Time) int64 { return t.Unix() / int64(day/time.Second) }

func dayTime(d int64) time.Time { return time.Unix(d*int64(day/time.Second), 0).UTC() }

// monthOf returns the first day of the billing month that d lies in.
func monthOf(d int64, starts int) int64 {
	y, m, dd := dayTime(d).Date()
	if dd < starts {
		m--
	}
	return dayOf(time.Date(y, m, starts, 0, 0, 0, 0, time.UTC))
}

// monthEnd returns the first day of the month after the one that begins on d.
func monthEnd(d int64, starts int) int64 {
	y, m, _ := dayTime(d).Date()
	return dayOf(time.Date(y, m+1, starts, 0, 0, 0, 0, time.UTC))
}

// Advance tells the time: at since boot, and wall when it can be trusted, zero
// when not. The agent calls it every second. It reports whether the step of
// the ladder changed.
func (b *Budget) Advance(at telemetry.At, wall time.Time) (Change, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	passed := min(at.Sub(b.at), maxTick)
	if !b.timed {
		passed, b.timed, b.savedAt = 0, true, at
	}
	b.at = at
	was := b.s.Step
	if !wall.IsZero() {
		b.wall, b.wallAt = wall, at
		b.moveTo(dayOf(wall))
	}
	if b.link.Up && b.link.Metered && passed > 0 {
		b.s.Active[b.s.Day%keptDays] += passed.Seconds()
		b.s.WindowActive += passed.Seconds()
		b.evalActive += passed.Seconds()
		b.dirty = true
	}
	if b.cfg.Monthly > 0 {
		b.consider()
	}
	if b.s.Step == was {
		return Change{}, false
	}
	return Change{From: was, To: b.s.Step, Saving: saving(b.cfg.Ladder, b.s.Step),
		Used: b.s.MonthMetered.Total(), Forecast: b.judged, Monthly: b.cfg.Monthly}, true
}

// maxTick bounds what one Advance counts as time on the link: a unit that slept
// was not connected.
const maxTick = time.Minute

// Change is a step of the ladder taken.
type Change struct {
	From, To                int
	Saving                  string
	Used, Forecast, Monthly int64 // the forecast is the one that decided
}

// moveTo goes to another day, and to its month. Time that jumps back takes the
// books with it: what was counted stays counted.
func (b *Budget) moveTo(d int64) {
	s := &b.s
	if d == s.Day {
		return
	}
	b.dirty = true
	month := monthOf(d, b.cfg.MonthStarts)
	switch {
	case s.Day == 0: // what was spent before counts for the day that became known
		s.Since, s.Month = d, month
		spent := s.Active[0]
		s.Active = [keptDays]float64{}
		s.Active[d%keptDays] = spent
	case d < s.Day:
		s.Since = min(s.Since, d)
	default:
		for i := s.Day + 1; i <= min(d, s.Day+keptDays); i++ {
			s.Active[i%keptDays] = 0
			b.forgetRates()
		}
		s.DayMetered, s.DayFree = Usage{}, Usage{}
	}
	s.Day = d
	switch {
	case month > s.Month:
		s.Last, s.LastMonth = s.MonthMetered.Total(), s.Month
		s.Month, s.MonthMetered, s.MonthFree, s.Margins = month, Usage{}, Usage{}, 0
		b.newMonth()
	case month < s.Month:
		if month == s.LastMonth { // it had not ended
			s.MonthMetered.Control += s.Last
			s.Last, s.LastMonth = 0, 0
		}
		s.Month = month
	}
}

// daysLeft returns how many days of the month are left.
func (b *Budget) daysLeft() float64 {
	if b.s.Month == 0 {
		return unknownLeft
	}
	now := dayTime(b.s.Day)
	if !b.wall.IsZero() {
		now = b.wall.Add(b.at.Sub(b.wallAt))
	}
	return max(0, dayTime(monthEnd(b.s.Month, b.cfg.MonthStarts)).Sub(now).Hours()/24)
}
