package virtual_test

import (
	"math"
	"testing"
	"time"

	"obu/internal/virtual"
)

// The drive depends on the seed and on nothing else: not on who asks when.
func TestDriveIsDeterministic(t *testing.T) {
	a, b := virtual.NewDrive(7), virtual.NewDrive(7)
	for at := time.Duration(0); at < 10*time.Minute; at += 170 * time.Millisecond {
		a.Advance(at)
	}
	a.Advance(10 * time.Minute)
	b.Advance(10 * time.Minute)
	if a.State() != b.State() {
		t.Errorf("asked often: %+v\nasked once:  %+v", a.State(), b.State())
	}
	c := virtual.NewDrive(8)
	c.Advance(10 * time.Minute)
	if c.State() == b.State() {
		t.Error("another seed gives the same drive")
	}
}

// What the sensors say together must be possible: a car moves as far as its
// speed says, stops, shifts, and warms up.
func TestDriveIsPossible(t *testing.T) {
	for seed := range uint64(30) {
		d := virtual.NewDrive(seed)
		before := d.State()
		var stops, gears, moved int
		var travelled float64
		for at := 100 * time.Millisecond; at <= 20*time.Minute; at += 100 * time.Millisecond {
			d.Advance(at)
			s := d.State()
			if s.SpeedMPS < 0 || s.SpeedMPS > 32 || math.Abs(s.AccelMPS2) > 12 {
				t.Fatalf("seed %d at %v: speed %v m/s, acceleration %v m/s²", seed, at, s.SpeedMPS, s.AccelMPS2)
			}
			if s.RPM < 600 || s.RPM > 5500 || s.Load < 0 || s.Load > 1 || s.CoolantC > 115 || s.MAPKPa > 105 {
				t.Fatalf("seed %d at %v: impossible engine %+v", seed, at, s)
			}
			step := metres(before.LatDeg, before.LonDeg, s.LatDeg, s.LonDeg)
			if driven := s.DistanceM - before.DistanceM; math.Abs(step-driven) > 0.05+0.02*driven {
				t.Fatalf("seed %d at %v: position moved %.3f m while the wheels moved %.3f m", seed, at, step, driven)
			}
			travelled += step
			if s.SpeedMPS == 0 && before.SpeedMPS > 0 {
				stops++
			}
			if s.Gear != before.Gear {
				gears++
			}
			if s.SpeedMPS > 5 {
				moved++
			}
			before = s
		}
		if stops < 3 || gears < 20 || moved < 3000 || travelled < 4000 {
			t.Errorf("seed %d: %d stops, %d gear changes, %d steps moving, %.0f m", seed, stops, gears, moved, travelled)
		}
		if before.CoolantC < 60 {
			t.Errorf("seed %d: coolant only %.1f °C after 20 minutes", seed, before.CoolantC)
		}
	}
}

// metres is the distance of two near points on the WGS-84 ellipsoid.
func metres(lat1, lon1, lat2, lon2 float64) float64 {
	const a, e2 = 6378137.0, 0.00669437999014
	sin, cos := math.Sincos(lat1 * math.Pi / 180)
	w := math.Sqrt(1 - e2*sin*sin)
	north := (lat2 - lat1) * math.Pi / 180 * a * (1 - e2) / (w * w * w)
	east := (lon2 - lon1) * math.Pi / 180 * a / w * cos
	return math.Hypot(north, east)
}

func BenchmarkDriveSecond(b *testing.B) {
	d := virtual.NewDrive(1)
	for i := range b.N {
		d.Advance(time.Duration(i) * time.Second)
	}
}
