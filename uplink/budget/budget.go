// Package budget keeps the books of what a unit's data costs: bytes on the
// wire by class, day and billing month, metered and free links apart; the
// forecast of the month; and the ladder by which a unit saves so that the month
// stays within what was agreed with the carrier.
//
// It is bookkeeping and decisions only. It opens no socket and no file, knows
// no clock and starts no goroutine: the uplink says what was spent and asks for
// the Plan, the agent tells the time with Advance and keeps what Snapshot
// returns. Every method may be called from any goroutine.
//
// Sizes are bytes as a carrier bills them, TCP/IP headers included; days and
// months are those of UTC. The ladder and the error of the figures stand in
// docs/budget.md.
package budget

import (
	"sync"
	"time"

	"obu/telemetry"
)

// Config is what was agreed with the carrier. The zero Config only counts.
type Config struct {
	Monthly     int64     // bytes on metered links in a billing month; 0: no limit
	MonthStarts int       // day of the month on which it begins, 1 to 28; 0: 1
	Metered     []string  // interfaces that cost money, wwan0 or wwan*; with neither list: DefaultMetered
	Free        []string  // interfaces that cost nothing; when set, every other costs money
	MediaFree   bool      // media never travels over a metered link
	Ladder      []Measure // order of the measures, each once; nil: DefaultLadder
}

// Budget is the book of one unit.
type Budget struct {
	cfg Config

	mu   sync.Mutex // guards what follows
	s    state
	link Link

	at     telemetry.At // of the last Advance
	timed  bool         // there was one
	wall   time.Time    // trusted, at wallAt; zero: not known in this boot
	wallAt telemetry.At

	evalActive float64 // seconds over metered links since the step was last considered
	evalBytes  int64   // spent since then
	judged     int64   // the forecast that decided last

	unsaved int64        // metered bytes since the last Snapshot
	dirty   bool         // something changed since then
	savedAt telemetry.At // when it was taken
	retryAt telemetry.At // when one that could not be kept is due again
}

// New opens a book with nothing in it.
func New(c Config) *Budget {
	if c.MonthStarts == 0 {
		c.MonthStarts = 1
	}
	if c.Ladder == nil {
		c.Ladder = DefaultLadder[:]
	}
	return &Budget{cfg: c}
}

// Link is the way of the running session.
type Link struct {
	Interface string // "": not known, which counts as metered
	Metered   bool
	Up        bool // a session runs
}

// Connected says over which interface a session is being opened, "" when that
// is not known.
func (b *Budget) Connected(iface string) Link {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.link = Link{Interface: iface, Metered: b.cfg.isMetered(iface), Up: true}
	return b.link
}

// Disconnected says that the session is over. What is spent until the next one
// counts for the link it had.
func (b *Budget) Disconnected() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.link.Up = false
}

// Spent counts what crossed the wire.
func (b *Budget) Spent(u Usage) {
	n := u.Total()
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty = true
	if !b.link.Metered {
		b.s.DayFree.add(u)
		b.s.MonthFree.add(u)
		return
	}
	b.s.DayMetered.add(u)
	b.s.MonthMetered.add(u)
	b.s.WindowBytes += n
	b.evalBytes += n
	b.unsaved += n
}

// Plan says what may leave over the running session's link.
func (b *Budget) Plan() Plan {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.plan()
}

func (b *Budget) plan() Plan {
	if !b.link.Metered {
		return Unrestricted
	}
	step := b.s.Step
	if b.cfg.Monthly == 0 {
		step = 0
	}
	p := planOf(b.cfg.Ladder, step)
	p.Media = p.Media && !b.cfg.MediaFree
	p.SeekFree = b.cfg.Monthly > 0 || b.cfg.MediaFree
	return p
}

// IsFree reports whether an interface costs nothing.
func (b *Budget) IsFree(iface string) bool { return !b.cfg.isMetered(iface) }

// Report is what the book says now; sizes in bytes.
type Report struct {
	Monthly   int64     `json:"monthly_bytes"`  // 0: no limit
	Used      int64     `json:"used_bytes"`     // of the running month, metered links
	Forecast  int64     `json:"forecast_bytes"` // of the whole month, metered links
	Step      int       `json:"step"`           // of the ladder; 0: none needed
	Steps     int       `json:"steps"`          // of the ladder
	Saving    string    `json:"saving"`         // what the step means, in words
	Interface string    `json:"interface"`      // of the running or last session; "": not known
	Metered   bool      `json:"metered"`
	MediaFree bool      `json:"media_free"`            // media waits for a free network at any step
	Starts    time.Time `json:"month_starts,omitzero"` // of the running month; zero: no trusted time yet
	Ends      time.Time `json:"month_ends,omitzero"`   // when the next one starts
	Last      int64     `json:"last_month_bytes"`      // what the month before came to
	Margin    int64     `json:"margin_bytes"`          // of Used: added after power cuts for what may not have been noted
	Month     Usage     `json:"month"`                 // metered
	MonthFree Usage     `json:"month_free"`
	Day       Usage     `json:"day"` // metered
	DayFree   Usage     `json:"day_free"`
}

// Report returns the present state.
func (b *Budget) Report() Report {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := Report{
		Monthly: b.cfg.Monthly, Used: b.s.MonthMetered.Total(), Forecast: b.forecast(b.s.Step), Step: b.s.Step, Steps: Steps,
		Saving: saving(b.cfg.Ladder, b.s.Step), Interface: b.link.Interface, Metered: b.link.Metered, MediaFree: b.cfg.MediaFree,
		Last: b.s.Last, Margin: b.s.Margins, Month: b.s.MonthMetered, MonthFree: b.s.MonthFree, Day: b.s.DayMetered, DayFree: b.s.DayFree,
	}
	if b.s.Month != 0 {
		r.Starts, r.Ends = dayTime(b.s.Month), dayTime(monthEnd(b.s.Month, b.cfg.MonthStarts))
	}
	return r
}
