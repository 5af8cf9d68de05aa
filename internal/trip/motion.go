package trip

import (
	"math"
	"time"

	"obu/telemetry"
)

const (
	startMPS  = 2.5  // from here on it drives: faster than a receiver drifts
	stopMPS   = 1.0  // below it stands
	creepMPS  = 0.5  // slower fixes add no distance
	cornerMPS = 5    // slower the course is not worth much
	maxMPS    = 100  // what no car drives: the reading says that there is none
	odometerM = 2000 // by which a reading in whole kilometres or miles may go on at once
	restM     = 30   // a receiver alone has to have come so far from where it stood
	steady    = 3 * time.Second
)

const (
	runsRPM   = 300              // an engine that is cranked turns slower
	maxRPM    = 16_000           // what no engine turns
	offSettle = 30 * time.Second // an ECU that is asleep may be starting
	runsFresh = time.Minute      // the engine was heard to run
)

// power is what the car's electrics are known to do.
type power struct {
	state powerState
	since telemetry.At // of the state
	heard telemetry.At // last word of it
}

type powerState uint8

const (
	powerUnknown powerState = iota
	powerOff                // the ignition is off
	powerOn                 // ECUs answer
	powerRuns               // the engine does
)

func (p *power) set(at telemetry.At, s powerState) {
	if p.state != s {
		p.state, p.since = s, at
	}
	p.heard = at
}

// powered notes that an ECU answers, which it does while the ignition is on.
func (w *Watch) powered(at telemetry.At) {
	if w.power.state != powerRuns {
		w.power.set(at, powerOn)
	}
}

func (w *Watch) engine(at telemetry.At, runs bool) {
	if runs {
		w.power.set(at, powerRuns)
	} else {
		w.power.set(at, powerOn)
	}
}

// asleep notes that no ECU answers any more. While the receiver says that the car
// drives it is the connector that came off, and not the ignition.
func (w *Watch) asleep(at telemetry.At) {
	w.can.known = false
	if w.gps.known && at.Sub(w.gps.at) <= gpsFresh && w.gps.mps >= stopMPS {
		w.power.set(at, powerUnknown)
		return
	}
	w.power.set(at, powerOff)
}

func (w *Watch) ignition(at telemetry.At, state string) {
	switch state {
	case "OFF", "LOCK":
		w.power.set(at, powerOff)
	case "ON", "START":
		w.powered(at)
	}
}

// motion is whether the car drives, with hysteresis.
type motion struct {
	moving bool
	since  telemetry.At // of the state
	other  telemetry.At // since when the speed says the opposite; valid if turning
	turn   bool
	rest   place // where it last stood
	at     mark  // when other began
	began  mark  // when the state began
	idle   telemetry.At
	idles  bool // since idle
}

// mark is how far the car had come at a moment, and where it was.
type mark struct {
	gpsM, canM float64
	where      place
	utc        int64
}

// spot is where the car is, of which a driving one says nothing long after its
// last fix.
func (w *Watch) spot() place {
	if w.now.Sub(w.fixed) > gpsFresh {
		return place{}
	}
	return w.here
}

func (w *Watch) mark() mark { return mark{w.gpsM, w.canM, w.here, w.utc} }

// step decides what the newest readings mean.
func (w *Watch) step() {
	if w.power.state == powerRuns && w.now.Sub(w.power.heard) > runsFresh {
		w.power.set(w.power.heard.Add(runsFresh), powerUnknown)
	}
	v, by := w.speed()
	w.move(v, by)
	w.noteIdling()
	w.noteSpeeding(v, by)
	w.journey()
}

// move decides whether the car drives.
func (w *Watch) move(v float64, by string) {
	m := &w.motion
	if math.IsNaN(v) {
		m.turn = false
		return
	}
	turns := !m.moving && v >= startMPS || m.moving && v < stopMPS
	if !turns {
		if m.turn = m.turn && !m.moving && v >= stopMPS; !m.turn && !m.moving && w.here.known {
			m.rest = w.here
		}
		return
	}
	if !m.turn {
		m.turn, m.other, m.at = true, w.now, w.mark()
	}
	if w.now.Sub(m.other) < steady {
		return
	}
	if !m.moving && by == byGPS && m.rest.known && distanceM(m.rest, w.here) < restM {
		return
	}
	if m.moving = !m.moving; m.moving {
		w.endStanding(m.other)
	} else {
		m.rest = w.here
	}
	m.since, m.began, m.turn = m.other, m.at, false
}

// endStanding tells of the time without motion that ends at an At.
func (w *Watch) endStanding(to telemetry.At) {
	t := w.trip
	if t == nil {
		return
	}
	from := max(w.motion.since, t.From)
	if d := to.Sub(from); d > 0 {
		t.StandingS += d.Seconds()
		if w.rules.Trips && w.rules.Standing > 0 && d >= w.rules.Standing {
			w.tell(standing, evidence(nil).text("trip", t.ID).at("from", from).at("to", to).num("threshold_s", w.rules.Standing.Seconds(), 1).place("", w.here))
		}
	}
}

// noteIdling follows an engine that runs while the car stands.
func (w *Watch) noteIdling() {
	m := &w.motion
	idles := w.trip != nil && w.power.state == powerRuns && !m.moving
	switch {
	case idles && !m.idles:
		m.idles, m.idle = true, max(m.since, w.power.since, w.trip.From)
	case !idles && m.idles:
		to := w.power.since
		if m.moving {
			to = m.since
		}
		w.endIdling(to)
	}
}

func (w *Watch) endIdling(to telemetry.At) {
	m := &w.motion
	if !m.idles {
		return
	}
	m.idles = false
	d := to.Sub(m.idle)
	if d <= 0 || w.trip == nil {
		return
	}
	w.trip.IdlingS += d.Seconds()
	if w.rules.Trips && w.rules.Idling > 0 && d >= w.rules.Idling {
		w.tell(idling, evidence(nil).text("trip", w.trip.ID).at("from", m.idle).at("to", to).num("threshold_s", w.rules.Idling.Seconds(), 1).place("", w.here))
	}
}

const (
	speedingFor   = 5 * time.Second
	speedingBelow = 5 / 3.6 // m/s under the limit it is over
)

// speeding is the one under way.
type speeding struct {
	over, told bool
	from, to   telemetry.At
	peak       float64
	limit      float64
	by         string
	where      place
}

func (w *Watch) noteSpeeding(v float64, by string) {
	s, limit := &w.limit, w.rules.LimitMPS
	switch {
	case limit <= 0:
	case v > limit:
		if !s.over {
			*s = speeding{over: true, from: w.now, limit: limit, by: by, where: w.spot()}
		}
		s.peak, s.to = max(s.peak, v), w.now
		s.told = s.told || w.now.Sub(s.from) >= speedingFor
	case s.over && (!s.told || !(v > limit-speedingBelow)): // back below it, or nobody says any more
		w.endSpeeding()
	}
}

func (w *Watch) endSpeeding() {
	s := &w.limit
	if s.over && s.told {
		w.tell(speedingOver, evidence(nil).at("from", s.from).at("to", s.to).num("value", s.peak, 2).num("threshold", s.limit, 2).text("by", s.by).place("", s.where))
	}
	s.over = false
}

const (
	towM        = 100
	towFor      = 10 * time.Second
	towStanding = 2 * time.Minute
)

// tow is what the receiver says of a car whose ignition is off.
type tow struct {
	parked place
	moves  telemetry.At // since when it is fast; 0: it is not
	stands telemetry.At // since when it is not
	told   bool
}

func (w *Watch) noteTow(f *telemetry.Fix) {
	t := &w.tow
	switch {
	case w.power.state != powerOff || !w.rules.Tow:
		*t = tow{}
		return
	case !t.parked.known:
		*t = tow{parked: w.here, stands: f.At}
		return
	case !(w.gps.mps >= startMPS):
		if t.moves = 0; t.stands == 0 {
			t.stands = f.At
		}
		if t.told && f.At.Sub(t.stands) >= towStanding {
			*t = tow{parked: w.here, stands: f.At}
		}
		return
	}
	if t.stands = 0; t.moves == 0 {
		t.moves = f.At
	}
	if d := distanceM(t.parked, w.here); !t.told && d >= towM && f.At.Sub(t.moves) >= towFor {
		t.told = true
		w.tell(towed, evidence(nil).at("from", t.moves).num("distance_m", d, 0).num("threshold_m", towM, 0).num("speed", w.gps.mps, 2).
			at("off_since", w.power.since).place("_from", t.parked).place("", w.here))
	}
}
