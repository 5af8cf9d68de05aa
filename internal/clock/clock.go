// Package clock answers what time it is for one car. Data is stamped with
// telemetry.At, nanoseconds since boot, which never jumps; wall time is
// derived from anchors that tie the one to the other, so a datum taken while
// the clock said 1970 gets its true time as soon as one anchor of its boot is
// known.
//
// Three kinds of Clock share one type: System (the kernel's CLOCK_BOOTTIME and
// boot id), Virtual (the Go runtime's monotonic clock, which testing/synctest
// replaces) and Replay (a recording's own time, at any speed). Sources that
// follow recorded time Join the clock and sleep on their Sleeper; periodic jobs
// Follow it.
//
// It sets the system clock only when it is told to (WithSet), stores nothing on
// disk and starts no goroutine; a paced Replay arms one timer. Every method may be called from
// any goroutine. See docs/decisions/0002-time.md.
package clock

import (
	"crypto/rand"
	"log/slog"
	"time"

	"obu/telemetry"
)

// Clock is the time of one car. Create it with System, Virtual or Replay; two
// Clocks in one process know nothing of each other.
type Clock struct {
	opt    options
	boot   telemetry.BootID
	read   func() telemetry.At // time since boot; nil on a replay
	replay *replay             // nil on a live clock
	maxNap time.Duration       // longest single timer; 0: no limit
	log    *slog.Logger

	kernel kernelClock
	wall   wallClock
}

// Option changes a Clock at creation.
type Option func(*options)

type options struct {
	log       *slog.Logger
	floor     time.Time
	ceiling   time.Time // zero: none
	build     time.Time
	memory    *Memory
	remember  func(*Memory)
	boot      telemetry.BootID
	startAt   telemetry.At
	wallError time.Duration
	sysWall   func() time.Time // the system's wall clock
	stamping  func() time.Time // the wall clock kernel stamps are taken from
	synced    func() (time.Duration, bool)
	suspended func() time.Duration // how long the machine has slept since boot; nil: never
	battery   func(time.Time) bool // whether a battery-backed clock shows that time; nil: one does
	offer     func(Sample)
	set       func(time.Time) error // sets the system clock; nil: never

	oscillator func(elapsed time.Duration) time.Duration // of a Virtual clock; nil: right
}

// windowStart is where the 1024 weeks begin into which a receiver's date is
// put: the floor date, or half a window before the last good time when that is
// later, so that an old program does not age. Half a window, because a last
// good time that was wrong by years must not make every true one wrong.
func (o *options) windowStart() time.Time {
	if from := o.memory.Good.Add(-rollover / 2); from.After(o.floor) {
		return from
	}
	return o.floor
}

// repairedUntil is how late a time moved by whole 1024-week periods may be: half
// a window after what is known to have passed. A date moved further was wrong for
// another reason, and as the last good time it would make every true one wrong.
func (o *options) repairedUntil() time.Time {
	known := o.floor
	if o.memory.Good.After(known) {
		known = o.memory.Good
	}
	return known.Add(rollover / 2)
}

// WithLog sets where repairs, refusals and steps are reported.
func WithLog(l *slog.Logger) Option { return func(o *options) { o.log = l } }

// WithBuild tells when the program was built. No true time is earlier: it
// raises the floor of a System clock and counts in VerifyTime.
func WithBuild(t time.Time) Option { return func(o *options) { o.build = t } }

// WithFloor replaces the compiled-in date before which no time is believed
// and from which receivers' 1024-week rollovers are repaired.
func WithFloor(t time.Time) Option { return func(o *options) { o.floor = t } }

// WithMemory tells what an earlier run knew (nil: nothing), and has keep (nil:
// nobody) called with what is worth keeping across a restart: at most with each
// anchor of GNSS or NTP and each suspend, in the goroutine that calls Anchors.
func WithMemory(m *Memory, keep func(*Memory)) Option {
	return func(o *options) {
		if m != nil {
			o.memory = m
		}
		o.remember = keep
	}
}

// WithBoot sets the boot id of a Virtual or Replay clock, which is random
// otherwise.
func WithBoot(id telemetry.BootID) Option { return func(o *options) { o.boot = id } }

// StartAt sets what a Virtual clock's Now starts from; 0 otherwise.
func StartAt(at telemetry.At) Option { return func(o *options) { o.startAt = at } }

// WithWallError makes a Virtual clock's system wall time wrong by d, as that
// of a unit without a battery is.
func WithWallError(d time.Duration) Option { return func(o *options) { o.wallError = d } }

// WithWallAt makes a Virtual clock's system wall time read t at creation:
// time.Unix(0, 0) is a unit that wakes up in 1970.
func WithWallAt(t time.Time) Option {
	return func(o *options) { o.wallError = time.Until(t) }
}

// WithOscillator makes a Virtual clock run as that of a unit does: counted is
// what it counted after so much true time, and slept how much of that the
// machine was suspended (nil: none).
func WithOscillator(counted, slept func(elapsed time.Duration) time.Duration) Option {
	return func(o *options) {
		o.oscillator = counted
		if slept != nil {
			start := time.Now()
			o.suspended = func() time.Duration { return slept(time.Since(start)) }
		}
	}
}

// Offer has f called with each fix of a receiver that has earned belief, in the
// goroutine that called Observe, so that a time daemon can be told.
func Offer(f func(Sample)) Option { return func(o *options) { o.offer = f } }

// WithSet has f called to set the system clock, once, when a receiver that has
// earned belief proves it wrong by seconds and no time daemon vouches for it.
// Without it a Clock never sets the system clock.
func WithSet(f func(time.Time) error) Option { return func(o *options) { o.set = f } }

// floorDate is before the first release: no unit has ever lived earlier.
var floorDate = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// virtualFloor is where testing/synctest starts its fake time.
var virtualFloor = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Virtual returns a live clock on the Go runtime's monotonic time, for many
// cars in one process and for tests under testing/synctest. Its boot id is
// random, and its floor date is 2000-01-01, because synctest starts there.
func Virtual(opts ...Option) *Clock {
	c := newClock(opts, virtualFloor)
	start, base := time.Now(), c.opt.startAt
	c.read = func() telemetry.At { return base.Add(time.Since(start)) }
	if run := c.opt.oscillator; run != nil {
		wall := c.opt.sysWall()
		c.read = func() telemetry.At { return base.Add(run(time.Since(start))) }
		c.opt.sysWall = func() time.Time { return wall.Add(c.read().Sub(base)) }
		c.opt.stamping = c.opt.sysWall
	}
	c.wall.start(c)
	return c
}

// Replay returns a clock that shows a recording's own time: its Now starts at
// 0, which is the wall time start; a zero start means the recording does not
// say. It runs at speed times real time, or with speed 0 as fast as the joined
// sleepers allow. Time stands still until Start, and goes no faster than real
// time while no source is joined. Its boot id is random.
func Replay(speed float64, start time.Time, opts ...Option) *Clock {
	c := newClock(opts, time.Time{})
	c.replay = newReplay(speed)
	c.wall.startReplay(c, start)
	return c
}

func newClock(opts []Option, floor time.Time) *Clock {
	o := options{floor: floor, memory: new(Memory)}
	for _, f := range opts {
		f(&o)
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	if o.sysWall == nil {
		wrong := o.wallError
		o.sysWall = func() time.Time { return time.Now().Add(wrong).Round(0) }
	}
	if o.stamping == nil {
		o.stamping = time.Now
	}
	c := &Clock{opt: o, boot: o.boot, log: o.log}
	if c.boot.IsZero() {
		rand.Read(c.boot[:]) // never fails
	}
	return c
}

// Now returns the time since boot; on a replay, the recorded time reached.
func (c *Clock) Now() telemetry.At {
	if c.replay != nil {
		return c.replay.now()
	}
	return c.read()
}

// Boot returns the id of the boot that Now counts from.
func (c *Clock) Boot() telemetry.BootID { return c.boot }

// IsReplay reports whether Now is a recording's time.
func (c *Clock) IsReplay() bool { return c.replay != nil }

// Start lets a replay's time run as soon as n sleepers have joined since
// creation; with 0 at once. Until then every SleepUntil waits, so no source is
// overtaken by one that opened its log faster. It may be called again with a
// smaller n when a source turns out to be missing. On a live clock it does
// nothing.
func (c *Clock) Start(n int) {
	if c.replay != nil {
		c.replay.start(n)
	}
}
