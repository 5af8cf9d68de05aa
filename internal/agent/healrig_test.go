package agent_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
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
	dark  time.Duration // of the last fix; zero: never
	kills []kill        // of the process
	leaps time.Duration // until then the receiver does not know the leap seconds
	pulse bool
	came  int
	worst time.Duration // uncertainty while anchored
}

// kill ends the process with what is on the disk; away later it starts again
// and runs for so long.
type kill struct{ away, runs time.Duration }

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
	b.id = clock.Virtual().Boot() // random
	r.boots[b.id], r.order = &b, append(r.order, &b)
	car := virtual.New(virtual.Config{Seed: r.rng.Uint64(), Clock: clock.Virtual(b.TrueOptions()...), Start: b.began})
	line := virtual.NewLine()
	ctx, cancel := context.WithCancel(r.Context())
	var parts sync.WaitGroup
	o.Latency, o.LatencyMax = 100*time.Millisecond, 800*time.Millisecond
	o.Visible = func(s time.Duration) bool { return b.sky >= 0 && s >= b.sky && (b.dark == 0 || s < b.dark) }
	parts.Go(func() {
		if err := car.WriteGPS(ctx, line, o); err != nil {
			r.Error(err)
		}
	})
	on := time.Now()
	run := func() (*running, *clock.Clock) {
		clk := clock.Virtual(append(b.OptionsAfter(time.Since(on)), clock.WithBoot(b.id), clock.WithFloor(healDay.AddDate(0, -3, 0)),
			clock.WithBuild(b.built), agent.KeepTime(r.cfg.Buffer.Dir))...)
		gps := &agent.GPSDevice{Name: "gps", Open: line.Open}
		if b.pulse {
			gps.PPS = &agent.PPSDevice{Name: "pps0", Run: func(ctx context.Context, edge func(telemetry.At, time.Duration)) error {
				return car.Pulse(ctx, func() { edge(clk.Now(), 0) },
					virtual.PulseOptions{Missing: 0.1, Visible: o.Visible, Wander: 50 * time.Microsecond})
			}}
		}
		return start(r.T, r.cfg, agent.Deps{Clock: clk, Version: "test", Dial: r.broker.Dial, Log: slog.New(slog.DiscardHandler),
			Devices: agent.Devices{GPS: gps, Feed: speedFeed(clk), Simulated: true}}), clk
	}
	a, _ := run()
	time.Sleep(lasts)
	for _, k := range b.kills {
		r.cutPower(a)
		time.Sleep(k.away)
		r.broker.Set(func(f *brokertest.Faults) { f.DialErr = nil })
		back, clk := run()
		a = back
		r.knows(&b, clk)
		time.Sleep(k.runs)
		r.knows(&b, clk)
	}
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

// knows fails unless a unit that was started again knows what time it is.
func (r *healRig) knows(b *healBoot, clk *clock.Clock) {
	r.Helper()
	at := clk.Now()
	if b.leaps > 0 && at < telemetry.At(b.leaps+20*time.Second) {
		return // nobody can
	}
	w := clk.WallAt(at)
	if off := w.Time.Sub(b.truth(at)); w.By != telemetry.AnchorGNSS || off.Abs() > w.Uncertainty+time.Millisecond || w.Uncertainty > b.good(at) {
		r.Errorf("restarted %v into the boot: %+v, %v off", at.Sub(0), w, off)
	}
}

// good is how sure the time has to be after a fix: a suspend costs a second,
// and without further fixes the crystal its share.
func (b *healBoot) good(at telemetry.At) time.Duration {
	limit := time.Second
	if b.pulse {
		limit = 100 * time.Millisecond
	}
	if b.dark > 0 {
		limit += max(0, at.Sub(telemetry.At(b.dark))) / 10_000
	}
	return limit + time.Duration(len(b.Suspends))*time.Second
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
	cutPower(r.T, r.cfg.Buffer.Dir, a)
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
		if b.dark > 0 {
			u -= b.good(c.at) - b.good(0)
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
