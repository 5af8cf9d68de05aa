package trip_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// told is one event.
type told struct {
	at   float64
	name string // without Vehicle.Obu.
	e    map[string]any
}

func (e told) num(key string) float64 {
	if v, ok := e.e[key].(float64); ok {
		return v
	}
	return math.NaN()
}

func (e told) String() string {
	text, err := json.Marshal(e.e)
	return fmt.Sprintf("%.1f %s %s %v", e.at, e.name, text, err)
}

// ear collects events.
type ear struct {
	t      *testing.T
	events []told
}

func (l *ear) take(list []telemetry.Sample) {
	for _, s := range list {
		e := told{at: s.At.Seconds(), name: strings.TrimPrefix(s.Signal.Name, "Vehicle.Obu.")}
		if err := json.Unmarshal([]byte(s.Value.Text()), &e.e); err != nil {
			l.t.Errorf("%s: %v in %s", s.Signal.Name, err, s.Value.Text())
		}
		l.events = append(l.events, e)
	}
}

// of returns the events of a name.
func (l *ear) of(name string) (list []told) {
	for _, e := range l.events {
		if e.name == name {
			list = append(list, e)
		}
	}
	return list
}

// wants fails unless what was told are these, in this order.
func (l *ear) wants(names string) {
	l.t.Helper()
	var all, full []string
	for _, e := range l.events {
		all, full = append(all, e.name), append(full, e.String())
	}
	if got := strings.Join(all, " "); got != names {
		l.t.Errorf("told:\n%s\nwant %s", strings.Join(full, "\n"), names)
	}
}

// usual are the rules of the default configuration, with a limit.
func usual(l *ear) trip.Rules {
	return trip.Rules{Trips: true, EndAfter: 5 * time.Minute, Standing: 2 * time.Minute, Idling: 5 * time.Minute, Lost: 2 * time.Minute,
		LimitMPS: 130 / 3.6, AccelMPS2: 3, BrakeMPS2: 3.5, CornerMPS2: 4, Tow: true, Boot: telemetry.BootID{0xAB}, Emit: l.take}
}

// car is a car that is driven north by hand, its receiver and its OBD-II at 1 Hz.
type car struct {
	*ear
	w        *trip.Watch
	s        int // seconds since boot
	lat, lon float64
	mps      float64
	course   float64
	rpm      float64 // below 0: no OBD-II
	blind    bool    // no position
	mute     bool    // nothing from the receiver
	private  bool
	mend     func(*telemetry.Fix)
}

// calm are rules for a car that stops from one second to the next.
func calm(r *trip.Rules) { r.AccelMPS2, r.BrakeMPS2, r.CornerMPS2 = 0, 0, 0 }

func newCar(t *testing.T, change func(*trip.Rules)) *car {
	c := &car{ear: &ear{t: t}, s: 100, lat: 50, lon: 8, rpm: -1}
	r := usual(c.ear)
	if change != nil {
		change(&r)
	}
	c.w = trip.New(r)
	return c
}

func sample(at telemetry.At, name string, v telemetry.Value, q telemetry.Quality) telemetry.Sample {
	s, ok := telemetry.Lookup(name)
	if !ok {
		panic(name)
	}
	return telemetry.Sample{At: at, Signal: s, Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}, Value: v, Quality: q}
}

// drive goes on for so many seconds.
func (c *car) drive(seconds int) {
	for range seconds {
		c.s++
		sin, cos := math.Sincos(c.course * math.Pi / 180)
		c.lat += c.mps * cos / 111_241
		c.lon += c.mps * sin / 71_696
		at := telemetry.At(c.s) * 1e9
		if c.rpm >= 0 {
			c.w.Samples([]telemetry.Sample{sample(at, "Vehicle.Speed", telemetry.Float(math.Floor(c.mps*3.6+1e-9)), 0),
				sample(at, "Vehicle.Powertrain.CombustionEngine.Speed", telemetry.Float(c.rpm), 0)})
		}
		f := telemetry.NoFix()
		f.At, f.Receiver, f.UTC = at.Add(100*time.Millisecond), "gps", time.Unix(1_780_000_000+int64(c.s), 0)
		if !c.blind {
			f.Valid, f.Mode, f.Sats, f.HDOP = true, telemetry.Mode3D, 9, 1
			f.LatDeg, f.LonDeg, f.SpeedMPS, f.CourseDeg = c.lat, c.lon, c.mps, c.course
		}
		if c.mend != nil {
			c.mend(&f)
		}
		if !c.mute {
			c.w.Fix(&f, c.private)
		}
		c.w.Tick(at.Add(500 * time.Millisecond))
	}
}

// off turns the ignition off.
func (c *car) off() {
	c.rpm = -1
	at := telemetry.At(c.s)*1e9 + 6e8
	c.w.Samples([]telemetry.Sample{sample(at, "Vehicle.Speed", telemetry.Value{}, telemetry.QualityAsleep),
		sample(at, "Vehicle.Powertrain.CombustionEngine.Speed", telemetry.Value{}, telemetry.QualityAsleep)})
}

func near(t *testing.T, e told, key string, want, within float64) {
	t.Helper()
	if got := e.num(key); !(math.Abs(got-want) <= within) {
		t.Errorf("%s: %g, want %g within %g: %v", key, got, want, within, e)
	}
}

// TestTripByEngine: it begins with the engine, ends with the ignition, and says
// how far by each; the stop at a light ends nothing, nor does an engine that stops
// there.
func TestTripByEngine(t *testing.T) {
	c := newCar(t, calm)
	c.drive(20)
	c.rpm = 800
	c.drive(10) // from 121
	c.rpm, c.mps = 2000, 15
	c.drive(100)
	c.rpm, c.mps = 0, 0 // start-stop
	c.drive(60)
	c.rpm, c.mps = 2000, 12
	c.drive(50)
	c.rpm, c.mps = 800, 0
	c.drive(10)
	c.off()
	c.drive(600)
	ends := c.of("Trip.End")
	if len(ends) != 1 || len(c.of("Trip.Start")) != 1 {
		c.wants("Trip.Start Trip.End")
		return
	}
	near(t, c.of("Trip.Start")[0], "from", 121, 0.2)
	near(t, ends[0], "from", 121, 0.2)
	near(t, ends[0], "to", 350.6, 0.1)
	near(t, ends[0], "gps_m", 2100, 21)
	near(t, ends[0], "can_m", 2100, 30)
	near(t, ends[0], "standing_s", 10+60+10, 4)
	near(t, ends[0], "idling_s", 10+10, 4)
	near(t, ends[0], "max_speed", 15, 0.1)
	if ends[0].e["by"] != "ignition" || c.of("Trip.Start")[0].e["by"] != "engine" {
		t.Error(c.events)
	}
}

// TestTripByMotion: without a word of the engine it begins when the receiver has
// moved, at the moment it began to, and ends where it stood, when it has stood for
// end_after; a parked receiver that drifts begins none.
func TestTripByMotion(t *testing.T) {
	c := newCar(t, calm)
	n := 0
	c.mend = func(f *telemetry.Fix) { // scatters over 20 m at up to 3 m/s
		if n++; c.mps == 0 {
			f.LatDeg += 10 / 111e3 * math.Sin(float64(n)/3)
			f.SpeedMPS = 3 * math.Abs(math.Sin(float64(n)/7))
		}
	}
	c.drive(900)
	c.wants("")
	c.mend = nil
	c.drive(30) // to 1030
	c.mps = 10
	c.drive(120) // to 1150
	c.mps = 0
	c.drive(290)
	c.wants("Trip.Start")
	c.drive(30)
	c.wants("Trip.Start Trip.End")
	near(t, c.of("Trip.Start")[0], "from", 1031, 1)
	e := c.of("Trip.End")[0]
	near(t, e, "to", 1151, 1)
	near(t, e, "gps_m", 1200, 15)
	near(t, e, "lat", 50+1200/111_241.0, 1e-4)
	near(t, e, "lat_from", 50, 2e-4)
}

// TestStandingAndIdlingAreTold, each with its times, only beyond their thresholds.
func TestStandingAndIdlingAreTold(t *testing.T) {
	c := newCar(t, calm)
	c.rpm, c.mps = 1500, 10
	c.drive(60)
	c.mps = 0
	c.drive(115)
	c.mps = 10
	c.drive(30)
	c.mps = 0
	c.drive(310) // from 305 to 615
	c.mps = 10
	c.drive(30)
	c.wants("Trip.Start Trip.Standing Trip.Idling")
	for _, name := range []string{"Trip.Standing", "Trip.Idling"} {
		near(t, c.of(name)[0], "from", 306, 1)
		near(t, c.of(name)[0], "to", 616, 1)
	}
}

// TestSpeedingHasHysteresis: three seconds are none; one that falls below the
// limit, not by 5 km/h, is one; its peak and its times are told.
func TestSpeedingHasHysteresis(t *testing.T) {
	c := newCar(t, func(r *trip.Rules) { calm(r); r.LimitMPS = 100 / 3.6 })
	at := func(kmh float64, seconds int) { c.mps = kmh / 3.6; c.drive(seconds) }
	c.rpm = 2000
	for v := 0.0; v < 95; v += 5 {
		at(v, 1)
	}
	at(104, 3)
	at(97, 10)
	from := float64(c.s) + 1
	at(104, 10)
	at(98, 5)
	at(109, 5)
	to := float64(c.s)
	at(98, 5)
	at(93, 10)
	c.wants("Trip.Start Motion.Speeding")
	e := c.of("Motion.Speeding")[0]
	near(t, e, "from", from, 1)
	near(t, e, "to", to, 1)
	near(t, e, "value", 109/3.6, 0.01)
	near(t, e, "threshold", 100/3.6, 0.01)
}

// TestHarshManoeuvres: acceleration, braking and cornering beyond the thresholds
// are each told once with peak and times; short of them, nothing is.
func TestHarshManoeuvres(t *testing.T) {
	for _, obd := range []bool{false, true} {
		t.Run(fmt.Sprint("obd ", obd), func(t *testing.T) {
			c := newCar(t, nil)
			change := func(by float64, seconds int) {
				for range seconds {
					c.mps += by
					c.drive(1)
				}
			}
			if obd {
				c.rpm = 1500
			}
			change(2.5, 8) // to 20
			c.drive(20)
			change(-3, 4)
			c.drive(10)
			change(3.4, 4)
			c.drive(10)
			change(-5, 3)
			c.drive(10)
			c.mps = 15
			c.mend = func(f *telemetry.Fix) {} // the jump from 6.6 to 15 is none: no car does it
			c.drive(20)
			for range 6 {
				c.course += 12
				c.drive(1) // 3.1 m/s²
			}
			c.drive(5)
			for range 4 {
				c.course += 20
				c.drive(1) // 5.2 m/s²
			}
			c.drive(10)
			c.wants("Trip.Start Motion.HarshAcceleration Motion.HarshBraking Motion.HarshAcceleration Motion.HarshCornering")
		})
	}
}
