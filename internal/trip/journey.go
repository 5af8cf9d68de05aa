package trip

import (
	"math"
	"strconv"
	"time"

	"obu/telemetry"
)

// Journey is a trip under way: what of it has to outlive a restart.
type Journey struct {
	ID        string           `json:"id"` // boot and second of its start
	Boot      telemetry.BootID `json:"boot"`
	By        string           `json:"by"` // what began it: engine, or the speed of can or gps
	From      telemetry.At     `json:"from_ns"`
	Last      telemetry.At     `json:"last_ns"` // newest datum
	UTC       int64            `json:"utc"`     // of the newest good fix, seconds since 1970; 0: none
	Lat       *[2]float64      `json:"place,omitempty"`
	FromPlace *[2]float64      `json:"from_place,omitempty"`
	GPSM      float64          `json:"gps_m"`
	CANM      float64          `json:"can_m"`
	OdoFrom   *float64         `json:"odometer_from,omitempty"`
	OdoTo     *float64         `json:"odometer_to,omitempty"`
	MaxMPS    float64          `json:"max_mps"`
	StandingS float64          `json:"standing_s"`
	IdlingS   float64          `json:"idling_s"`
	Harsh     int              `json:"harsh"`

	base mark // of the watch when GPSM and CANM were 0
}

func (t *Journey) odometer(m float64) {
	if t.OdoFrom == nil {
		from := m
		t.OdoFrom = &from
	}
	t.OdoTo = &m
}

func shown(p place) *[2]float64 {
	if !p.known || p.hidden {
		return nil
	}
	return &[2]float64{p.lat, p.lon}
}

func placed(p *[2]float64) place {
	if p == nil {
		return place{}
	}
	return place{lat: p[0], lon: p[1], known: true}
}

// journey begins and ends trips.
func (w *Watch) journey() {
	m, off := &w.motion, w.power.state == powerOff
	t, here := w.trip, w.mark()
	switch {
	case t == nil && w.power.state == powerRuns && w.now.Sub(w.power.heard) <= gpsFresh:
		w.begin(w.now, "engine", &here)
	case t == nil && m.moving && !off:
		_, by := w.speed()
		w.begin(m.since, by, &m.began)
	case t == nil:
	case off && !m.moving && w.now.Sub(w.power.since) >= offSettle:
		w.end(max(w.power.since, t.From), "ignition", &here)
	case !m.moving && w.power.state != powerRuns && w.now.Sub(max(m.since, t.From)) >= w.rules.EndAfter:
		w.end(max(m.since, t.From), "standing", &m.began)
	case m.moving && w.now.Sub(w.heard()) >= w.rules.EndAfter:
		m.moving = false
		w.end(max(w.heard(), t.From), "silence", &here)
	default:
		w.follow(&here)
	}
}

// heard is when somebody last said how fast the car is, or that the engine runs.
func (w *Watch) heard() telemetry.At {
	at := max(w.fixed, w.can.at)
	if w.power.state == powerRuns {
		at = max(at, w.power.heard)
	}
	return at
}

func (w *Watch) begin(at telemetry.At, by string, from *mark) {
	id := w.rules.Boot.String()[:8] + "-" + strconv.FormatFloat(at.Seconds(), 'f', 0, 64)
	w.trip = &Journey{ID: id, Boot: w.rules.Boot, By: by, From: at, FromPlace: shown(from.where), base: *from}
	if w.rolls {
		w.trip.odometer(w.odometer.mps)
	}
	if !w.motion.moving {
		w.motion.since, w.motion.began = at, *from
	}
	here := w.mark()
	w.follow(&here)
	if w.rules.Trips {
		w.tell(tripStart, evidence(nil).text("trip", id).text("by", by).at("from", at).place("", from.where))
	}
}

// follow keeps what has been driven up to a mark.
func (w *Watch) follow(to *mark) {
	t := w.trip
	t.Last = max(w.heard(), t.From)
	t.GPSM, t.CANM = to.gpsM-t.base.gpsM, to.canM-t.base.canM
	t.UTC = to.utc
	if p := shown(to.where); p != nil {
		t.Lat = p
	}
	if v, _ := w.speed(); v > t.MaxMPS {
		t.MaxMPS = v
	}
}

func (w *Watch) end(at telemetry.At, by string, to *mark) {
	w.endManoeuvres(&w.accel, &w.brake, &w.corner)
	w.endSpeeding()
	w.endIdling(at)
	if !w.motion.moving && (by == "ignition" || w.parted != "") {
		w.endStanding(at)
	}
	w.follow(to)
	if w.rules.Trips {
		w.tell(tripEnd, w.trip.evidence(at, by))
	}
	w.trip = nil
}

// evidence is what a trip was, up to an At.
func (t *Journey) evidence(to telemetry.At, by string) evidence {
	odometer := math.NaN()
	if t.OdoFrom != nil && t.OdoTo != nil {
		odometer = *t.OdoTo - *t.OdoFrom
	}
	e := evidence(nil).text("trip", t.ID).text("by", by).at("from", t.From).at("to", to)
	e = e.num("gps_m", t.GPSM, 0)
	if t.CANM > 0 {
		e = e.num("can_m", t.CANM, 0)
	}
	e = e.num("odometer_m", odometer, 0).num("max_speed", t.MaxMPS, 2).num("standing_s", t.StandingS, 0).num("idling_s", t.IdlingS, 0).
		num("harsh", float64(t.Harsh), 0).place("_from", placed(t.FromPlace)).place("", placed(t.Lat))
	if t.UTC != 0 {
		e = e.text("utc", time.Unix(t.UTC, 0).UTC().Format(time.RFC3339))
	}
	return e
}

// Finish ends what is under way, since nothing more will be heard: a recording
// has ended.
func (w *Watch) Finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.trip != nil {
		here := w.mark()
		w.end(max(w.heard(), w.trip.From), "recording", &here)
	}
}
