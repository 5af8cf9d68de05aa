package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/spf13/pflag"

	"obu/internal/virtual"
	"obu/telemetry"
	"obu/telemetry/ledger"
)

// clockFaults are what is wrong with the clocks of a fleet. Each unit draws its
// own from the seed.
type clockFaults struct {
	GPSLate  time.Duration // the latest a receiver's sentences come
	Crystal  float64       // ppm, in both directions
	RTCError time.Duration // in both directions; the clock of every other unit is at 1970
	Suspend  time.Duration // a sleep half-way
}

func (f *clockFaults) flags(to *pflag.FlagSet) {
	to.DurationVar(&f.GPSLate, "gps-late", 0, "receivers speak 0.1 s to this late (to 900ms), by another time each second; 0: 40 ms")
	to.Float64Var(&f.Crystal, "crystal", 0, "crystals of the units run wrong by up to so many ppm (to 100)")
	to.DurationVar(&f.RTCError, "rtc-error", 0, "system clocks of the units begin wrong by up to this, of every other unit at 1970")
	to.DurationVar(&f.Suspend, "suspend", 0, "every unit sleeps so long, once, half-way")
}

// leastLate is from an epoch to the first sentence of a receiver that is late.
const leastLate = 100 * time.Millisecond

func (f *clockFaults) valid(o *options) error {
	switch {
	case *f == clockFaults{}:
	case o.Replay != "" || o.Load != loadTrack:
		return errors.New("--gps-late, --crystal, --rtc-error and --suspend go with --load track: city's values come past the unit's clock")
	case f.GPSLate != 0 && (f.GPSLate < leastLate || f.GPSLate > 900*time.Millisecond):
		return errors.New("--gps-late wants 100ms to 900ms: what comes later comes in the next second")
	case f.Crystal < 0 || f.Crystal > 100:
		return errors.New("--crystal wants 0 to 100: no stated uncertainty holds for a worse one")
	case f.RTCError < 0 || f.RTCError > 24*time.Hour:
		return errors.New("--rtc-error wants 0 to 24h: a battery's clock is not believed to be worse")
	case f.Suspend < 0 || f.Suspend > 24*time.Hour || f.Suspend > 0 && o.For < 20*time.Second:
		return errors.New("--suspend wants up to 24h, and --for 20s or more around it")
	}
	return nil
}

// of returns the clock of unit number n.
func (f *clockFaults) of(n int, o *options) (u virtual.UnitClock) {
	r := rand.New(rand.NewPCG(o.Seed, uint64(n)))
	around := func(d time.Duration) time.Duration { return time.Duration((2*r.Float64() - 1) * float64(d)) }
	u.DriftPPM = (2*r.Float64() - 1) * f.Crystal
	if u.RTCError = around(f.RTCError); f.RTCError > 0 && n%2 == 1 {
		u.Wall, u.RTCError = time.Unix(0, 0), 0
	}
	if f.Suspend > 0 {
		u.Suspends = []virtual.Suspend{{After: o.For / 2, Length: f.Suspend, Error: around(900 * time.Millisecond)}}
	}
	return u
}

// receiver is how the car's receiver behaves.
func (f *clockFaults) receiver() virtual.GPSOptions {
	if f.GPSLate == 0 {
		return virtual.GPSOptions{Latency: 40 * time.Millisecond}
	}
	return virtual.GPSOptions{Latency: leastLate, LatencyMax: f.GPSLate, ColdSecond: time.Second}
}

// timed is how well the records of a fleet are dated.
type timed struct {
	Records int           // whose time was compared with the truth
	Wrong   int           // of those, off by more than was stated
	Worst   time.Duration // the largest that was stated
	Off     time.Duration // the furthest off
}

// stampRounding is to what stamps and wall times are rounded.
const stampRounding = 2 * time.Millisecond

// date compares the time of a record, as anchors tell it, with the truth.
func (a *account) date(e *emission, led *ledger.Ledger, at telemetry.At) {
	wall, give, ok := led.WallTime(e.Unit, e.Boot, at)
	off := wall.Sub(e.Began.Add(e.Clock.True(at)))
	a.timed.Records++
	if !ok || off.Abs() > give+stampRounding {
		a.timed.Wrong++
		a.problems.add("wrong time: a record of %.3f s is %v off, give or take %v", at.Seconds(), off, give)
	}
	a.timed.Worst, a.timed.Off = max(a.timed.Worst, give), max(a.timed.Off, off.Abs())
}

// dates compares every record that came and puts its time on the car's clock,
// by which the journal is written.
func (a *account) dates(e *emission, in *intake) {
	if e.Began.IsZero() {
		return
	}
	for _, got := range in.series {
		for i := range got {
			a.date(e, &in.led, got[i].At)
			got[i].At = telemetry.At(e.Clock.True(got[i].At))
		}
	}
	for i := range in.fixes {
		a.date(e, &in.led, in.fixes[i].fix.At)
	}
}

func (t *timed) add(u timed) {
	t.Records += u.Records
	t.Wrong += u.Wrong
	t.Worst, t.Off = max(t.Worst, u.Worst), max(t.Off, u.Off)
}

func (t *timed) String() string {
	return fmt.Sprintf("%s records to %v as stated, %v at most off, %s wrong",
		thousands(int64(t.Records)), t.Worst.Round(time.Millisecond), t.Off.Round(time.Millisecond), thousands(int64(t.Wrong)))
}
