package clock

import (
	"sync"
	"time"

	"obu/telemetry"
)

// What the sources of wall time are worth.
const (
	// driftPPM bounds how fast an unsteered crystal in a car runs wrong; the
	// uncertainty of an anchor grows with it in both directions.
	driftPPM = 100
	// rtcUncertainty is that of a system clock nobody vouches for, set from a
	// battery-backed clock at boot.
	rtcUncertainty = 24 * time.Hour
	// fileUncertainty is that of one set from a file, by a unit that has no such
	// clock: how long it was off nobody knows.
	fileUncertainty = 365 * 24 * time.Hour
	// rtcAgreement is how far apart a battery's clock and the system clock that
	// was set from it may be.
	rtcAgreement = 2 * time.Minute
	// trustedWithin is how sure the time must be to decide about data: to let it
	// expire, to end an order, to begin a month. A battery's clock never is.
	trustedWithin = time.Hour
	// leastUncertainty is what the kernel is believed to know best.
	leastUncertainty = time.Millisecond
	// anchorEvery is how often a source that goes on agreeing anchors again.
	anchorEvery = 10 * time.Minute
	// lookEvery bounds how often the system clock is asked about NTP.
	lookEvery = 10 * time.Second
	// rtcStep is a jump of the system clock that makes a new rtc anchor.
	rtcStep = time.Second
	// complainEvery bounds how often a receiver is complained about: one that
	// jumps all the time must not fill the journal.
	complainEvery = 10 * time.Minute
	// maxPending bounds the anchors nobody fetched; the oldest gives way,
	// because a newer one of the same boot says more.
	maxPending = 32
)

// Reading is a wall time with how far it may be trusted. The zero Reading
// means that nothing is known.
type Reading struct {
	Time        time.Time          // UTC
	Uncertainty time.Duration      // the true time lies within Time ± this, as far as the source can know
	By          telemetry.AnchorBy // which source; "" when nothing is known
	Anchored    telemetry.At       // when it told the time
	Trusted     bool               // known to within an hour: ages, months and deadlines may be told by it
}

// wallClock holds the anchors of this boot and decides between them.
type wallClock struct {
	mu       sync.Mutex
	gnss     telemetry.Anchor // zero Boot: none yet
	ntp      telemetry.Anchor
	rtc      telemetry.Anchor
	replay   telemetry.Anchor
	pending  []telemetry.Anchor
	looked   telemetry.At // when the system clock was last asked
	run      run
	behind   time.Duration // of the fix that is observed: its At may be as much later, or earlier
	verdict  Verdict       // on the time of the newest fix,
	off      time.Duration // which is so far ahead
	session  session
	pulse    pulses
	slept    sleeps
	periods  int  // of 1024 weeks the date of the fix that is observed was moved by
	moved    bool // gnss is from a date that was moved
	restored bool // gnss is from before a restart, and no fix has agreed with it since
	tried    bool // to set the system clock,
	set      bool // and it was set
	counts   Stats
	said     map[string]bool // complaints made: each once a boot
	refused  complaint
	stepped  complaint
	good     time.Time // news for Remember
	notes    []note    // said under mu, passed on by unlock
	sample   *Sample   // for Offer, likewise
	mend     bool      // the system clock may be compared and set
}

// unlock frees mu, then logs and reports what was learnt under it.
func (w *wallClock) unlock(c *Clock) {
	notes, sample, mend := w.notes, w.sample, w.mend
	w.notes, w.sample, w.mend = nil, nil, false
	w.mu.Unlock()
	for _, n := range notes {
		c.log.Warn(n.text, n.args...)
	}
	if sample != nil {
		c.opt.offer(*sample)
	}
	if mend {
		c.setSystem()
	}
}

// Stats counts what the clock saw; all rise for the life of the Clock.
type Stats struct {
	Anchors  int // made, of all sources
	Repaired int // fixes whose time was moved by whole 1024-week periods
	Refused  int // fixes whose time nothing explains
	Steps    int // times the receiver's time moved by whole seconds and was followed
	Pulses   int // of a PPS device, read and believed to come once a second
	Suspends int // times the machine slept
}

// Stats returns the counts so far.
func (c *Clock) Stats() Stats {
	c.wall.mu.Lock()
	defer c.wall.mu.Unlock()
	return c.wall.counts
}

// Wall returns the best known wall time now.
func (c *Clock) Wall() Reading { return c.WallAt(c.Now()) }

// WallAt returns the best known wall time of at, which may lie before the
// anchor it is derived from: data taken before the first fix heals with it.
func (c *Clock) WallAt(at telemetry.At) Reading {
	c.look()
	c.wall.mu.Lock()
	defer c.wall.mu.Unlock()
	return readingAt(c.wall.best(at), at)
}

func readingAt(a telemetry.Anchor, at telemetry.At) Reading {
	if a.Boot.IsZero() {
		return Reading{}
	}
	r := Reading{Time: a.Wall.Add(at.Sub(a.At)), Uncertainty: uncertaintyAt(a, at), By: a.By, Anchored: a.At}
	if a.By == telemetry.AnchorReplay {
		r.Uncertainty = a.Uncertainty
	}
	r.Trusted = r.Uncertainty <= trustedWithin
	return r
}

func uncertaintyAt(a telemetry.Anchor, at telemetry.At) time.Duration {
	return a.Uncertainty + at.Sub(a.At).Abs()/1e6*driftPPM
}

// best returns the anchor that says most about at, or a zero one.
func (w *wallClock) best(at telemetry.At) telemetry.Anchor {
	if !w.replay.Boot.IsZero() {
		return w.replay
	}
	best := w.gnss
	for _, a := range [...]telemetry.Anchor{w.ntp, w.rtc} {
		if best.Boot.IsZero() || !a.Boot.IsZero() && uncertaintyAt(a, at) < uncertaintyAt(best, at) {
			best = a
		}
	}
	return best
}

// Anchor returns the anchor Wall is derived from now, if there is one.
func (c *Clock) Anchor() (telemetry.Anchor, bool) {
	now := c.Now()
	c.look()
	c.wall.mu.Lock()
	defer c.wall.mu.Unlock()
	a := c.wall.best(now)
	return a, !a.Boot.IsZero()
}

// Anchors returns the anchors made since the last call, of every source, to be
// stored as events: each anchor is handed out here exactly once. What is worth
// keeping of them goes to Remember's function first.
func (c *Clock) Anchors() []telemetry.Anchor {
	c.look()
	w := &c.wall
	w.mu.Lock()
	out := w.pending
	w.pending = nil
	var m *Memory
	if c.opt.remember != nil && !w.good.IsZero() {
		m = w.memory()
		w.good = time.Time{}
	}
	w.mu.Unlock()
	if m != nil {
		c.opt.remember(m)
	}
	return out
}

// VerifyTime returns the time to verify certificates against: the latest of
// the system time, the build date and the last good time, so that a unit that
// wakes up in 1970 still connects. A system clock that GNSS proves wrong is
// left out, so that one stuck in the future does not lock the unit out.
func (c *Clock) VerifyTime() time.Time {
	known := c.opt.memory.Good
	if c.opt.build.After(known) {
		known = c.opt.build
	}
	sys := c.opt.sysWall().UTC()
	if c.replay == nil {
		now := c.Now()
		c.wall.mu.Lock()
		gnss := readingAt(c.wall.gnss, now)
		c.wall.mu.Unlock()
		if gnss.By != "" && sys.Sub(gnss.Time).Abs() > gnss.Uncertainty {
			sys = gnss.Time
		}
	}
	if sys.After(known) {
		return sys
	}
	return known
}

// Earliest returns a time that has passed for certain: the floor date, when the
// program was built, or the last good time.
func (c *Clock) Earliest() time.Time {
	t := c.opt.floor
	for _, known := range [...]time.Time{c.opt.build, c.opt.memory.Good} {
		if known.After(t) {
			t = known
		}
	}
	return t
}

// start takes the system clock as it stands, if it is plausible.
func (w *wallClock) start(c *Clock) {
	w.restore(c, c.opt.memory)
	w.looked = c.Now().Add(-lookEvery)
	c.look()
}

func (w *wallClock) startReplay(c *Clock, start time.Time) {
	if start.IsZero() {
		return
	}
	w.replay = telemetry.Anchor{Boot: c.boot, Wall: start.UTC(), By: telemetry.AnchorReplay}
	w.push(w.replay)
}

func (w *wallClock) replayStart() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.replay.Boot.IsZero() {
		return time.Time{}
	}
	return w.replay.Wall.Add(-time.Duration(w.replay.At))
}

func (w *wallClock) push(a telemetry.Anchor) {
	w.counts.Anchors++
	if len(w.pending) == maxPending {
		w.pending = append(w.pending[:0], w.pending[1:]...)
	}
	w.pending = append(w.pending, a)
}

// look asks the system clock, at most every lookEvery, whether NTP vouches for
// it or somebody set it, and anchors accordingly.
func (c *Clock) look() {
	if c.replay != nil {
		return
	}
	w := &c.wall
	w.mu.Lock()
	defer w.unlock(c)
	now := c.read()
	w.suspended(c, now)
	if now.Sub(w.looked) < lookEvery {
		return
	}
	w.looked = now
	sys := c.opt.sysWall().UTC()
	if sys.Before(c.opt.floor) {
		w.sayOnce("unset", "the system clock is not set; data is stamped with time since boot and gets its true time with the first GPS fix",
			"system_time", sys.Format(time.RFC3339), "not_before", c.opt.floor.Format(time.DateOnly))
		return
	}
	at := now - now%telemetry.At(time.Millisecond)
	a := telemetry.Anchor{Boot: c.boot, At: at, Wall: sys.Add(at.Sub(now)).Round(time.Microsecond)}
	if c.opt.synced != nil {
		if bound, ok := c.opt.synced(); ok {
			a.By, a.Uncertainty = telemetry.AnchorNTP, max(bound, leastUncertainty)
			w.lookNTP(a)
			return
		}
	}
	if w.gnss.Boot.IsZero() && w.ntp.Boot.IsZero() && (w.rtc.Boot.IsZero() || moved(w.rtc, a) > rtcStep) {
		w.lookRTC(c, a)
	}
}

// lookRTC takes a system clock that nobody vouches for.
func (w *wallClock) lookRTC(c *Clock, a telemetry.Anchor) {
	a.By, a.Uncertainty = telemetry.AnchorRTC, rtcUncertainty
	if c.opt.battery != nil && !c.opt.battery(a.Wall) {
		a.Uncertainty = fileUncertainty
	}
	if behind := c.opt.memory.Good.Sub(a.Wall); behind > a.Uncertainty { // its battery ran out
		a.Uncertainty = behind + fileUncertainty
	}
	if !w.rtc.Boot.IsZero() { // somebody set it: it was right, or is
		a.Uncertainty = max(a.Uncertainty, moved(w.rtc, a)+w.rtc.Uncertainty)
	}
	w.rtc = a
	w.push(a)
}

// lookNTP takes a system clock that NTP vouches for, unless GNSS contradicts.
func (w *wallClock) lookNTP(a telemetry.Anchor) {
	if g := readingAt(w.gnss, a.At); g.By != "" {
		if apart := a.Wall.Sub(g.Time); apart.Abs() > g.Uncertainty+a.Uncertainty+time.Second {
			w.sayOnce("contradiction", "NTP and GPS disagree and GPS is believed; check the time servers of this unit", "ntp_ahead", apart)
			w.ntp = telemetry.Anchor{}
			return
		}
	}
	if !w.ntp.Boot.IsZero() && a.At.Sub(w.ntp.At) < anchorEvery && moved(w.ntp, a) <= w.ntp.Uncertainty+a.Uncertainty {
		return
	}
	if w.ntp.Boot.IsZero() {
		w.before(a)
	}
	w.ntp = a
	w.push(a)
	w.good = a.Wall
}

// moved returns how far apart two anchors put the same moment.
func moved(a, b telemetry.Anchor) time.Duration {
	return (b.Wall.Sub(a.Wall) - b.At.Sub(a.At)).Abs()
}
