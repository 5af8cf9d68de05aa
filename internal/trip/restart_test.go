package trip_test

import (
	"encoding/json"
	"testing"

	"obu/internal/trip"
	"obu/telemetry"
)

// restart has another Watch go on after some seconds, as an agent does that was
// stopped in order, or not.
func (c *car) restart(orderly bool, boot byte, away int, change func(*trip.Rules)) {
	c.t.Helper()
	if orderly {
		c.w.Stop()
	}
	raw, err := json.Marshal(c.w.State())
	if err != nil {
		c.t.Fatal(err)
	}
	var s trip.State
	if err := json.Unmarshal(raw, &s); err != nil {
		c.t.Fatal(err)
	}
	s.Stopped = orderly
	r := usual(c.ear)
	calm(&r)
	r.LimitMPS = 10
	if change != nil {
		change(&r)
	}
	r.Boot = telemetry.BootID{boot}
	if boot != 0xAB {
		c.s = 30 // time since boot begins anew
	}
	c.w = trip.New(r)
	c.s += away
	c.w.Resume(s, telemetry.At(c.s)*1e9)
}

// TestSpeedingSurvivesARestart: one that goes on while the agent starts again is
// one; where nobody knows whether it did it ends when it was last seen, and is
// told, with its boot where that is another. Three seconds are still none.
func TestSpeedingSurvivesARestart(t *testing.T) {
	for name, tt := range map[string]struct {
		fast    int // seconds before
		orderly bool
		boot    byte
		away    int
		limit   float64
		want    int
		to      float64 // of the first
		inBoot  bool
	}{
		"goes on":           {14, true, 0xAB, 2, 10, 1, 132, false},
		"too long away":     {14, true, 0xAB, 20, 10, 2, 124, false},
		"another boot":      {14, true, 0xCD, 20, 10, 2, 124, true},
		"limit is another":  {14, true, 0xAB, 2, 11, 2, 124, false},
		"limit is gone":     {14, true, 0xAB, 2, 0, 1, 124, false},
		"killed, in a boot": {14, false, 0xAB, 20, 10, 2, 124, false},
		"power cut":         {14, false, 0xCD, 20, 10, 2, 124, true},
		"too short":         {3, true, 0xAB, 20, 10, 1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCar(t, func(r *trip.Rules) { calm(r); r.LimitMPS = 10 })
			c.rpm, c.mps = 1500, 8
			c.drive(10)
			c.mps = 12
			c.drive(tt.fast)
			c.restart(tt.orderly, tt.boot, tt.away, func(r *trip.Rules) { r.LimitMPS = tt.limit })
			c.drive(6)
			c.mps = 5
			c.drive(10)
			got := c.of("Motion.Speeding")
			if len(got) != tt.want {
				t.Fatalf("told: %v, want %d", c.events, tt.want)
			}
			if tt.to != 0 {
				near(t, got[0], "from", 111, 0.2)
				near(t, got[0], "to", tt.to, 1)
				near(t, got[0], "threshold", 10, 0)
				near(t, got[0], "value", 12, 0.3)
			}
			if _, in := got[0].e["boot"]; in != tt.inBoot {
				t.Errorf("boot: %v", got[0])
			}
		})
	}
}

// TestTripEndIsTrueAfterARestart: a trip that was under way when the agent was
// stopped goes on or ends as if nothing had been said meanwhile; in another boot
// it was the ignition, or the stop. Only what had no orderly end was cut.
func TestTripEndIsTrueAfterARestart(t *testing.T) {
	short := func(r *trip.Rules) { r.EndAfter = 45e9 }
	for name, tt := range map[string]struct {
		before  func(c *car)
		orderly bool
		boot    byte
		away    int
		by      string
		to      float64
	}{
		"drives, away for long":        {func(c *car) {}, true, 0xAB, 60, "silence", 160},
		"drives, another boot":         {func(c *car) {}, true, 0xCD, 10, "stop", 160},
		"drives, power cut":            {func(c *car) {}, false, 0xCD, 10, "cut", 160},
		"drives, killed":               {func(c *car) {}, false, 0xAB, 60, "cut", 160},
		"stands, away for long":        {func(c *car) { c.mps = 0; c.rpm = -1; c.drive(10) }, true, 0xAB, 60, "standing", 163},
		"stands, away for short":       {func(c *car) { c.mps = 0; c.rpm = -1; c.drive(20) }, true, 0xAB, 2, "standing", 163},
		"ignition off":                 {func(c *car) { c.mps = 0; c.drive(5); c.off(); c.drive(10) }, true, 0xAB, 2, "ignition", 165.6},
		"ignition off, away for long":  {func(c *car) { c.mps = 0; c.drive(5); c.off(); c.drive(10) }, true, 0xAB, 400, "ignition", 165.6},
		"ignition off, another boot":   {func(c *car) { c.mps = 0; c.drive(5); c.off(); c.drive(10) }, true, 0xCD, 10, "ignition", 165.6},
		"ignition off, then power cut": {func(c *car) { c.mps = 0; c.drive(5); c.off(); c.drive(10) }, false, 0xCD, 10, "ignition", 165.6},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCar(t, func(r *trip.Rules) { calm(r); short(r); r.LimitMPS = 0 })
			c.rpm, c.mps = 1500, 10
			c.drive(60) // to 160
			tt.before(c)
			c.restart(tt.orderly, tt.boot, tt.away, func(r *trip.Rules) { short(r); r.LimitMPS = 0 })
			c.rpm, c.mps = -1, 0
			c.drive(60)
			c.wants("Trip.Start Trip.End")
			e := c.events[len(c.events)-1]
			near(t, e, "from", 101, 0.1)
			near(t, e, "to", tt.to, 1.2)
			near(t, e, "gps_m", 590, 10)
			if _, in := e.e["boot"]; e.e["by"] != tt.by || in != (tt.boot != 0xAB || tt.by == "cut") || e.e["utc"] == nil {
				t.Errorf("%v, want %s", e, tt.by)
			}
		})
	}
}

// TestStandingSurvivesARestart: of a car that stands and idles while the agent
// starts again both are told whole.
func TestStandingSurvivesARestart(t *testing.T) {
	c := newCar(t, calm)
	c.rpm, c.mps = 1500, 10
	c.drive(60) // to 160
	c.mps = 0
	c.drive(200)
	c.restart(true, 0xAB, 5, nil)
	c.drive(200)
	c.mps = 10
	c.drive(20)
	c.wants("Trip.Start Trip.Standing Trip.Idling")
	for _, name := range []string{"Trip.Standing", "Trip.Idling"} {
		near(t, c.of(name)[0], "from", 161, 1)
		near(t, c.of(name)[0], "to", 566, 1)
	}
}

// TestEngineIsNotBelievedForLong: an engine of which nobody said anything while
// the agent was away idled no longer than it does without a word.
func TestEngineIsNotBelievedForLong(t *testing.T) {
	c := newCar(t, func(r *trip.Rules) { calm(r); r.Idling = 10e9 })
	c.rpm, c.mps = 1500, 10
	c.drive(60)
	c.mps = 0
	c.drive(20)
	c.restart(true, 0xAB, 3600, func(r *trip.Rules) { r.Idling = 10e9 })
	c.wants("Trip.Start Trip.Idling Trip.End")
	near(t, c.of("Trip.Idling")[0], "to", 240, 1)
}

// TestTowSurvivesARestart: a parked car that is towed after the agent was
// restarted is told, unless somebody may have driven it meanwhile.
func TestTowSurvivesARestart(t *testing.T) {
	for _, tt := range []struct {
		boot byte
		away int
		want string
	}{{0xAB, 10, "Motion.Tow"}, {0xAB, 900, "Trip.Start"}} {
		c := newCar(t, calm)
		c.rpm, c.mps = 1500, 5
		c.drive(60)
		c.mps = 0
		c.drive(5)
		c.off()
		c.drive(300)
		c.events = nil
		c.restart(true, tt.boot, tt.away, nil)
		c.drive(5)
		c.mps = 8
		c.drive(40)
		c.wants(tt.want)
	}
}

// TestLostPositionIsFoundAfterARestart: a loss that was told is not told again,
// and its end is.
func TestLostPositionIsFoundAfterARestart(t *testing.T) {
	c := newCar(t, calm)
	c.rpm, c.mps = 1500, 8
	c.drive(60)
	c.blind = true
	c.drive(150)
	c.restart(true, 0xAB, 10, nil)
	c.drive(150)
	c.blind = false
	c.drive(10)
	c.wants("Trip.Start GNSS.Lost GNSS.Regained")
	near(t, c.of("GNSS.Regained")[0], "from", 161, 1)
}

// TestHarshManoeuvreIsToldAtTheStop: one that has been confirmed is not lost with
// the run.
func TestHarshManoeuvreIsToldAtTheStop(t *testing.T) {
	c := newCar(t, nil)
	c.rpm, c.mps = 1500, 20
	c.drive(20)
	for range 3 {
		c.mps -= 5
		c.drive(1)
	}
	c.w.Stop()
	c.wants("Trip.Start Motion.HarshBraking")
}

// TestPrivatePlaceIsNotStored: of a car in private mode nothing says where it is.
func TestPrivatePlaceIsNotStored(t *testing.T) {
	c := newCar(t, func(r *trip.Rules) { calm(r); r.LimitMPS = 5 })
	c.private = true
	c.rpm, c.mps = 1500, 10
	c.drive(60)
	s := c.w.State()
	if s.Trip == nil || s.Trip.Lat != nil || s.Trip.FromPlace != nil {
		t.Errorf("%+v", s.Trip)
	}
	c.private = false
	c.drive(1)
	n := 0
	for i, p := range s.Car.Seen {
		if p != nil {
			t.Errorf("place %d: %v", i, *p)
		}
		if c.w.State().Car.Seen[i] != nil {
			n++
		}
	}
	if n == 0 {
		t.Error("none is stored when it is not private")
	}
}

// TestTripOfAnOlderVersionGoesOn: of a state that says nothing of the car, or in
// another order, the trip counts.
func TestTripOfAnOlderVersionGoesOn(t *testing.T) {
	for _, keep := range []bool{false, true} {
		c := newCar(t, calm)
		c.mps = 8
		c.drive(100)
		s := c.w.State()
		if s.Car.Version = 99; !keep {
			s.Car = nil
		}
		r := usual(c.ear)
		calm(&r)
		c.w = trip.New(r)
		c.s += 20
		c.w.Resume(s, telemetry.At(c.s)*1e9)
		c.drive(100)
		c.mps = 0
		c.drive(320)
		c.wants("Trip.Start Trip.End")
		near(t, c.events[1], "gps_m", 1600, 30)
		near(t, c.events[1], "standing_s", 0, 5)
	}
}
