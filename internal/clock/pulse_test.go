package clock_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// pulsing is a receiver with a pulse per second.
type pulsing struct {
	receiver
	behind  time.Duration         // the stamped edge, after the start of the second
	late    time.Duration         // what the clock is told of that
	missing func(second int) bool // nil: none
	wander  time.Duration         // per second: a pulse nobody disciplines
	drifted time.Duration         // what that came to
	novalid bool                  // no fix
	seconds int
}

// second lets one second pass: pulse, then sentences.
func (p *pulsing) second() {
	p.seconds++
	next := time.Now().Truncate(time.Second).Add(time.Second)
	p.drifted += p.wander
	edge := next.Add(p.behind + p.drifted)
	late := 250 * time.Millisecond
	if p.latency != nil {
		late = p.latency()
	}
	speak := next.Add(late)
	pulse := func() {
		time.Sleep(time.Until(edge))
		if p.missing == nil || !p.missing(p.seconds) {
			p.c.Pulse(p.c.Now(), p.late)
		}
	}
	fix := func() {
		time.Sleep(time.Until(speak))
		f := p.fix(next.Add(p.wrong))
		f.Valid = !p.novalid
		p.c.Observe(f)
	}
	if edge.Before(speak) {
		pulse()
		fix()
	} else {
		fix()
		pulse()
	}
}

func (p *pulsing) run(n int) {
	for range n {
		p.second()
	}
}

// TestPulseTellsTheTimeTo10ms: whatever the latency of the sentences, with
// pulses missing and stamps that jitter; the crystal's 50 ppm are followed.
func TestPulseTellsTheTimeTo10ms(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			ppm := rng.Float64()*100 - 50
			start := time.Now()
			c := clock.Virtual(clock.WithOscillator(func(d time.Duration) time.Duration { return d + time.Duration(float64(d)*ppm/1e6) }, nil))
			b := book{}
			p := pulsing{receiver: receiver{c: c, latency: jitter(seed)}, missing: func(int) bool { return rng.IntN(5) == 0 }}
			p.run(60)
			for range 1200 {
				p.second()
				r := c.Wall()
				wantTrue(t, r, time.Now())
				if r.Uncertainty > 100*time.Millisecond {
					t.Fatalf("with a pulse the time is good to %v", r.Uncertainty)
				}
			}
			b.enter(c)
			b.wantTrue(t, func(at telemetry.At) time.Time { return start.Add(time.Duration(float64(at) / (1 + ppm/1e6))) })
			if s := c.Stats(); s.Pulses < 800 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// TestPulseOfUnknownEdge: when nobody knows which edge is stamped, the usual
// 100 ms of a pulse are part of the uncertainty, and the time holds either way.
func TestPulseOfUnknownEdge(t *testing.T) {
	for _, behind := range []time.Duration{0, 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c := clock.Virtual()
			p := pulsing{receiver: receiver{c: c, latency: jitter(1)}, behind: behind, late: 100 * time.Millisecond}
			p.run(60)
			for range 600 {
				p.second()
				r := c.Wall()
				wantTrue(t, r, time.Now())
				if r.Uncertainty > 100*time.Millisecond {
					t.Fatalf("edge %v behind: good to %v", behind, r.Uncertainty)
				}
			}
		})
	}
}

// TestWrongEdgeIsNotBelieved: an edge after which the sentences have come
// already cannot be the start of their second.
func TestWrongEdgeIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, said := logged()
		c := clock.Virtual(clock.WithLog(log))
		p := pulsing{receiver: receiver{c: c, latency: func() time.Duration { return 150 * time.Millisecond }}, behind: 200 * time.Millisecond}
		p.run(1200)
		r := c.Wall()
		wantTrue(t, r, time.Now())
		if r.Uncertainty < 500*time.Millisecond {
			t.Errorf("believed to %v", r.Uncertainty)
		}
		wantLog(t, said, "wrong edge", 1)
	})
}

// TestPulseWithoutAFixIsNotBelieved: many receivers go on pulsing, and drift.
func TestPulseWithoutAFixIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual(clock.WithWallAt(time.Unix(0, 0)))
		p := pulsing{receiver: receiver{c: c}, novalid: true}
		p.run(60)
		if r := c.Wall(); r.By != "" {
			t.Fatalf("a pulse alone told %+v", r)
		}
		p.novalid = false
		p.run(60)
		anchored := c.Stats().Anchors
		p.novalid, p.wander = true, 80*time.Microsecond
		p.run(7200)
		r := c.Wall()
		wantTrue(t, r, time.Now())
		if c.Stats().Anchors != anchored || r.Uncertainty < 500*time.Millisecond {
			t.Errorf("%d anchors without a fix, good to %v", c.Stats().Anchors-anchored, r.Uncertainty)
		}
		p.novalid, p.wander, p.drifted = false, 0, 0
		p.run(120)
		r = c.Wall()
		wantTrue(t, r, time.Now())
		if r.Uncertainty > 50*time.Millisecond {
			t.Errorf("with the fix back good to %v", r.Uncertainty)
		}
	})
}

// TestPulseNotOnceASecondIsNotBelieved: 5 Hz, or noise on the wire.
func TestPulseNotOnceASecondIsNotBelieved(t *testing.T) {
	for _, every := range []time.Duration{200 * time.Millisecond, 1013 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			c := clock.Virtual()
			rx := receiver{c: c}
			for range 60 {
				for range 5 {
					time.Sleep(every / 5)
					c.Pulse(c.Now(), 0)
				}
				rx.epoch()
			}
			if r := c.Wall(); r.Uncertainty < 500*time.Millisecond || c.Stats().Pulses > 20 {
				t.Errorf("every %v: %+v, %+v", every, r, c.Stats())
			}
		})
	}
}

// TestPulseThatMovesIsFollowedLate: a receiver that comes back with another
// phase has to insist for half a minute.
func TestPulseThatMovesIsFollowedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.Virtual()
		p := pulsing{receiver: receiver{c: c}, behind: 60 * time.Millisecond}
		p.run(120)
		if r := c.Wall(); r.Uncertainty > 50*time.Millisecond {
			t.Fatalf("not believed: %+v", r)
		}
		p.behind = 0
		p.run(25)
		if off := time.Until(c.Wall().Time); off.Abs() < 50*time.Millisecond {
			t.Errorf("followed at once: %v", off)
		}
		p.run(15)
		wantTrue(t, c.Wall(), time.Now())
	})
}
