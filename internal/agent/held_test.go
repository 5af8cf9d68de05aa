package agent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/internal/config"
	"obu/internal/trip"
	"obu/telemetry"
)

// holdAll has every fix wait for the end of a line, for at most max.
func (r *rig) holdAll(max time.Duration) {
	r.cfg.GPS.Curvelog = &config.Track{MaxError: 1_000_000, MaxTime: config.Duration(max)}
}

// lastFix is the newest fix that arrived.
func (c *cloud) lastFix() telemetry.Fix {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.fixes) == 0 {
		c.t.Fatal("no fix arrived")
	}
	return c.fixes[len(c.fixes)-1]
}

// TestPrivateModeLetsTheHeldFixGo: with gps.curvelog, what was said before
// private mode began leaves when it begins, and not when it ends; nothing that
// was said meanwhile ever does.
func TestPrivateModeLetsTheHeldFixGo(t *testing.T) {
	for name, silent := range map[string]bool{"receiver speaks": false, "receiver fell silent": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "sim-1")
				r.holdAll(5 * time.Minute)
				a := r.start()
				time.Sleep(90 * time.Second)
				if silent {
					r.hush()
				}
				if reply := r.order("1", "private", `{"on":true}`); !reply.OK {
					t.Fatalf("reply %+v", reply)
				}
				began := r.clk.Now()
				time.Sleep(3 * time.Second)
				last := r.cloud.lastFix()
				if age := began.Sub(last.At); age < 0 || !silent && age > 2*time.Second || silent && age > 5*time.Second {
					t.Errorf("the newest fix that came is %v older than private mode", age)
				}
				time.Sleep(time.Minute)
				if reply := r.order("2", "private", `{"on":false}`); !reply.OK {
					t.Fatalf("reply %+v", reply)
				}
				ended := r.clk.Now()
				time.Sleep(time.Minute)
				r.hush()
				a.stop()
				b := r.start()
				await(t, "drain", func() bool { return b.owed() == 0 })
				b.stop()
				for _, f := range r.cloud.fixes {
					if f.At > began && f.At < ended {
						t.Errorf("a fix of private mode came, %v after it began", f.At.Sub(began))
					}
				}
			})
		})
	}
}

// TestHeldFixLeavesInTime: when the receiver says no more, what waits leaves
// after max_time all the same.
func TestHeldFixLeavesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.holdAll(30 * time.Second)
		a := r.start()
		time.Sleep(70 * time.Second)
		r.hush() // the port stays open
		said := r.clk.Now()
		time.Sleep(34 * time.Second)
		if age := said.Sub(r.cloud.lastFix().At); age > 5*time.Second {
			t.Errorf("the newest fix that came was said %v before the receiver fell silent", age)
		}
		a.stop()
	})
}

// cutPower leaves in dir what is there now: what the agent still does is lost.
func cutPower(t *testing.T, dir string, a *running) {
	t.Helper()
	synctest.Wait()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	left := make(map[string][]byte)
	for _, f := range files {
		if left[f], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	a.stop()
	for f, text := range left {
		if err := os.WriteFile(f, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHeldValuesAreListed: what waited in memory for the end of its curve or
// for its turn when the power was cut is in the row of the next start, however
// long it waited and however long nothing was stored before the cut. So is the
// way of a trip of which the state was not written.
func TestHeldValuesAreListed(t *testing.T) {
	const speed = "Vehicle.Speed"
	for name, c := range map[string]struct {
		set   func(r *rig)
		class telemetry.Class
		waits time.Duration // at least, at the cut
		last  func(r *rig) telemetry.At
	}{
		"gps.curvelog alone": {
			func(r *rig) { r.holdAll(time.Minute); r.cfg.CAN, r.deps.Devices.CAN = nil, nil },
			telemetry.ClassTelemetry, 30 * time.Second,
			func(r *rig) telemetry.At { return r.cloud.lastFix().At },
		},
		"gps.curvelog beside a bus": {
			func(r *rig) { r.holdAll(time.Minute) }, telemetry.ClassTelemetry, 30 * time.Second,
			func(r *rig) telemetry.At { return r.cloud.lastFix().At },
		},
		"curvelog of a signal": {
			func(r *rig) {
				r.cfg.Signals = []config.Signal{{Path: speed, Keep: true, Curvelog: &config.Curvelog{MaxError: "500", Buffer: 1000}}}
			}, telemetry.ClassTelemetry, 30 * time.Second,
			func(r *rig) (at telemetry.At) {
				r.cloud.mu.Lock()
				defer r.cloud.mu.Unlock()
				for k, list := range r.cloud.samples {
					if k.Signal == speed {
						at = max(at, list[len(list)-1].At)
					}
				}
				return at
			},
		},
		"trip": {
			func(r *rig) { r.cfg.Trips.Enabled = true }, telemetry.ClassEvent, 30 * time.Second,
			func(r *rig) telemetry.At { // when the state was written last
				var s struct{ Trip trip.Journey }
				raw, err := os.ReadFile(filepath.Join(r.cfg.Buffer.Dir, "trip.json"))
				if err != nil || json.Unmarshal(raw, &s) != nil {
					r.Fatalf("%s, %v", raw, err)
				}
				return s.Trip.Last
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "sim-1")
				c.set(r)
				a := r.start()
				boot := r.clk.Boot()
				time.Sleep(70 * time.Second)
				for r.clk.Now().Sub(c.last(r)) < c.waits {
					time.Sleep(time.Second)
				}
				r.unplugBroker()
				r.broker.Cut()
				waited, cut := c.last(r), r.clk.Now()
				cutPower(t, r.cfg.Buffer.Dir, a)
				r.deps.Clock = clock.Virtual()
				r.plugBroker()
				b := r.start()
				time.Sleep(30 * time.Second)
				b.stop()
				listed := false
				for _, g := range r.cloud.gaps("sim-1") {
					if g.Reason == telemetry.ReasonUncleanStart && g.Boot == boot && g.Class == c.class {
						t.Logf("lost from %v to %v, listed from %v to %v", waited, cut, g.From, g.To)
						listed = listed || g.From <= waited.Add(2*time.Second) && g.To >= cut
						if g.To > cut.Add(2*time.Minute) || g.From < waited.Add(-time.Minute) {
							t.Errorf("the row is wider than anything waits: %v to %v", g.From, g.To)
						}
					}
				}
				if !listed {
					t.Errorf("what was said from %v to %v is lost and not listed", waited, cut)
				}
			})
		})
	}
}
