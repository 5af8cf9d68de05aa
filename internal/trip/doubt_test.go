package trip_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// TestDoubtfulFixesMakeNoEvent: what is doubtful, imprecise or from too few
// satellites begins no trip, enters no zone, tows nothing and is no harsh
// manoeuvre; the same fixes without the doubt do all of it.
func TestDoubtfulFixesMakeNoEvent(t *testing.T) {
	zones := func() *trip.Zones {
		z, err := trip.ParseZones(square("depot", 50.001, 8, 0.0005))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	for _, doubt := range []func(*telemetry.Fix){
		func(f *telemetry.Fix) { f.Doubt = telemetry.DoubtFrozen },
		func(f *telemetry.Fix) { f.Valid = false },
		func(f *telemetry.Fix) { f.HDOP = 9 },
		func(f *telemetry.Fix) { f.Sats = 3 },
		nil,
	} {
		c := newCar(t, func(r *trip.Rules) { r.Zones = zones(); r.Lost = 0 })
		c.mend = doubt
		for range 6 {
			c.mps += 4
			c.drive(1)
		}
		c.drive(30)
		if doubt != nil {
			c.wants("")
		} else {
			c.wants("Trip.Start Geofence.Entered Motion.HarshAcceleration Geofence.Left")
		}
	}
}

// TestOneWrongReadingIsNoManoeuvre: a speed or a course that is off once and back
// again is a fault of the sensor, at 1 Hz and at 10 Hz.
func TestOneWrongReadingIsNoManoeuvre(t *testing.T) {
	for _, every := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second} {
		l := &ear{t: t}
		w := trip.New(usual(l))
		for i := range 600 {
			at := telemetry.At(100*time.Second + time.Duration(i)*every)
			f := telemetry.NoFix()
			f.At, f.Valid, f.SpeedMPS, f.CourseDeg = at, true, 20, 0
			f.LatDeg, f.LonDeg = 50+20*at.Seconds()/111_241, 8
			switch i {
			case 300:
				f.SpeedMPS = 28
			case 400:
				f.SpeedMPS = 11
			case 500:
				f.CourseDeg = 40
			case 550:
				f.CourseDeg = 50 // in a bend the other way: the reading after it is beyond the one before
			}
			if i > 550 {
				f.CourseDeg = 350
			}
			w.Fix(&f, false)
		}
		l.wants("Trip.Start")
	}
}

// TestTow: a car that moves with its ignition off is towed, once; one whose
// connector came off while it drove is not, and one that drives again is not.
func TestTow(t *testing.T) {
	c := newCar(t, calm)
	c.rpm, c.mps = 1500, 10
	c.drive(60)
	c.rpm, c.mps = 800, 0
	c.drive(20)
	c.off()
	c.drive(120)
	c.events = nil
	c.mps = 1 // rolled a little
	c.drive(50)
	c.mps = 0
	c.drive(60)
	c.wants("")
	c.mps = 6
	c.drive(200)
	c.wants("Motion.Tow")
	e := c.of("Motion.Tow")[0]
	near(t, e, "distance_m", 100+6*5, 40)
	near(t, e, "off_since", 180.6, 0.1)
	c.rpm, c.events = 1500, nil
	c.drive(30)
	c.wants("Trip.Start")

	d := newCar(t, calm)
	d.rpm, d.mps = 1500, 10
	d.drive(60)
	d.off() // pulled out
	d.drive(300)
	d.wants("Trip.Start")
}

// TestPositionLost: told once when the car is in use and has had none for the
// time, of an open antenna sooner, and when it is back; not of a parked car.
func TestPositionLost(t *testing.T) {
	for _, antenna := range []telemetry.Antenna{telemetry.AntennaUnknown, telemetry.AntennaOpen} {
		c := newCar(t, calm)
		c.mend = func(f *telemetry.Fix) {
			if c.blind {
				f.Detail = &telemetry.Detail{Sky: telemetry.Sky{Antenna: antenna}}
			}
		}
		c.rpm, c.mps = 1500, 10
		c.drive(60)
		c.blind = true
		c.drive(9) // an underpass
		c.blind = false
		c.drive(10)
		c.blind = true
		c.drive(300)
		c.blind = false
		c.drive(10)
		c.wants("Trip.Start GNSS.Lost GNSS.Regained")
		lost := c.of("GNSS.Lost")[0]
		want, after := "no-satellites", 120.0
		if antenna == telemetry.AntennaOpen {
			want, after = "antenna-open", 10
		}
		if lost.e["reason"] != want || lost.at-180 < after || lost.at-180 > after+1.2 {
			t.Errorf("%v", lost)
		}
		near(t, c.of("GNSS.Regained")[0], "from", 180.1, 0.2)
		near(t, c.of("GNSS.Regained")[0], "to", 480.1, 0.2)
		c.mps = 0
		c.drive(5)
		c.off()
		c.blind = true
		c.drive(900)
		if n := len(c.of("GNSS.Lost")); n != 1 {
			t.Errorf("a parked car told %d", n)
		}
	}
}

// TestReceiverThatWakesUpWithTheCarIsNotLost: one that has its power from the
// ignition said nothing while the car was parked; it has from then on as long as
// any other to speak.
func TestReceiverThatWakesUpWithTheCarIsNotLost(t *testing.T) {
	c := newCar(t, calm)
	c.rpm, c.mps = 1500, 10
	c.drive(60)
	c.mps = 0
	c.drive(5)
	c.off()
	c.drive(60)
	c.mute = true
	c.drive(3600)
	c.rpm = 800
	c.drive(40) // it boots
	c.mute = false
	c.drive(10)
	c.wants("Trip.Start Trip.End Trip.Start")

	c.mute = true // its cable breaks
	c.drive(130)
	c.wants("Trip.Start Trip.End Trip.Start GNSS.Lost")
}

// TestManoeuvresInATunnelHaveNoPlace: the place of minutes ago is not where a car
// brakes or speeds now; where it stands, the last one known is told.
func TestManoeuvresInATunnelHaveNoPlace(t *testing.T) {
	c := newCar(t, func(r *trip.Rules) { r.LimitMPS = 25 })
	c.rpm, c.mps = 2000, 20
	c.drive(60)
	c.blind = true
	c.drive(60)
	c.mps = 28
	c.drive(8)
	for c.mps = 24; c.mps > 0; c.mps -= 6 {
		c.drive(1)
	}
	c.mps = 0
	c.drive(130)
	c.blind, c.mps = false, 20
	c.drive(10)
	for _, name := range []string{"Motion.Speeding", "Motion.HarshBraking"} {
		if e := c.of(name); len(e) != 1 || e[0].e["lat"] != nil || e[0].e["lon"] != nil {
			t.Errorf("%s: %v", name, e)
		}
	}
	if e := c.of("Trip.Standing"); len(e) != 1 || e[0].e["lat"] == nil {
		t.Errorf("standing: %v", e)
	}
}

// TestPrivateTripsHaveNoPlace: in private mode trips, speeds and distances are
// told, places and zones are not, nor what would be kept on the disk.
func TestPrivateTripsHaveNoPlace(t *testing.T) {
	c := newCar(t, func(r *trip.Rules) {
		r.LimitMPS = 15
		z, err := trip.ParseZones(square("depot", 50.001, 8, 0.0005))
		if err != nil {
			t.Fatal(err)
		}
		r.Zones = z
	})
	c.private, c.rpm = true, 900
	for range 6 {
		c.mps += 4
		c.drive(1)
	}
	c.drive(40)
	kept, err := json.Marshal(c.w.State())
	if err != nil || strings.Contains(string(kept), "place") || strings.Contains(string(kept), "depot") {
		t.Errorf("kept: %s, %v", kept, err)
	}
	c.mps = 14
	c.drive(20)
	c.mps = 0
	c.drive(5)
	c.off()
	c.drive(60)
	if len(c.of("Trip.End")) != 1 || len(c.of("Motion.HarshAcceleration")) != 1 || len(c.of("Motion.Speeding")) != 1 {
		t.Error(c.events)
	}
	for _, e := range c.events {
		if text := e.String(); strings.Contains(text, `"lat`) || strings.Contains(text, `"lon`) || strings.HasPrefix(e.name, "Geofence") {
			t.Error(text)
		}
	}
}

// TestTripSurvivesARestart: an agent that is back soon goes on with the trip; in
// another boot, or too late, the trip is ended at its last datum, marked as cut.
func TestTripSurvivesARestart(t *testing.T) {
	for _, tt := range []struct {
		boot byte
		away int
		want string
	}{{0xAB, 20, "Trip.End"}, {0xAB, 900, "Trip.End Trip.Start Trip.End"}, {0xCD, 20, "Trip.End Trip.Start Trip.End"}} {
		c := newCar(t, calm)
		c.rpm, c.mps = 1500, 10
		c.drive(100)
		raw, err := json.Marshal(c.w.State())
		if err != nil {
			t.Fatal(err)
		}
		var s trip.State
		if err := json.Unmarshal(raw, &s); err != nil {
			t.Fatal(err)
		}
		id := c.events[0].e["trip"]
		c.events = nil
		r := usual(c.ear)
		calm(&r)
		r.Boot = telemetry.BootID{tt.boot}
		c.w = trip.New(r)
		c.s += tt.away
		c.w.Resume(s, telemetry.At(c.s)*1e9)
		c.drive(50)
		c.mps = 0
		c.drive(5)
		c.off()
		c.drive(60)
		c.wants(tt.want)
		first := c.of("Trip.End")[0]
		if first.e["trip"] != id {
			t.Errorf("another trip: %v", first)
		}
		near(t, first, "from", 101, 0.1)
		if tt.want == "Trip.End" {
			near(t, first, "gps_m", 1490, 15)
			continue
		}
		near(t, first, "to", 200, 0.7)
		near(t, first, "gps_m", 990, 10)
		if first.e["by"] != "cut" || first.e["boot"] != (telemetry.BootID{0xAB}).String() || first.e["utc"] == nil {
			t.Errorf("not marked: %v", first)
		}
	}
}
