package trip_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// says has the bus say a value.
func (c *car) says(name string, v float64) {
	c.w.Samples([]telemetry.Sample{sample(telemetry.At(c.s)*1e9, name, telemetry.Float(v), telemetry.QualityLive)})
}

// TestValuesNoCarHasMakeNoTrip: a signal of a DBC file that is not available
// reads as its largest raw value, one of floating point may be infinite.
func TestValuesNoCarHasMakeNoTrip(t *testing.T) {
	for name, wrong := range map[string][]float64{
		"Vehicle.Speed": {655.35, math.Inf(1), 1e30},
		"Vehicle.Powertrain.CombustionEngine.Speed": {16383.75, math.Inf(1)},
	} {
		for _, v := range wrong {
			c := newCar(t, nil)
			for range 20 {
				c.drive(1)
				c.says(name, v)
			}
			c.wants("")
		}
	}
}

// TestWrongValuesDoNotSpoilATrip: its largest speed and its distances are those
// of the other readings, and it can be stored.
func TestWrongValuesDoNotSpoilATrip(t *testing.T) {
	c := newCar(t, calm)
	odometer := 50_000_000.0 // metres
	for i := range 120 {
		c.mps = 20
		c.drive(1)
		odometer += 20
		switch i {
		case 60:
			c.says("Vehicle.Speed", 655.35)
			c.says("Vehicle.TraveledDistance", 429_496_729_500)
		case 0, 61:
			c.says("Vehicle.TraveledDistance", math.Inf(1))
		case 90:
			c.says("Vehicle.TraveledDistance", 0)
		default:
			c.says("Vehicle.Speed", 72)
			if i%10 == 5 {
				c.says("Vehicle.TraveledDistance", math.Floor(odometer/100)*100)
			}
		}
	}
	if _, err := json.Marshal(c.w.State()); err != nil {
		t.Errorf("the trip under way cannot be stored: %v", err)
	}
	c.says("Vehicle.TraveledDistance", 429_496_729_500)
	c.w.Finish()
	end := c.of("Trip.End")
	if len(end) != 1 {
		t.Fatalf("%v, want one trip", c.events)
	}
	near(t, end[0], "max_speed", 20, 0.1)
	near(t, end[0], "can_m", 2400, 150)
	near(t, end[0], "gps_m", 2400, 50)
	near(t, end[0], "odometer_m", 2200, 200)
}

// TestPlaceThatIsBelievedElsewhereIsNoDistance: a jump that goes on is believed
// after some fixes; the car has not driven it.
func TestPlaceThatIsBelievedElsewhereIsNoDistance(t *testing.T) {
	c := newCar(t, calm)
	c.mps = 20
	c.drive(60)
	for _, jump := range []float64{5, -5} {
		c.lat += jump
		c.mend = func(f *telemetry.Fix) { f.Doubt = telemetry.DoubtJump }
		c.drive(4)
		c.mend = nil
		c.drive(60)
	}
	c.w.Finish()
	if end := c.of("Trip.End"); len(end) != 1 {
		t.Fatalf("%v, want one trip", c.events)
	} else {
		near(t, end[0], "gps_m", 60*20*3, 250)
	}
}

// TestFixesReadLateAreNoManoeuvre: a machine that stood still for seconds reads
// the fixes of that time at once; the car braked as its receiver says.
func TestFixesReadLateAreNoManoeuvre(t *testing.T) {
	for _, turns := range []bool{false, true} {
		c := newCar(t, func(r *trip.Rules) { r.LimitMPS = 30 })
		c.mps = 25
		c.drive(60)
		for i := range 11 {
			if turns {
				c.course += 4 // 1.7 m/s²
			} else {
				c.mps -= 2
			}
			if i > 2 && i < 7 {
				c.mend = func(f *telemetry.Fix) {
					f.SpeedMPS, f.At = math.NaN(), f.At.Add(time.Duration(7-i)*990*time.Millisecond)
				}
			}
			c.drive(1)
			c.mend = nil
		}
		c.drive(60)
		c.wants("Trip.Start")
	}
}

// TestDoubtfulFixIsLeftWhole: with less detail too, since it is its own evidence.
func TestDoubtfulFixIsLeftWhole(t *testing.T) {
	for _, detail := range []trip.Detail{trip.Full, trip.Rounded, trip.Place} {
		var fixes []telemetry.Fix
		for s := range 9 {
			f := telemetry.NoFix()
			f.At, f.UTC = telemetry.At(s)*1e9+12_345_000*telemetry.At(s%3), time.Unix(1_780_000_000+int64(s), 0)
			f.Valid, f.LatDeg, f.LonDeg, f.SpeedMPS = true, 50.1234567+float64(s)*1e-4, 8.7654321, 11
			if s == 4 || s == 5 {
				f.Doubt = telemetry.DoubtFrozen
			}
			fixes = append(fixes, f)
		}
		whole := 0
		for _, k := range reduce(fixes, trip.Tolerance{ErrorM: 10, Time: time.Minute, Detail: detail}) {
			if k.Doubt == 0 {
				continue
			}
			if f := fixes[4+whole]; !k.Equal(f) {
				t.Errorf("detail %s: %+v, came as %+v", trip.Details[detail], k, f)
			}
			whole++
		}
		if whole != 2 {
			t.Errorf("detail %s: %d doubtful fixes, want 2", trip.Details[detail], whole)
		}
	}
}
