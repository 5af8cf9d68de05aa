package agent_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/internal/virtual"
	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink/brokertest"
)

// healRig is a unit that is switched on and off: its store, its broker and the
// cloud last longer than a boot.
type healRig struct {
	*testing.T
	rng    *rand.Rand
	broker *brokertest.Broker
	cfg    config.Config
	began  time.Time // of the bubble, by its own time
	boots  map[telemetry.BootID]*healBoot
	order  []*healBoot

	mu   sync.Mutex // guards what follows
	book ledger.Ledger
	came []arrived
}

// arrived is a value or a fix that arrived.
type arrived struct {
	boot telemetry.BootID
	at   telemetry.At
}

// healDay is when it truly begins.
var healDay = time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)

// healBoot is one boot of it.
type healBoot struct {
	virtual.UnitClock
	id    telemetry.BootID
	built time.Time     // an upgrade before it; zero: none
	began time.Time     // the truth at its At 0
	sky   time.Duration // of the first fix; negative: none
	pulse bool
	came  int
	worst time.Duration // uncertainty while anchored
}

func (b *healBoot) truth(at telemetry.At) time.Time { return b.began.Add(b.True(at)) }

func newHealRig(t *testing.T, seed uint64) *healRig {
	r := &healRig{T: t, rng: rand.New(rand.NewPCG(seed, 5)), broker: brokertest.New(), began: time.Now(), boots: make(map[telemetry.BootID]*healBoot)}
	t.Cleanup(r.broker.Close)
	r.cfg = testConfig("sim-1", t.TempDir())
	r.cfg.CAN = nil
	r.cfg.Buffer.FlushEvery = config.Duration(2 * time.Second)
	r.broker.OnMessage(func(m brokertest.Message) {
		env, err := telemetry.DecodeEnvelope(m.Payload)
		if err != nil {
			return // no envelope
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		fresh, _ := r.book.Take(env)
		for _, b := range fresh {
			for i := range b.Samples {
				r.came = append(r.came, arrived{b.Boot, b.Samples[i].At})
			}
			for i := range b.Fixes {
				r.came = append(r.came, arrived{b.Boot, b.Fixes[i].At})
			}
		}
	})
	return r
}

func (r *healRig) now() time.Time { return healDay.Add(time.Since(r.began)) }

// boot runs the unit for so long and cuts its power, or, if it is the last
// boot, stops it when all has arrived. What is on the disk at the cut goes on
// with the next boot.
func (r *healRig) boot(lasts time.Duration, b healBoot, o virtual.GPSOptions, last bool) {
	r.Helper()
	b.began = r.now()
	clk := clock.Virtual(append(b.Options(), clock.WithFloor(healDay.AddDate(0, -3, 0)), clock.WithBuild(b.built))...)
	b.id = clk.Boot()
	r.boots[b.id], r.order = &b, append(r.order, &b)
	car := virtual.New(virtual.Config{Seed: r.rng.Uint64(), Clock: clock.Virtual(b.TrueOptions()...), Start: b.began})
	line := virtual.NewLine()
	ctx, cancel := context.WithCancel(r.Context())
	var parts sync.WaitGroup
	o.Latency, o.LatencyMax = 100*time.Millisecond, 800*time.Millisecond
	o.Visible = func(s time.Duration) bool { return b.sky >= 0 && s >= b.sky }
	parts.Go(func() {
		if err := car.WriteGPS(ctx, line, o); err != nil {
			r.Error(err)
		}
	})
	gps := &agent.GPSDevice{Name: "gps", Open: line.Open}
	if b.pulse {
		gps.PPS = &agent.PPSDevice{Name: "pps0", Run: func(ctx context.Context, edge func(telemetry.At, time.Duration)) error {
			return car.Pulse(ctx, func() { edge(clk.Now(), 0) },
				virtual.PulseOptions{Missing: 0.1, Visible: o.Visible, Wander: 50 * time.Microsecond})
		}}
	}
	a := start(r.T, r.cfg, agent.Deps{Clock: clk, Version: "test", Dial: r.broker.Dial, Log: slog.New(slog.DiscardHandler),
		Devices: agent.Devices{GPS: gps, Feed: speedFeed(clk), Simulated: true}})
	time.Sleep(lasts)
	if last {
		await(r.T, "drain", func() bool { return a.owed() == 0 })
		a.stop()
	} else {
		r.cutPower(a)
	}
	cancel()
	line.Close()
	parts.Wait()
	r.broker.Set(func(f *brokertest.Faults) { f.DialErr = nil })
}

// speedFeed emits a value a second, stamped by the unit's clock.
func speedFeed(clk *clock.Clock) agent.Feed {
	return func(ctx context.Context, emit func([]telemetry.Sample)) error {
		speed, _ := telemetry.Lookup("Vehicle.Speed")
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				emit([]telemetry.Sample{{At: clk.Now(), Signal: speed, Value: telemetry.Float(float64(n % 200)),
					Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}}})
			}
		}
	}
}

// cutPower leaves on the disk what is there now: what the agent still does is
// lost.
func (r *healRig) cutPower(a *running) {
	r.Helper()
	r.broker.Set(func(f *brokertest.Faults) { f.DialErr = errRefused })
	r.broker.Cut()
	synctest.Wait()
	files, err := filepath.Glob(filepath.Join(r.cfg.Buffer.Dir, "*"))
	if err != nil {
		r.Fatal(err)
	}
	left := make(map[string][]byte)
	for _, f := range files {
		if left[f], err = os.ReadFile(f); err != nil {
			r.Fatal(err)
		}
	}
	a.stop()
	for f, text := range left {
		if err := os.WriteFile(f, text, 0o600); err != nil {
			r.Fatal(err)
		}
	}
}

// check holds every record that arrived against the truth.
func (r *healRig) check() {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	wrong := 0
	for _, c := range r.came {
		b := r.boots[c.boot]
		wall, u, ok := r.book.WallTime("sim-1", c.boot, c.at)
		off := wall.Sub(b.truth(c.at))
		if b.came++; !ok || off.Abs() > u+time.Millisecond { // stamps are rounded to 1 ms
			if wrong++; wrong < 10 {
				r.Errorf("boot of %v at %v: %v off, give or take %v, %v", b.began, c.at.Sub(0), off, u, ok)
			}
		}
		if before := telemetry.At(b.sky).Sub(c.at); before > 0 { // before the first fix it grows with the distance
			u -= before / 10_000
		}
		if !b.slept(c.at) {
			b.worst = max(b.worst, u)
		}
	}
	if wrong > 0 {
		r.Errorf("%d of %d records are wrong", wrong, len(r.came))
	}
}

// slept reports whether the machine woke up shortly before: the next fixes
// have to prove themselves first.
func (b *healBoot) slept(at telemetry.At) bool {
	for _, s := range b.Suspends {
		if woke := telemetry.At(s.After + s.Length); at > woke.Add(-s.Length-3*time.Second) && at < woke.Add(10*time.Second) {
			return true
		}
	}
	return false
}

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
