package agent_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/virtual"
)

// TestTimeHeals: a unit wakes up in 1970, drives ten minutes without a fix,
// gets one, loses power, boots again without any, and once more with one. The
// crystal drifts, sentences are late by anything from 0.1 to 0.8 s, the first
// second is wrong, the battery's clock is wrong or dead, the machine sleeps,
// the leap seconds come late, the receiver's week has rolled over, pulses are
// missing. Of every record that arrived the true time lies within the stated
// uncertainty, which is at most 1 s while anchored, with a pulse 100 ms, and
// for the boot without a fix what its neighbours leave.
func TestTimeHeals(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { timeHeals(t, seed) })
		})
	}
}

func timeHeals(t *testing.T, seed uint64) {
	r := newHealRig(t, seed)
	between := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(r.rng.Int64N(int64(hi-lo))) }
	ppm := r.rng.Float64()*160 - 80
	o := virtual.GPSOptions{ColdSecond: time.Duration(1-2*int(seed&1)) * time.Second}
	first := healBoot{UnitClock: virtual.UnitClock{DriftPPM: ppm, Wall: time.Unix(0, 0)}, sky: 10 * time.Minute, pulse: seed%4 == 3}
	switch seed % 3 {
	case 0:
		first.Suspends = []virtual.Suspend{{After: 15 * time.Minute, Length: between(time.Hour, 9*time.Hour), Error: between(-900*time.Millisecond, 900*time.Millisecond)}}
	case 1:
		o.Leaps, o.LeapsAfter = []time.Duration{18 * time.Second, -2 * time.Second}[seed/3%2], 5*time.Minute
	case 2:
		o.WeeksBehind = 1024
	}
	r.boot(25*time.Minute, first, o, false)
	time.Sleep(between(time.Minute, 30*time.Hour))

	second := healBoot{UnitClock: virtual.UnitClock{DriftPPM: ppm}, sky: -1}
	switch seed % 4 {
	case 0:
		second.Wall = time.Unix(0, 0)
	case 1:
		second.Wall = r.now().Add(between(-20*time.Hour, 20*time.Hour)) // a battery's clock
	case 2:
		second.Wall = healDay.AddDate(0, -1, 0) // the file of a unit without one
	case 3:
		second.Wall = r.now().AddDate(0, 2, 0)
	}
	r.boot(5*time.Minute, second, virtual.GPSOptions{}, false)
	time.Sleep(between(time.Minute, 30*time.Hour))
	if seed%3 == 1 { // and another one
		r.boot(4*time.Minute, healBoot{UnitClock: virtual.UnitClock{DriftPPM: ppm, Wall: time.Unix(0, 0)}, sky: -1}, virtual.GPSOptions{}, false)
		time.Sleep(between(time.Minute, 30*time.Hour))
	}

	third := healBoot{UnitClock: virtual.UnitClock{DriftPPM: ppm, Wall: time.Unix(0, 0)}, sky: between(0, 3*time.Minute), pulse: seed%2 == 1, built: r.now().Add(-time.Second)}
	r.boot(10*time.Minute, third, virtual.GPSOptions{ColdSecond: -o.ColdSecond}, true)

	r.check()
	for i, b := range r.order {
		limit := time.Second
		switch {
		case b.sky < 0:
			limit = 48 * time.Hour
		case b.pulse:
			limit = 100 * time.Millisecond
		}
		if b.came < 200 || b.worst == 0 || b.worst > limit {
			t.Errorf("boot %d: %d records, good to %v, want %v", i+1, b.came, b.worst, limit)
		}
		t.Logf("boot %d: %d records, good to %v", i+1, b.came, b.worst)
	}
}
