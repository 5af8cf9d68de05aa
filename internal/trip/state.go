package trip

import "obu/telemetry"

// State is what a Watch has to know after a restart.
type State struct {
	Trip  *Journey `json:"trip,omitempty"`
	Zones []string `json:"zones,omitempty"` // the car is in
	Car   *Car     `json:"car,omitempty"`   // nil: of an older version

	Stopped bool `json:"-"` // of a run that ended in order: nothing is missing
}

// Car is what was known of the car at an At of a boot: the values of kept, in its
// order. No place is of private mode.
type Car struct {
	Version int              `json:"version"`
	Boot    telemetry.BootID `json:"boot"`
	At      telemetry.At     `json:"at_ns"`
	Power   powerState       `json:"power"`
	Speaker telemetry.Source `json:"speaker"`
	By      string           `json:"by,omitempty"`
	Times   [14]telemetry.At `json:"times_ns"`
	Speeds  [4]float64       `json:"speeds"`
	Flags   [8]bool          `json:"flags"`
	Seen    []*[2]float64    `json:"seen"` // null: nowhere, or private
}

// carVersion counts the orders of kept: a state of another one is not read.
const carVersion = 1

// kept is where a Watch has what outlives a restart.
type kept struct {
	times  [14]*telemetry.At
	speeds [4]*float64
	flags  [8]*bool
	places [4]*place
}

func (w *Watch) kept() kept {
	p, m, s, l, t := &w.power, &w.motion, &w.limit, &w.loss, &w.tow
	return kept{
		[...]*telemetry.At{&w.fixed, &w.gps.at, &w.can.at, &p.since, &p.heard, &m.since, &m.idle, &s.from, &s.to, &l.since, &l.last, &t.moves, &t.stands, &w.locked},
		[...]*float64{&w.gps.mps, &w.can.mps, &s.peak, &s.limit},
		[...]*bool{&w.gps.known, &w.can.known, &m.moving, &m.idles, &s.over, &s.told, &l.told, &t.told},
		[...]*place{&w.here, &s.where, &l.from, &t.parked},
	}
}

// State returns what has to outlive a restart, now.
func (w *Watch) State() State {
	w.mu.Lock()
	defer w.mu.Unlock()
	var s State
	if w.trip != nil {
		t := *w.trip
		s.Trip = &t
	}
	if w.rules.Zones != nil {
		s.Zones = w.rules.Zones.names()
	}
	c, k := &Car{Version: carVersion, Boot: w.rules.Boot, At: w.now, Power: w.power.state, Speaker: w.speaker, By: w.limit.by}, w.kept()
	for i, p := range k.times {
		c.Times[i] = *p
	}
	for i, p := range k.speeds {
		if *p == *p { // JSON has no NaN
			c.Speeds[i] = *p
		}
	}
	for i, p := range k.flags {
		c.Flags[i] = *p
	}
	for _, p := range k.places {
		c.Seen = append(c.Seen, shown(*p))
	}
	s.Car = c
	return s
}

func (w *Watch) restore(c *Car) {
	w.power.state, w.speaker, w.limit.by = c.Power, c.Speaker, c.By
	k := w.kept()
	for i, p := range k.times {
		*p = c.Times[i]
	}
	for i, p := range k.speeds {
		*p = c.Speeds[i]
	}
	for i, p := range k.flags {
		*p = c.Flags[i]
	}
	for i, p := range k.places {
		var seen *[2]float64
		if i < len(c.Seen) {
			seen = c.Seen[i]
		}
		*p = placed(seen)
	}
}

// Stop tells what would not go on after a restart.
func (w *Watch) Stop() {
	w.mu.Lock()
	w.endManoeuvres(&w.accel, &w.brake, &w.corner)
	w.mu.Unlock()
}

// Resume takes the state of before a restart. In the same boot that was a while in
// which nobody said anything, and everything goes on or ends by the same rules. In
// another one, or when a run had no orderly end and its trip's newest datum is as
// old as a standing that ends one, what was under way is told as far as it is
// known.
func (w *Watch) Resume(s State, now telemetry.At) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = max(w.now, now)
	if w.rules.Zones != nil {
		w.rules.Zones.resume(s.Zones)
	}
	t, c := s.Trip, s.Car
	if c == nil || c.Version != carVersion {
		c = new(Car)
		if t != nil {
			c.Seen, c.Times[0], c.Times[5] = []*[2]float64{t.Lat}, t.Last, now
		}
	}
	if t != nil {
		c.Boot, c.At = t.Boot, max(c.At, t.Last)
		t.base = mark{gpsM: -t.GPSM, canM: -t.CANM}
		w.trip, w.utc = t, t.UTC
	}
	w.restore(c)
	w.loss.idle = now
	w.motion.began, w.motion.rest = w.mark(), w.here
	if c.Boot != w.rules.Boot || c.At > now || t != nil && !s.Stopped && now.Sub(t.Last) >= w.rules.EndAfter {
		w.part(c.Boot, s.Stopped)
		return
	}
	if w.limit.limit != w.rules.LimitMPS {
		w.endSpeeding()
	}
	w.silent()
	w.step()
	if now.Sub(c.At) >= w.rules.EndAfter { // somebody may have driven it since
		w.power, w.tow = power{}, tow{}
	}
}

// part tells what was under way in a run that nothing of this one follows.
func (w *Watch) part(boot telemetry.BootID, stopped bool) {
	w.parted = boot.String()
	w.endSpeeding()
	if t := w.trip; t != nil {
		at, by := t.Last, "cut"
		switch {
		case w.power.state == powerOff && !w.motion.moving:
			at, by = max(w.power.since, t.From), "ignition"
		case stopped:
			by = "stop"
		}
		here := w.mark()
		w.end(at, by, &here)
	}
	w.parted, w.utc = "", 0
	w.restore(new(Car))
}
