package trip_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"obu/can"
	"obu/internal/trip"
	"obu/internal/virtual"
	"obu/telemetry"
)

// TestVirtualTrips: of 20 virtual cars, whose physics say what is true, receivers
// that scatter and OBD-II that rounds tell one trip each: its start and end, its
// distances, its standing, and the harsh manoeuvres there were, no others.
func TestVirtualTrips(t *testing.T) {
	harsh := 0
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			l := &ear{t: t}
			r := usual(l)
			r.AccelMPS2, r.BrakeMPS2, r.CornerMPS2 = 1.9, 2.2, 0
			d := virtual.NewDrive(seed)
			truth := ride(trip.New(r), d, rand.New(rand.NewPCG(seed, 1)))
			starts, ends := l.of("Trip.Start"), l.of("Trip.End")
			if len(starts) != 1 || len(ends) != 1 {
				t.Fatalf("%d starts, %d ends: %v", len(starts), len(ends), l.events)
			}
			m := d.State().DistanceM
			near(t, starts[0], "from", 160, 1.1)
			near(t, ends[0], "to", 160+1200, 1.1)
			near(t, ends[0], "gps_m", m, 30+0.01*m)
			near(t, ends[0], "can_m", m, 30+0.02*m)
			near(t, ends[0], "odometer_m", m, 200)
			near(t, ends[0], "standing_s", truth.standing, 10+0.1*truth.standing)
			near(t, ends[0], "max_speed", truth.fastest, 0.5)
			harsh += truth.compare(t, l, "Motion.HarshAcceleration", r.AccelMPS2, 1) + truth.compare(t, l, "Motion.HarshBraking", r.BrakeMPS2, -1)
		})
	}
	if harsh < 20 {
		t.Errorf("only %d harsh manoeuvres in all: the test shows little", harsh)
	}
}

// ridden is what was true.
type ridden struct {
	standing, fastest float64
	speeds            []float64 // each 0.1 s from second 160 on
}

// ride parks for a minute, drives 20 minutes and parks again.
func ride(w *trip.Watch, d *virtual.Drive, r *rand.Rand) (truth ridden) {
	fix := func(s float64, st virtual.State) {
		f := telemetry.NoFix()
		f.At, f.Receiver, f.Valid, f.Mode, f.Sats, f.HDOP = telemetry.At(s*1e9), "gps", true, telemetry.Mode3D, 9, 1
		f.UTC = time.Unix(1_780_000_000+int64(s), 0)
		f.LatDeg, f.LonDeg = st.LatDeg+r.NormFloat64()*0.3/111e3, st.LonDeg+r.NormFloat64()*0.3/72e3
		f.SpeedMPS, f.CourseDeg = math.Abs(st.SpeedMPS+r.NormFloat64()*0.05), st.CourseDeg
		w.Fix(&f, false)
	}
	for s := 100; s < 160; s++ {
		fix(float64(s)+0.3, d.State())
	}
	for i := range 12000 {
		d.Advance(time.Duration(i) * 100 * time.Millisecond)
		st := d.State()
		truth.speeds = append(truth.speeds, st.SpeedMPS)
		truth.fastest = max(truth.fastest, st.SpeedMPS)
		if st.SpeedMPS < 1 {
			truth.standing += 0.1
		}
		s := 160 + float64(i)/10
		switch at := telemetry.At(s * 1e9); i % 10 {
		case 0:
			w.Samples([]telemetry.Sample{sample(at, "Vehicle.Speed", telemetry.Float(math.Floor(st.SpeedMPS*3.6)), 0),
				sample(at, "Vehicle.Powertrain.CombustionEngine.Speed", telemetry.Float(math.Round(st.RPM*4)/4), 0),
				sample(at, "Vehicle.TraveledDistance", telemetry.Int(int64(st.OdometerM/100)*100), 0)})
		case 3:
			fix(s, st)
		case 7:
			w.Tick(at)
		}
	}
	st := d.State()
	at := telemetry.At(1360e9)
	st.SpeedMPS = 0
	for s := 1360; s < 1364; s++ { // the driver brakes to a stop: beside the truth, as are its last seconds
		w.Samples([]telemetry.Sample{sample(telemetry.At(s)*1e9, "Vehicle.Speed", telemetry.Float(0), 0)})
	}
	w.Samples([]telemetry.Sample{sample(at, "Vehicle.Speed", telemetry.Value{}, telemetry.QualityAsleep)})
	for s := 1361; s < 1800; s++ {
		fix(float64(s)+0.3, st)
		w.Tick(telemetry.At(s)*1e9 + 7e8)
	}
	return truth
}

// compare holds the events of a kind against the change of the true speed from
// one whole second, in which OBD-II answers, to the next. OBD-II rounds it down by
// up to 1 km/h, 0.28 m/s² over a second.
func (r *ridden) compare(t *testing.T, l *ear, name string, threshold, sign float64) int {
	t.Helper()
	const rounding = 0.3
	rate := func(s int) float64 { return sign * (r.speeds[10*(s-160)] - r.speeds[10*(s-161)]) }
	events := l.of(name)
	for _, e := range events {
		peak := 0.0
		for s := int(e.num("from")) + 1; s <= int(e.num("to")) && s < 1360; s++ {
			peak = max(peak, rate(s))
		}
		if e.num("to") < 1359 && !(math.Abs(peak-e.num("value")) <= rounding) {
			t.Errorf("truth is %.2f m/s²: %v", peak, e)
		}
	}
	for s := 162; s < 1358; s++ {
		if rate(s) < threshold+rounding {
			continue
		}
		told := false
		for _, e := range events {
			told = told || s >= int(e.num("from")) && s <= int(e.num("to"))
		}
		if !told {
			t.Errorf("%.2f m/s² at %d s were not told as %s", rate(s), s, name)
		}
	}
	return len(events)
}

// TestRecordedTrips: from Reno to Lake Tahoe there are three trips, parted by two
// stops of more than five minutes. By hand, from the RMC sentences: the car is
// still below 1 m/s from 2096 s to 2414 s and from 2486 s to 3372 s of the log,
// and from 5574 s to its end at 5716 s. The distances are held against the sum of
// the receiver's speeds.
func TestRecordedTrips(t *testing.T) {
	fixes := session1(t)
	l := &ear{t: t}
	r := usual(l)
	r.AccelMPS2, r.BrakeMPS2, r.CornerMPS2 = 0, 0, 0
	r.Standing = 0
	w := trip.New(r)
	for i := range fixes {
		w.Fix(&fixes[i], false)
	}
	w.Finish()
	l.wants("Trip.Start Trip.End Trip.Start Trip.End Trip.Start Trip.End")
	for i, want := range [][2]float64{{10, 2096}, {2414, 2486}, {3374, 5716}} {
		e := l.of("Trip.End")[i]
		near(t, e, "from", want[0], 4)
		near(t, e, "to", want[1], 4)
		sum := 0.0
		for k := 1; k < len(fixes); k++ {
			a, b := &fixes[k-1], &fixes[k]
			if a.At.Seconds() >= want[0] && b.At.Seconds() <= want[1] && a.Valid && b.Valid {
				sum += (a.SpeedMPS + b.SpeedMPS) / 2 * b.At.Sub(a.At).Seconds()
			}
		}
		near(t, e, "gps_m", sum, 20+0.01*sum)
	}
}

// TestRecordedCorners: each harsh corner told of that drive is one of the road's:
// the places before, in and behind it, of which the course knows nothing, lie on a
// circle that at this speed asks for as much, give or take a third.
func TestRecordedCorners(t *testing.T) {
	fixes := session1(t)
	l := &ear{t: t}
	w := trip.New(usual(l))
	for i := range fixes {
		w.Fix(&fixes[i], false)
	}
	corners := l.of("Motion.HarshCornering")
	if len(corners) < 3 {
		t.Errorf("%d corners", len(corners))
	}
	for _, e := range corners {
		peak := 0.0
		for k := 2; k < len(fixes); k++ {
			if at := fixes[k-1].At.Seconds(); at < e.num("from")-2 || at > e.num("to")+2 {
				continue
			}
			peak = max(peak, circle(&fixes[k-2], &fixes[k-1], &fixes[k]))
		}
		if v := e.num("value"); peak < 0.67*v || peak > 1.5*v {
			t.Errorf("by its places %.2f m/s²: %v", peak, e)
		}
	}
}

// circle is the acceleration towards the centre of the circle through three places.
func circle(a, b, c *telemetry.Fix) float64 {
	xy := func(f *telemetry.Fix) (x, y float64) {
		return (f.LonDeg - b.LonDeg) * 111_320 * math.Cos(b.LatDeg*math.Pi/180), (f.LatDeg - b.LatDeg) * 111_030
	}
	ax, ay := xy(a)
	cx, cy := xy(c)
	ab, bc, ca := math.Hypot(ax, ay), math.Hypot(cx, cy), math.Hypot(cx-ax, cy-ay)
	if ab*bc*ca == 0 {
		return 0
	}
	bend := 2 * math.Abs(ax*cy-ay*cx) / (ab * bc * ca)
	v := (ab + bc) / c.At.Sub(a.At).Seconds()
	return v * v * bend
}

// TestRecordedTripByBoth: the drive in Denmark has OBD-II and a receiver: one trip
// that begins with the engine, before the first fix, and whose distances by either
// agree to 3 %.
func TestRecordedTripByBoth(t *testing.T) {
	fixes := denmark(t)
	f, err := os.Open(filepath.Join(recordings(t), "can", "css_obd_gps_drive", "3BA199E2_164_1.log.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	l := &ear{t: t}
	r := usual(l)
	r.LimitMPS = 60 / 3.6
	w := trip.New(r)
	k, bus, gps, last := 0, 0.0, 0.0, telemetry.At(0)
	var speed float64
	_, err = can.DecodeOBD(f, func(rec can.Record) error {
		at := telemetry.At(rec.T.Nanos - denmarkZero*1e9)
		for ; k < len(fixes) && fixes[k].At < at; k++ {
			w.Fix(&fixes[k], false)
		}
		if rec.Signal.Name == "Vehicle.Speed" && rec.Quality == 0 {
			if k > 0 && fixes[k-1].Valid && last > 0 {
				bus += (speed + rec.Value.Float()/3.6) / 2 * at.Sub(last).Seconds()
				gps += fixes[k-1].SpeedMPS * at.Sub(last).Seconds()
			}
			speed, last = rec.Value.Float()/3.6, at
		}
		w.Samples([]telemetry.Sample{{At: at, Signal: rec.Signal, Source: telemetry.Source{Bus: rec.Bus, Address: rec.Source, Method: "obd"}, Value: rec.Value, Quality: rec.Quality}})
		return nil
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Finish()
	starts, ends := l.of("Trip.Start"), l.of("Trip.End")
	if len(starts) != 1 || len(ends) != 1 || starts[0].e["by"] != "engine" || starts[0].e["lat"] != nil || len(l.of("Motion.Speeding")) != 2 || len(l.events) != 4 {
		t.Fatalf("told: %v", l.events)
	}
	near(t, ends[0], "gps_m", gps, 0.02*gps)
	if math.Abs(bus/gps-1) > 0.03 {
		t.Errorf("by OBD-II %.0f m and by the receiver %.0f m while it had a fix", bus, gps)
	}
	near(t, ends[0], "can_m", 5879, 60) // the whole drive, the first minutes without a fix included
}

// TestRecordedCalmDrive: a quiet drive in San Francisco, 10 Hz, is a trip and
// nothing else; its distance is that of the car's wheels.
func TestRecordedCalmDrive(t *testing.T) {
	type line struct {
		T     float64
		Speed float64 `json:"speed_mps"`
	}
	wheels, last, speed := 0.0, 0.0, 0.0
	jsonLines(t, filepath.Join(recordings(t), "can", "comma2k19_rav4", "published_speed_steer_wheels.jsonl.gz"), func(l line) {
		if last > 0 {
			wheels += (speed + l.Speed) / 2 * (l.T - last)
		}
		last, speed = l.T, l.Speed
	})
	l := &ear{t: t}
	w := trip.New(usual(l))
	fixes := comma(t)
	for i := range fixes {
		w.Fix(&fixes[i], false)
	}
	w.Finish()
	l.wants("Trip.Start Trip.End")
	near(t, l.of("Trip.End")[0], "gps_m", wheels, 0.02*wheels)
}
