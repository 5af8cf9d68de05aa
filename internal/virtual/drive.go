package virtual

import (
	"math"
	"time"
)

// driveStep is the step of the physics. It is fixed, so that the drive does
// not depend on who asks when.
const driveStep = 100 * time.Millisecond

// State is the car at one moment, exact, before any sensor rounds it.
type State struct {
	T         time.Duration // since the engine started
	DistanceM float64       // driven since then
	OdometerM float64
	SpeedMPS  float64
	AccelMPS2 float64
	LatDeg    float64
	LonDeg    float64
	AltM      float64
	CourseDeg float64

	Gear       int     // 0 neutral, 1-6
	RPM        float64 // crankshaft
	Pedal      float64 // 0-1
	Throttle   float64 // 0-1
	Load       float64 // calculated load, 0-1
	TorqueNm   float64
	MAPKPa     float64 // intake manifold, absolute
	BaroKPa    float64
	MAFGS      float64 // grams of air a second
	FuelLH     float64 // litres an hour
	FuelPct    float64 // in the tank
	CoolantC   float64
	OilC       float64
	IntakeC    float64
	AmbientC   float64
	CatalystC  float64
	Voltage    float64
	TimingDeg  float64
	TrimPct    float64 // short term fuel trim
	LongTrim   float64 // long term fuel trim, percent
	Lambda     float64
	EVAPPct    float64
	ClearedKM  float64 // since the trouble codes were cleared
	ClearedMin float64
}

// Drive is a deterministic trip: driver, engine and road of one seed.
type Drive struct {
	road *Road
	r    rng
	now  State
	stop float64 // metres: where the driver must stop next
	wait float64 // seconds left at the stop

	// the car
	massKG  float64
	dispL   float64 // engine displacement, litres
	maxNm   float64
	calm    float64 // driver: 0.6 sporty .. 1.2 calm
	tankL   float64
	runtime int64 // steps done
}

var gearRatio = [...]float64{0, 3.6, 2.1, 1.4, 1.05, 0.84, 0.7}

const (
	finalDrive   = 4.1
	wheelM       = 1.96 // circumference
	idleRPM      = 780.0
	shiftUpRPM   = 2300.0
	shiftDownRPM = 1250.0
)

// NewDrive returns the trip that belongs to a seed, at its start.
func NewDrive(seed uint64) *Drive {
	d := &Drive{road: NewRoad(seed), r: rng(seed ^ 0x6472697665)}
	d.massKG = d.r.between(1100, 2200)
	d.dispL = d.r.between(1.0, 2.5)
	d.maxNm = d.dispL * d.r.between(90, 170)
	d.calm = d.r.between(0.7, 1.1)
	d.tankL = d.r.between(40, 65)
	s := &d.now
	s.AmbientC = d.r.between(-5, 28)
	s.CoolantC = s.AmbientC + d.r.between(0, 40)
	s.OilC, s.IntakeC, s.CatalystC = s.CoolantC, s.AmbientC+3, s.AmbientC+120
	s.FuelPct = d.r.between(25, 95)
	s.OdometerM = math.Floor(d.r.between(2e6, 180e6)/100) * 100
	s.BaroKPa = 101.3 * math.Exp(-d.road.AltM/8400)
	s.LongTrim = d.r.between(-4, 6)
	s.ClearedKM, s.ClearedMin = d.r.between(10, 9000), d.r.between(20, 20000)
	s.Lambda, s.RPM, s.Voltage = 1, idleRPM, 14.1
	d.stop = d.road.nextStop(0)
	d.wait = 1.5
	d.engine(0, driveStep.Seconds())
	s.LatDeg, s.LonDeg, s.AltM, s.CourseDeg = d.road.place(0)
	return d
}

// State returns the state at the moment reached by Advance.
func (d *Drive) State() State { return d.now }

// Road returns the road the car drives on.
func (d *Drive) Road() *Road { return d.road }

// Advance drives on until t since the start, in whole steps. It never drives
// back.
func (d *Drive) Advance(t time.Duration) {
	for steps := int64(t / driveStep); d.runtime < steps; d.runtime++ {
		d.step()
	}
	d.now.T = time.Duration(d.runtime) * driveStep
}

// step drives one driveStep on.
func (d *Drive) step() {
	dt := driveStep.Seconds()
	s := &d.now
	accel := d.driver(dt)
	before := s.SpeedMPS
	s.SpeedMPS = math.Max(0, before+accel*dt)
	s.AccelMPS2 = (s.SpeedMPS - before) / dt
	moved := (before + s.SpeedMPS) / 2 * dt
	s.DistanceM += moved
	s.OdometerM += moved
	s.ClearedKM += moved / 1000
	s.ClearedMin += dt / 60
	s.LatDeg, s.LonDeg, s.AltM, s.CourseDeg = d.road.place(s.DistanceM)
	d.gearbox()
	d.engine(s.AccelMPS2, dt)
	d.heat(dt)
}

// driver decides on an acceleration in m/s²: keep to the limit, brake in
// time for the next stop, wait there, move off.
func (d *Drive) driver(dt float64) float64 {
	s := &d.now
	if d.wait > 0 {
		d.wait -= dt
		return -s.SpeedMPS / dt
	}
	const brake = 2.0
	ahead := d.stop - s.DistanceM
	if ahead < 3 && s.SpeedMPS < 0.5 {
		d.wait = d.r.between(3, 12)
		d.stop = d.road.nextStop(math.Max(d.stop, s.DistanceM) + 1)
		return -s.SpeedMPS / dt
	}
	if need := s.SpeedMPS * s.SpeedMPS / (2 * math.Max(ahead, 0.5)); need > brake*0.9 {
		return -math.Min(need, 4.5)
	}
	want := d.road.limitAt(s.DistanceM) * (1.05 - 0.1*d.calm)
	for _, look := range [...]float64{25, 60, 120} { // curves and signs ahead
		limit := d.road.limitAt(s.DistanceM+look) * (1.05 - 0.1*d.calm)
		want = math.Min(want, math.Sqrt(limit*limit+2*1.5*look))
	}
	want = math.Min(want, math.Max(0.4, math.Sqrt(2*brake*0.8*math.Max(ahead-1, 0))))
	want += 0.3 * d.r.noise() * math.Min(1, s.SpeedMPS/5)
	return math.Max(-brake*1.5, math.Min((want-s.SpeedMPS)/(0.8*d.calm), 2.2/d.calm))
}

// gearbox picks the gear and the engine speed that goes with it.
func (d *Drive) gearbox() {
	s := &d.now
	turns := func(gear int) float64 { return s.SpeedMPS / wheelM * 60 * gearRatio[gear] * finalDrive }
	switch {
	case s.SpeedMPS < 0.3 && d.wait > 1:
		s.Gear = 0
	case s.Gear == 0:
		s.Gear = 1
	case s.Gear < 6 && turns(s.Gear) > shiftUpRPM+1500*math.Max(0, s.Pedal-0.3):
		s.Gear++
	case s.Gear > 1 && turns(s.Gear) < shiftDownRPM:
		s.Gear--
	}
	want := idleRPM + 12*d.r.noise()
	if s.CoolantC < 50 {
		want += (50 - s.CoolantC) * 6 // fast idle while cold
	}
	if s.Gear > 0 {
		want = math.Max(want+300*s.Pedal, turns(s.Gear)) // the clutch slips below idle
	}
	s.RPM += (want - s.RPM) * 0.6
}

// engine works out what the engine must do for an acceleration.
func (d *Drive) engine(accel, dt float64) {
	s := &d.now
	force := d.massKG*(accel+9.81*0.012) + 0.40*s.SpeedMPS*s.SpeedMPS
	power := force*s.SpeedMPS + 1800 + 250*math.Max(0, 60-s.CoolantC)/10 // W, with alternator and friction
	omega := s.RPM * 2 * math.Pi / 60
	s.TorqueNm = math.Max(-0.1*d.maxNm, math.Min(power/0.9/omega, d.maxNm))
	s.Load = math.Max(0.04, s.TorqueNm/d.maxNm)
	if s.TorqueNm < 0 {
		s.Load = 0.02 // overrun
	}
	s.Load = math.Min(1, s.Load*(1+0.02*d.r.noise()))
	s.Pedal = math.Max(0, math.Min(1, (s.Load-0.1)*0.95))
	if s.SpeedMPS < 0.1 {
		s.Pedal = 0
	}
	s.Throttle = 0.12 + 0.8*math.Pow(s.Load, 1.4)
	s.MAPKPa = math.Min(s.BaroKPa, 24+(s.BaroKPa-24)*s.Load+0.5*d.r.noise())
	density := s.MAPKPa * 1000 / (287 * (s.IntakeC + 273.15)) // kg/m³
	s.MAFGS = 0.85 * density * d.dispL * s.RPM / 120
	s.TrimPct += (3*d.r.noise() - s.TrimPct) * 0.2
	s.Lambda = 1 + 0.015*d.r.noise()
	fuelGS := s.MAFGS / (14.7 * s.Lambda)
	if s.TorqueNm < 0 {
		fuelGS = 0 // cut off
	}
	s.FuelLH = fuelGS * 3600 / 745
	s.FuelPct = math.Max(2, s.FuelPct-s.FuelLH*dt/3600/d.tankL*100)
	s.TimingDeg = 10 + 18*(1-s.Load)*math.Min(1, s.RPM/3000) + d.r.noise()
	s.EVAPPct = math.Max(0, math.Min(100, 30*s.Load+8*d.r.noise()))
	s.Voltage = 14.15 + 0.06*d.r.noise() - 0.2*math.Max(0, 1-s.RPM/700)
}

// heat warms the engine up and lets the air cool it.
func (d *Drive) heat(dt float64) {
	s := &d.now
	gain := 0.25 + 1.1*s.Load*s.RPM/2500
	loss := (s.CoolantC - s.AmbientC) / 400
	if s.CoolantC > 88 {
		loss += (s.CoolantC - 88) * 0.15 // the thermostat opens
	}
	s.CoolantC += (gain - loss) * dt
	s.OilC += (s.CoolantC + 8*s.Load - s.OilC) / 120 * dt
	s.IntakeC += (s.AmbientC + 4 + 14*math.Max(0, 1-s.SpeedMPS/12) - s.IntakeC) / 60 * dt
	s.CatalystC += (s.AmbientC + 280 + 500*s.Load - s.CatalystC) / 40 * dt
}
