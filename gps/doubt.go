package gps

import (
	"math"
	"time"

	"obu/telemetry"
)

// What no car does, with room for what receivers do. They are generous: a
// doubt has to mean something.
const (
	maxSpeedMPS  = 100    // 360 km/h
	jumpSlackM   = 100    // a first fix is that far off, and its successor on the other side
	maxAltM      = 10_000 // no road, and no aircraft of ours
	frozenMPS    = 2      // slower, a receiver may hold the position still
	frozenM      = 25     // so far has the speed carried us while the position stood
	backwards    = time.Second
	stuckEpochs  = 12 // a receiver of 10 Hz may print whole seconds
	stuckFor     = 3 * time.Second
	storedEpochs = 30 // repeated longer than this by a fix, a stored position is one
)

// A jump, or a step of time, is believed when it goes on: after so many epochs
// in a row that agree with each other, over that time.
const (
	believeEpochs = 4
	believeAfter  = 3 * time.Second
)

// By how much more than our own clock a live receiver's time may go on from one
// epoch to the next: soonMost for a car that drives meanwhile, since the last one
// may have been read late; aheadMost before it is doubted. Neither bounds the
// pace: a recording with a hole in it may be played fast.
const (
	soonMost  = 10 * time.Second
	aheadMost = time.Hour
)

// noSuchYear is where times begin that none of these receivers will see, and
// centuries how far from the first date one still can be counted.
const (
	noSuchYear = 2070
	centuries  = 200 * 365 * 24 * time.Hour
)

// place is where and when a fix was.
type place struct {
	when     time.Duration // on the receiver's clock, since some origin
	at       telemetry.At
	lat, lon float64
	known    bool
}

// judge holds each fix against those before it: stored positions repeated,
// positions that stand still or jump, time that does. It doubts; it never
// corrects.
type judge struct {
	live   bool      // At is when a fix was heard, and not counted from its time
	origin time.Time // of when, for fixes with a date
	own    bool      // there was no time yet: when is counted by At

	good   place // the last fix without doubt
	since  place // where a run of fixes began that contradicts it
	run    place // its last
	runs   int
	travel float64 // metres by speed since the position last changed
	lastAt place   // position of the last fix, whatever its doubt

	newest time.Duration // latest time seen; valid if timed
	timed  bool
	at     telemetry.At  // when newest was shown
	off    time.Duration // by how much the first of those below was off
	behind int           // epochs in a row before newest, or too far ahead
	prev   time.Duration
	prevAt telemetry.At // when prev was shown first
	same   int          // epochs that showed prev

	locked   bool
	shown    place // in a void epoch before the lock
	repeated int
}

// doubt adds the reasons why f is not to be trusted. shown is a position that
// the epoch's void sentences carry.
func (j *judge) doubt(f *telemetry.Fix, e *epoch) {
	when, timed, told := j.when(f, e)
	if told {
		j.time(f, when)
	}
	if !f.Valid {
		if !j.locked && e.voidPos {
			j.shown = place{lat: e.voidLat.degrees(fineGrid), lon: e.voidLon.degrees(fineGrid), known: true}
		}
		return
	}
	j.stored(f, e)
	if f.SpeedMPS > maxSpeedMPS {
		f.Doubt |= telemetry.DoubtJump
	}
	if math.Abs(f.AltM) > maxAltM {
		f.Doubt |= telemetry.DoubtRange
	}
	if !timed || f.Doubt&telemetry.DoubtZeroIsland != 0 {
		return
	}
	now := place{when, f.At, f.LatDeg, f.LonDeg, true}
	j.frozen(f, now, e.digits)
	j.jump(f, now)
	j.lastAt = now
	if f.Doubt == 0 {
		j.good = now
	}
}

// when returns the time of the epoch as the receiver counts it; without a date
// it goes on over midnight. Where a live receiver tells none it is as much later
// as our own clock says: to say no time must be no way round the doubts.
func (j *judge) when(f *telemetry.Fix, e *epoch) (when time.Duration, ok, told bool) {
	switch {
	case !f.UTC.IsZero():
		d := f.UTC.Sub(j.origin)
		if j.origin.IsZero() || d.Abs() > centuries { // the first date: count from there
			j.origin, d = f.UTC, 0
			j.forget()
		}
		return d, true, true
	case e.tod < 0 || !j.origin.IsZero():
		if !j.live || e.badTime {
			return 0, false, false
		}
		if !j.timed {
			j.timed, j.own, j.newest, j.at = true, true, 0, f.At
		}
		return j.newest + f.At.Sub(j.at), true, false
	case j.own:
		j.forget()
	}
	when = e.tod
	if j.timed {
		const half, day = 12 * time.Hour, 24 * time.Hour
		when += j.prev - j.prev%day
		switch {
		case j.prev-when > half:
			when += day
		case when-j.prev > half:
			when -= day
		}
	}
	return when, true, true
}

// forget drops what was counted in a time that is no longer.
func (j *judge) forget() {
	j.timed, j.own, j.same, j.behind, j.runs, j.travel = false, false, 0, 0, 0, 0
	j.good.known, j.lastAt.known = false, false
}

// time doubts a clock that goes back, or on a live line after a good fix further
// ahead than time has passed, until it has gone on for a while from there, and
// one that stands still. A clock that has stepped has not moved the car.
func (j *judge) time(f *telemetry.Fix, when time.Duration) {
	ahead := j.live && j.timed && j.good.known && when-j.newest-f.At.Sub(j.at) > aheadMost
	switch {
	case !j.timed:
		j.begin(f, when)
	case when >= j.newest-backwards && !ahead:
		if when >= j.newest {
			j.newest, j.at = when, f.At
		}
		j.behind = 0
	default:
		f.Doubt |= telemetry.DoubtTime
		if when < j.prev || ahead && when-j.prev-f.At.Sub(j.prevAt) > aheadMost {
			j.behind = 0
		}
		if j.behind == 0 {
			j.off = when - j.newest
		}
		if j.behind++; j.behind >= believeEpochs {
			was := j.good
			was.when += j.off
			j.forget()
			j.begin(f, when)
			j.good = was
		}
	}
	if when != j.prev || j.same == 0 {
		j.prev, j.prevAt, j.same = when, f.At, 0
	}
	if j.same++; j.same > stuckEpochs || f.At.Sub(j.prevAt) > stuckFor {
		f.Doubt |= telemetry.DoubtTime | telemetry.DoubtFrozen
	}
}

// begin counts time from this epoch on.
func (j *judge) begin(f *telemetry.Fix, when time.Duration) {
	j.timed, j.newest, j.at = true, when, f.At
}

// stored doubts a fix that repeats, to the last digit, what the receiver showed
// while it said that it had none.
func (j *judge) stored(f *telemetry.Fix, e *epoch) {
	if j.locked {
		return
	}
	same := j.shown.known && j.shown.lat == e.lat.degrees(fineGrid) && j.shown.lon == e.lon.degrees(fineGrid)
	if j.repeated++; !same || j.repeated > storedEpochs {
		j.locked = true
		return
	}
	f.Doubt |= telemetry.DoubtStored
}

// frozen doubts a position that stays the same to the last digit while the
// speed says otherwise.
func (j *judge) frozen(f *telemetry.Fix, now place, digits int) {
	dt := now.when - j.lastAt.when
	if !j.lastAt.known || j.lastAt.lat != now.lat || j.lastAt.lon != now.lon || !(f.SpeedMPS > frozenMPS) || dt < 0 || dt > time.Minute {
		j.travel = 0
		return
	}
	j.travel += f.SpeedMPS * dt.Seconds()
	if j.travel > frozenM+2*resolutionM(digits) {
		f.Doubt |= telemetry.DoubtFrozen
	}
}

// resolutionM is the step of a position with that many decimals of a minute.
func resolutionM(digits int) float64 {
	step := 1852.0
	for range digits {
		step /= 10
	}
	return step
}

// jump doubts a position that no car can have reached since the last good one,
// until enough of its successors agree with it.
func (j *judge) jump(f *telemetry.Fix, now place) {
	if j.reachable(j.good, now) {
		j.runs = 0
		return
	}
	if j.runs == 0 || !j.reachable(j.run, now) {
		j.since, j.runs = now, 0
	}
	j.run = now
	if j.runs++; j.runs > believeEpochs && now.when-j.since.when >= believeAfter {
		j.runs = 0
		return
	}
	f.Doubt |= telemetry.DoubtJump
}

// reachable reports whether a car can be at b after it was at a.
func (j *judge) reachable(a, b place) bool {
	dt := b.when - a.when
	if !a.known || dt < -backwards {
		return true // time has its own doubt
	}
	if j.live {
		dt = min(dt, b.at.Sub(a.at)+soonMost)
	}
	return distanceM(a, b) <= jumpSlackM+maxSpeedMPS*max(0, dt.Seconds())
}

// distanceM is the distance over the ground, good to a percent over what a car
// drives in minutes. It needs no better, and no trigonometry.
func distanceM(a, b place) float64 {
	const degreeM = 111_195 // of a great circle
	x := (a.lat + b.lat) / 2 * (math.Pi / 180)
	x *= x
	cos := 1 - x/2*(1-x/12*(1-x/30)) // of the latitude
	dLon := math.Abs(b.lon - a.lon)
	dLon = min(dLon, 360-dLon) * cos
	dLat := b.lat - a.lat
	return degreeM * math.Sqrt(dLat*dLat+dLon*dLon)
}
