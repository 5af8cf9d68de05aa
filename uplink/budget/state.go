package budget

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// format is the version of what Snapshot returns.
const format = 1

// state is what outlives the process.
type state struct {
	Format int   `json:"format"`
	Open   bool  `json:"open"`   // the unit went on counting after this was written
	Margin int64 `json:"margin"` // the most it spent over metered links before it wrote again

	Since     int64 `json:"since"`      // first day counted
	Day       int64 `json:"day"`        // today
	Month     int64 `json:"month"`      // first day of the running month
	Last      int64 `json:"last"`       // metered bytes of the month before
	LastMonth int64 `json:"last_month"` // its first day

	DayMetered   Usage `json:"day_metered"`
	DayFree      Usage `json:"day_free"`
	MonthMetered Usage `json:"month_metered"`
	MonthFree    Usage `json:"month_free"`
	Margins      int64 `json:"margins"` // of MonthMetered: added after power cuts

	Step         int                `json:"step"`
	Changed      int64              `json:"changed"` // day of its last change
	Rates        [Steps + 1]float64 `json:"rates"`   // bytes a second on metered links at each step; 0: not known
	WindowBytes  int64              `json:"window_bytes"`
	WindowActive float64            `json:"window_active"` // seconds
	Active       [keptDays]float64  `json:"active"`        // seconds on metered links, by day modulo keptDays
}

// Bounds of what a power cut leaves uncounted. The book is written again before
// the margin it states is spent, so what is added at the next start is never
// less than what was lost, up to what leaves within two seconds.
const (
	leastMargin  = 32 << 10         // with a budget of less than 320 MB
	marginShare  = 10_000           // of the month: 300 power cuts cost at most 3 %
	largestShare = 100              // of the month, when the link is fast
	freeMargin   = 1 << 20          // without a budget: nothing is decided by it
	marginTime   = 30 * time.Second // the margin grows so that the book is not written more often
	saveEvery    = 15 * time.Minute // at the latest, if anything changed
	retryEvery   = 30 * time.Second // after a disk that refused
)

// Due reports whether Snapshot should be kept now.
func (b *Budget) Due() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.dirty || !b.timed || b.at < b.retryAt {
		return false
	}
	return b.unsaved > 0 && b.unsaved >= b.s.Margin/2 || b.at.Sub(b.savedAt) >= saveEvery
}

// Keep hands the book to write as Restore takes it; closed says that nothing is
// spent after it. One that could not be written stays due, after a pause.
func (b *Budget) Keep(closed bool, write func([]byte) error) error {
	b.mu.Lock()
	unsaved, margin, at := b.unsaved, b.s.Margin, b.savedAt
	b.mu.Unlock()
	err := write(b.Snapshot(closed))
	if err == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsaved += unsaved
	b.s.Margin, b.savedAt, b.dirty = margin, at, true
	b.retryAt = b.at.Add(retryEvery)
	return err
}

// Snapshot returns the book as Restore takes it; closed says that nothing is
// spent after it.
func (b *Budget) Snapshot(closed bool) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.s.Format, b.s.Open, b.s.Margin = format, !closed, 0
	if !closed && b.link.Metered && b.link.Up {
		b.s.Margin = b.margin()
	}
	b.unsaved, b.dirty, b.savedAt = 0, false, b.at
	out, _ := json.Marshal(b.s) // cannot fail: numbers
	return out
}

// margin is how much may be spent before the book is written again.
func (b *Budget) margin() int64 {
	if b.cfg.Monthly == 0 {
		return freeMargin
	}
	least := max(leastMargin, b.cfg.Monthly/marginShare)
	most := max(least, b.cfg.Monthly/largestShare)
	if took := b.at.Sub(b.savedAt); took > 0 {
		least = max(least, int64(float64(b.unsaved)*marginTime.Seconds()/took.Seconds()))
	}
	return min(least, most)
}

// Restore takes a Snapshot of an earlier run. One that was open, because the
// power was cut, has its margin added to what was spent.
func (b *Budget) Restore(snapshot []byte) error {
	var s state
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return fmt.Errorf("read data budget: %w", err)
	}
	if s.Format != format {
		return fmt.Errorf("read data budget: format %d, this version knows %d", s.Format, format)
	}
	if !s.sane() {
		return fmt.Errorf("read data budget: %w", errNonsense)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.Open {
		s.DayMetered.Control += s.Margin
		s.MonthMetered.Control += s.Margin
		s.Margins += s.Margin
		b.dirty = true
	}
	s.Margin = 0
	if s.Month != 0 && monthOf(s.Month, b.cfg.MonthStarts) != s.Month { // another day was agreed: the count goes on
		s.Month = monthOf(s.Day, b.cfg.MonthStarts)
	}
	if b.cfg.Monthly == 0 {
		s.Step = 0
	}
	b.s = s
	return nil
}

var errNonsense = errors.New("it holds impossible numbers")

// sane reports whether a state could have been written by Snapshot.
func (s *state) sane() bool {
	for _, n := range [...]int64{s.Margin, s.Since, s.Day, s.Month, s.Last, s.LastMonth, s.Margins, s.Changed, s.WindowBytes} {
		if n < 0 || n > maxCount {
			return false
		}
	}
	for _, u := range [...]Usage{s.DayMetered, s.DayFree, s.MonthMetered, s.MonthFree} {
		for _, n := range [...]int64{u.Telemetry, u.Event, u.Health, u.Media, u.Control} {
			if n < 0 || n > maxCount {
				return false
			}
		}
	}
	for _, f := range append(append(s.Active[:len(s.Active):len(s.Active)], s.Rates[:]...), s.WindowActive) {
		if !(f >= 0 && f <= maxCount) {
			return false
		}
	}
	return s.Step >= 0 && s.Step <= Steps && max(s.Day, s.Month, s.Since, s.LastMonth, s.Changed) <= maxDay
}

// Bounds of what a Snapshot may hold.
const (
	maxCount = 1 << 50 // a petabyte
	maxDay   = 1 << 20 // some thousand years
)
