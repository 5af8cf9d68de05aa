package trip

import (
	"math"
	"sync"
	"time"

	"obu/telemetry"
)

// Rules say what is told. A zero threshold is not told.
type Rules struct {
	Trips      bool          // trips, standing and idling, loss of the position
	EndAfter   time.Duration // of standing ends a trip while nobody says that the engine runs
	Standing   time.Duration
	Idling     time.Duration
	Lost       time.Duration // without a position, while the car is in use
	LimitMPS   float64
	AccelMPS2  float64
	BrakeMPS2  float64
	CornerMPS2 float64
	Tow        bool
	Zones      *Zones // nil: none

	Boot telemetry.BootID
	Emit func([]telemetry.Sample) // takes each event; must not block for long
}

// How old a reading may be to count as current.
const (
	canFresh = 3 * time.Second
	gpsFresh = 5 * time.Second
)

// What makes the words of evidence.
const (
	byCAN = "can"
	byGPS = "gps"
)

// A fix that is worse makes no event.
const (
	maxHDOP = 6
	minSats = 4
)

// reading is the newest speed of one sort.
type reading struct {
	at    telemetry.At
	mps   float64
	known bool
}

// Watch hears one car. Its methods may be called from several goroutines.
type Watch struct {
	rules Rules

	mu       sync.Mutex // guards what follows
	parted   string     // the boot that is told of, if it is not the present one
	now      telemetry.At
	private  bool
	here     place
	fixed    telemetry.At // of here,
	fixedUTC time.Time    // by the receiver
	locked   telemetry.At // since when fixes follow each other
	utc      int64        // of the last good fix, seconds since 1970; 0: unknown
	gps, can reading
	speaker  telemetry.Source // whose Vehicle.Speed counts
	gpsM     float64          // driven since the start, by each
	canM     float64
	odometer reading // metres
	rolls    bool    // the odometer's last two readings go together
	power    power
	motion   motion
	trip     *Journey
	limit    speeding

	speeds, courses      series
	speedBy              string
	accel, brake, corner manoeuvre
	tow                  tow
	loss                 loss
}

// New returns a Watch of a car that nothing is known of.
func New(r Rules) *Watch {
	w := &Watch{rules: r}
	if r.Zones != nil {
		clear(r.Zones.seen)
	}
	w.accel = manoeuvre{signal: harshAccel, threshold: r.AccelMPS2}
	w.brake = manoeuvre{signal: harshBraking, threshold: r.BrakeMPS2}
	w.corner = manoeuvre{signal: harshCorner, threshold: r.CornerMPS2}
	return w
}

// Fix takes what the receiver said. Of a private one the position is used for
// reckoning and stands in no event, no State and no zone.
func (w *Watch) Fix(f *telemetry.Fix, private bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.private = max(w.now, f.At), private
	if !reliable(f) {
		w.noPosition(f)
		w.step()
		return
	}
	w.goodFix(f)
	w.step()
}

// reliable reports whether a fix may make an event.
func reliable(f *telemetry.Fix) bool {
	return located(f) && f.Doubt == 0 && !(f.HDOP > maxHDOP) && (f.Sats < 0 || f.Sats >= minSats)
}

func (w *Watch) goodFix(f *telemetry.Fix) {
	was, since := w.here, f.At.Sub(w.fixed)
	if !f.UTC.IsZero() && !w.fixedUTC.IsZero() {
		since = f.UTC.Sub(w.fixedUTC)
	}
	w.fixedUTC = f.UTC
	w.here, w.fixed = place{f.LatDeg, f.LonDeg, true, w.private}, f.At
	if !f.UTC.IsZero() {
		w.utc = f.UTC.Unix()
	}
	if !was.known || since > windowMax {
		w.locked = f.At
	}
	d := 0.0
	if was.known && since > 0 {
		d = distanceM(was, w.here)
	}
	mps := f.SpeedMPS
	if math.IsNaN(mps) && since > 0 && since <= gpsFresh {
		mps = d / since.Seconds()
	}
	switch {
	case d > restM+maxMPS*since.Seconds(): // believed to be elsewhere
	case since <= 2*gpsFresh && mps >= creepMPS, since > 2*gpsFresh && d > restM: // else it drifts
		w.gpsM += d
	}
	w.gps = reading{f.At, mps, !math.IsNaN(mps)}
	if w.canSpeed() == nil && w.gps.known {
		w.speedReading(point{f.At, measured(f), mps}, byGPS)
	}
	w.courseReading(f)
	w.positionBack(f)
	w.noteTow(f)
	if z := w.rules.Zones; z != nil && !w.private {
		z.note(f, func(name string, entered bool) {
			signal := zoneLeft
			if entered {
				signal = zoneEntered
			}
			w.tell(signal, evidence(nil).text("zone", name).num("speed", f.SpeedMPS, 2).place("", w.here))
		})
	}
}

// Samples takes values of the car's buses.
func (w *Watch) Samples(list []telemetry.Sample) {
	w.mu.Lock()
	defer w.mu.Unlock()
	heard := false
	for i := range list {
		heard = w.sample(&list[i]) || heard
	}
	if heard {
		w.step()
	}
}

// sample takes one value; false when it says nothing here.
func (w *Watch) sample(s *telemetry.Sample) bool {
	if s.Quality == telemetry.QualityAsleep {
		if s.Source.Method == "obd" {
			w.now = max(w.now, s.At)
			w.asleep(s.At)
			return true
		}
		return false
	}
	if s.Quality != telemetry.QualityLive && s.Quality != telemetry.QualityReadTime {
		return false
	}
	w.now = max(w.now, s.At)
	if s.Source.Method == "obd" {
		w.powered(s.At)
	}
	v := s.Value.Float()
	switch s.Signal.Name {
	case "Vehicle.Speed":
		w.carSpeed(s, v)
	case "Vehicle.Powertrain.CombustionEngine.Speed":
		if v > maxRPM {
			return false
		}
		w.engine(s.At, v >= runsRPM)
	case "Vehicle.Powertrain.CombustionEngine.IsRunning":
		w.engine(s.At, s.Value.Bool())
	case "Vehicle.LowVoltageSystemState":
		w.ignition(s.At, s.Value.Text())
	case "Vehicle.TraveledDistance":
		if s.Signal.Unit == "km" {
			v *= 1000
		}
		w.mileage(s.At, v)
	default:
		return false
	}
	return true
}

// carSpeed takes a speed of the bus: of the one that spoke first, until it is
// silent.
func (w *Watch) carSpeed(s *telemetry.Sample, v float64) {
	if s.Signal.Unit != "m/s" {
		v /= 3.6
	}
	if !(v >= 0 && v <= maxMPS) || w.can.known && s.Source != w.speaker && s.At.Sub(w.can.at) < canFresh {
		return
	}
	if d := s.At.Sub(w.can.at); w.can.known && s.Source == w.speaker && d > 0 && d <= canFresh {
		w.canM += (v + w.can.mps) / 2 * d.Seconds()
	}
	w.speaker, w.can = s.Source, reading{s.At, v, true}
	w.speedReading(point{s.At, s.At, v}, byCAN)
}

// mileage takes a reading of the odometer. It counts when it follows from the one
// before it: the first after a silence, or among others, may be "not available".
func (w *Watch) mileage(at telemetry.At, m float64) {
	was := w.odometer
	w.odometer = reading{at, m, !math.IsNaN(m)}
	w.rolls = was.known && m >= was.mps && m-was.mps <= odometerM+maxMPS*at.Sub(was.at).Seconds()
	if w.rolls && w.trip != nil {
		if w.trip.OdoFrom == nil {
			w.trip.odometer(was.mps)
		}
		w.trip.odometer(m)
	}
}

// canSpeed is the speed of the bus, nil when it is old.
func (w *Watch) canSpeed() *reading {
	if w.can.known && w.now.Sub(w.can.at) <= canFresh {
		return &w.can
	}
	return nil
}

// speed is the current speed and who says it; NaN when nobody does.
func (w *Watch) speed() (mps float64, by string) {
	if r := w.canSpeed(); r != nil {
		return r.mps, byCAN
	}
	if w.gps.known && w.now.Sub(w.gps.at) <= gpsFresh {
		return w.gps.mps, byGPS
	}
	return math.NaN(), ""
}

// Tick lets time pass while nothing is heard.
func (w *Watch) Tick(now telemetry.At) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = max(w.now, now)
	w.silent()
	w.step()
}

// tell emits an event of now.
func (w *Watch) tell(signal *telemetry.Signal, e evidence) {
	e = e.text("boot", w.parted)
	text := string(append(append([]byte{'{'}, e...), '}'))
	w.rules.Emit([]telemetry.Sample{{At: w.now, Signal: signal, Source: telemetry.Source{Bus: "obu", Method: "trip"}, Value: telemetry.Text(text)}})
}

// distanceM is the distance of two places that a car drives between two fixes.
func distanceM(a, b place) float64 {
	perLat, perLon := perDegree((a.lat + b.lat) / 2)
	return math.Hypot((b.lat-a.lat)*perLat, math.Remainder(b.lon-a.lon, 360)*perLon)
}
