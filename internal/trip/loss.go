package trip

import (
	"time"

	"obu/telemetry"
)

// lossAntenna is how long an antenna may be said to be open or short.
const lossAntenna = 10 * time.Second

// loss is the time without a position while the car is in use.
type loss struct {
	since telemetry.At // 0: there is one, or the car is not in use
	last  telemetry.At // anything from the receiver
	idle  telemetry.At // when the car was last not in use
	told  bool
	from  place
}

// used reports whether the car is in use, so that its receiver should see the sky.
func (w *Watch) used() bool {
	return w.rules.Trips && w.rules.Lost > 0 && w.trip != nil && (w.motion.moving || w.power.state == powerRuns)
}

// noPosition takes a fix that is none, or none to rely on.
func (w *Watch) noPosition(f *telemetry.Fix) {
	l := &w.loss
	l.last = f.At
	w.gps.known = false
	if !w.used() {
		if !l.told {
			l.since = 0
		}
		return
	}
	if l.since == 0 {
		l.since, l.from = f.At, w.here
	}
	reason, least, e := "no-fix", w.rules.Lost, evidence(nil)
	switch {
	case f.Doubt != 0:
		reason = "doubtful"
	case located(f):
		reason = "imprecise"
	}
	if d := f.Detail; d != nil {
		total := d.Sky.Total()
		e = e.num("in_view", float64(total.InView), 0).num("heard", float64(total.Heard), 0)
		if total.Heard == 0 && reason == "no-fix" {
			reason = "no-satellites"
		}
		if a := d.Sky.Antenna; a == telemetry.AntennaOpen || a == telemetry.AntennaShort {
			reason, least = "antenna-"+a.String(), lossAntenna
		}
	}
	w.lost(reason, least, e)
}

// silent notices a receiver that says nothing at all. In a parked car it may be
// without power, and begins to speak some time after the engine.
func (w *Watch) silent() {
	l := &w.loss
	quiet := max(l.last, w.fixed)
	switch {
	case !w.used():
		if l.idle = w.now; !l.told {
			l.since = 0
		}
		return
	case quiet == 0 || w.now.Sub(quiet) <= gpsFresh:
		return
	}
	if l.since == 0 {
		l.since, l.from = max(quiet, l.idle), w.here
	}
	w.lost("silent", w.rules.Lost, nil)
}

func (w *Watch) lost(reason string, least time.Duration, e evidence) {
	l := &w.loss
	if l.told || w.now.Sub(l.since) < least {
		return
	}
	l.told = true
	own := evidence(nil).text("reason", reason).at("from", l.since).num("threshold_s", least.Seconds(), 1).place("", l.from)
	if len(e) > 0 {
		own = append(append(own, ','), e...)
	}
	w.tell(positionLost, own)
}

// positionBack takes a good fix.
func (w *Watch) positionBack(f *telemetry.Fix) {
	l := &w.loss
	if l.told {
		w.tell(positionFound, evidence(nil).at("from", l.since).at("to", f.At).place("", w.here))
	}
	*l = loss{last: f.At}
}
