package clock_test

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// TestLeapSecondsLearntAfterATunnel: a receiver that did not know the leap
// seconds before a tunnel, says the same after it and then learns them, was
// wrong before the tunnel too.
func TestLeapSecondsLearntAfterATunnel(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			c, truth, b := clock.Virtual(), nominal(), book{}
			time.Sleep(time.Hour) // past the first minute of the month
			rx := receiver{c: c, latency: jitter(seed), wrong: 18 * time.Second}
			rx.epochs(300)
			time.Sleep(40 * time.Second)
			rx.epochs(300)
			rx.wrong = 0
			rx.epochs(700)
			b.enter(c)
			b.wantTrue(t, truth)
			if s := c.Stats(); s.Steps != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// unit is a clock whose process is restarted within a boot: what it remembers
// is all that is left of it.
type unit struct {
	*testing.T
	*clock.Clock
	kept []byte
	opts []clock.Option
}

// keep is its memory's file.
func (u *unit) keep(m *clock.Memory) {
	var err error
	if u.kept, err = json.Marshal(m); err != nil {
		u.Error(err)
	}
}

func newUnit(t *testing.T, opts ...clock.Option) *unit {
	u := &unit{T: t, opts: opts}
	u.Clock = clock.Virtual(append(opts, clock.WithMemory(nil, u.keep))...)
	return u
}

// restart starts it again, in the same boot unless opts say otherwise.
func (u *unit) restart(opts ...clock.Option) {
	m := new(clock.Memory)
	if err := json.Unmarshal(u.kept, m); err != nil {
		u.Error(err)
	}
	all := append([]clock.Option{clock.WithBoot(u.Boot()), clock.StartAt(u.Now()), clock.WithMemory(m, u.keep)}, u.opts...)
	u.Clock = clock.Virtual(append(all, opts...)...)
}

// TestRestartKeepsTheTime: what was known before a restart is known after it,
// by GNSS, by NTP and by a pulse, as surely as the crystal lets it.
func TestRestartKeepsTheTime(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			ntp := seed == 5
			log, said := logged()
			opts := []clock.Option{clock.WithLog(log), clock.WithNTP(func() (time.Duration, bool) { return 20 * time.Millisecond, ntp })}
			if !ntp {
				opts = append(opts, clock.WithWallAt(time.Unix(0, 0)))
			}
			u, truth, b := newUnit(t, opts...), nominal(), book{}
			rx := receiver{c: u.Clock, latency: jitter(seed)}
			if time.Sleep(time.Hour); !ntp {
				rx.epochs(300 + 200*int(seed))
			}
			before := u.Wall()
			b.enter(u.Clock)
			ntp = false
			time.Sleep(time.Minute)
			u.restart()
			time.Sleep(3 * time.Hour)
			after := u.Wall()
			wantTrue(t, after, time.Now())
			if grown := after.Uncertainty - before.Uncertainty; grown > 1100*time.Millisecond || grown < time.Second || after.By != before.By || !after.Trusted {
				t.Errorf("before %+v, after %+v", before, after)
			}
			b.enter(u.Clock)
			b.wantTrue(t, truth)
			wantLog(t, said, "known from before the restart", 1)
			u.restart() // once more, without any news
			wantTrue(t, u.Wall(), time.Now())
			if u.Wall().By != before.By {
				t.Errorf("after two restarts %+v", u.Wall())
			}
			rx = receiver{c: u.Clock, latency: jitter(seed + 100)}
			rx.epochs(700)
			b.enter(u.Clock)
			b.wantTrue(t, truth)
			if r := u.Wall(); r.Uncertainty > time.Second {
				t.Errorf("with a receiver %+v", r)
			}
		})
	}
}

// TestMemoryThatDoesNotFitIsRefused: of another boot, of the future, of no
// source that vouches, of a time that cannot be, before a sleep nobody saw.
func TestMemoryThatDoesNotFitIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(m *clock.Memory) clock.Option{
		"nothing wrong":   func(*clock.Memory) clock.Option { return nil },
		"another boot":    func(*clock.Memory) clock.Option { return clock.WithBoot(telemetry.BootID{1}) },
		"its boot began":  func(*clock.Memory) clock.Option { return clock.StartAt(telemetry.At(time.Minute)) },
		"a negative time": func(m *clock.Memory) clock.Option { m.Anchors[1].At = -1; return nil },
		"a battery's":     func(m *clock.Memory) clock.Option { m.Anchors[1].By = telemetry.AnchorRTC; return nil },
		"no source":       func(m *clock.Memory) clock.Option { m.Anchors[1].By = ""; return nil },
		"unsure":          func(m *clock.Memory) clock.Option { m.Anchors[1].Uncertainty = 2 * time.Hour; return nil },
		"too sure":        func(m *clock.Memory) clock.Option { m.Anchors[1].Uncertainty = 0; return nil },
		"before the floor": func(m *clock.Memory) clock.Option {
			m.Anchors[1].Wall = m.Anchors[1].Wall.AddDate(-1, 0, 0)
			return nil
		},
		"after the ceiling": func(*clock.Memory) clock.Option { return clock.WithCeiling(time.Now()) },
		"one of several":    func(m *clock.Memory) clock.Option { m.Anchors[0].Boot[0]++; return nil },
		"too many": func(m *clock.Memory) clock.Option {
			m.Anchors, m.Unsure = slices.Repeat(m.Anchors, 17), 17
			return nil
		},
		"slept":              func(m *clock.Memory) clock.Option { m.Slept = -time.Second; return nil },
		"slept, so it seems": func(m *clock.Memory) clock.Option { m.Slept = time.Minute; return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Minute)
			u := newUnit(t, clock.WithWallAt(time.Unix(0, 0)))
			time.Sleep(time.Hour)
			(&receiver{c: u.Clock}).epochs(30)
			u.Anchors()
			var m clock.Memory
			if err := json.Unmarshal(u.kept, &m); err != nil || len(m.Anchors) != 2 || m.Unsure != 1 {
				t.Fatalf("kept %s, %v", u.kept, err)
			}
			o := spoil(&m)
			if u.kept, _ = json.Marshal(m); o == nil {
				o = clock.WithFloor(time.Now().Add(-time.Hour))
			}
			u.restart(o)
			r, known := u.Wall(), name == "nothing wrong"
			if anchors := u.Anchors(); known != r.Trusted || known != (len(anchors) == 2) {
				t.Errorf("%s: %+v, %d anchors", name, r, len(anchors))
			}
		})
	}
}

// TestRestartBeginsWithoutPrejudice: a time that a jammer told before a restart
// goes when a receiver contradicts it for long, and one that a receiver confirmed
// after it stays.
func TestRestartBeginsWithoutPrejudice(t *testing.T) {
	for _, wrong := range []time.Duration{time.Hour, -90 * 24 * time.Hour, 15 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(365 * 24 * time.Hour)
			log, said := logged()
			u := newUnit(t, clock.WithWallAt(time.Unix(0, 0)), clock.WithLog(log))
			time.Sleep(time.Hour)
			(&receiver{c: u.Clock, wrong: wrong}).epochs(100)
			u.Anchors()
			u.restart()
			rx := receiver{c: u.Clock}
			rx.epochs(5)
			if off := time.Until(u.Wall().Time) - wrong; off.Abs() > time.Second {
				t.Errorf("five fixes moved the time by %v", off)
			}
			rx.epochs(20)
			wantTrue(t, u.Wall(), time.Now())
			u.Anchors()
			if wrong > time.Minute || wrong < 0 {
				wantLog(t, said, "contradicts the time that was known before the restart", 1)
			}
			u.restart()
			rx = receiver{c: u.Clock}
			rx.epochs(5)
			rx.wrong = wrong
			rx.epochs(200)
			if wrong.Abs() > time.Minute {
				wantTrue(t, u.Wall(), time.Now())
			}
		})
	}
}

// TestLeapSecondsLearntAfterARestart: the anchors of the process before are
// corrected, unless the receiver was restarted beside it and says so from its
// first fix.
func TestLeapSecondsLearntAfterARestart(t *testing.T) {
	for seed := range uint64(6) {
		for _, first := range []time.Duration{18 * time.Second, 0} {
			synctest.Test(t, func(t *testing.T) {
				u, truth, b := newUnit(t), nominal(), book{}
				time.Sleep(time.Hour)
				rx := receiver{c: u.Clock, latency: jitter(seed), wrong: first}
				rx.epochs(650)
				b.enter(u.Clock)
				time.Sleep(time.Duration(seed) * 5 * time.Second)
				u.restart()
				rx = receiver{c: u.Clock, latency: jitter(seed + 50), wrong: 18 * time.Second}
				rx.epochs(200)
				rx.wrong = 0
				rx.epochs(200)
				b.enter(u.Clock)
				b.wantTrue(t, truth)
				wantTrue(t, u.Wall(), time.Now())
			})
		}
	}
}

// TestSuspendIsRemembered: a restart after a sleep that was noticed knows what
// was known before it, less what the sleep cost; after one that was not, nothing.
func TestSuspendIsRemembered(t *testing.T) {
	for _, noticed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			const wrong = 900 * time.Millisecond
			var slept time.Duration
			start := time.Now()
			counts := clock.WithOscillator(func(elapsed time.Duration) time.Duration { return time.Since(start) + slept }, nil)
			u := newUnit(t, counts, clock.WithSuspended(func() time.Duration { return slept }), clock.WithWallAt(time.Unix(0, 0)))
			truth := func() time.Time { // the bubble's time stands still while the machine sleeps
				if slept == 0 {
					return time.Now()
				}
				return time.Now().Add(slept - wrong)
			}
			(&receiver{c: u.Clock}).epochs(100)
			u.Anchors()
			slept = 8*time.Hour + wrong
			if noticed {
				u.Anchors()
			}
			time.Sleep(10 * time.Second)
			u.restart(clock.StartAt(0))
			r := u.Wall()
			if noticed != r.Trusted {
				t.Fatalf("noticed %v: %+v", noticed, r)
			}
			if noticed {
				wantTrue(t, r, truth())
				if r.Uncertainty < 1700*time.Millisecond {
					t.Errorf("after a sleep good to %v", r.Uncertainty)
				}
			}
		})
	}
}
