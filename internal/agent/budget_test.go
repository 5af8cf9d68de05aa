package agent_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/internal/config"
	"obu/telemetry"
	"obu/uplink/brokertest"
)

// modem is a network of one interface.
type modem struct{ name atomic.Value }

func newModem(name string) *modem {
	m := new(modem)
	m.name.Store(name)
	return m
}

func (m *modem) Interface(net.Addr) string { return m.name.Load().(string) }
func (m *modem) Route(net.Addr) string     { return m.name.Load().(string) }

// figure is the newest value of one of the unit's own signals at the cloud.
func (c *cloud) figure(name string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.health["Vehicle.Obu.Budget."+name]
	if !ok {
		return -1
	}
	if v.Kind() == telemetry.KindBool {
		if v.Bool() {
			return 1
		}
		return 0
	}
	return v.Int()
}

// TestBudgetStepsShowInTheHealth: a unit whose month is too small climbs the
// ladder while it drives; each step is logged, stands in status, and reaches
// the cloud as health over the very link it saves on. The figures at the cloud
// are those of status, and on a free network nothing is held back.
func TestBudgetStepsShowInTheHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		r := newRig(t, "sim-1")
		net := newModem("wwan0")
		r.deps.Network, r.deps.Log = net, log.logger()
		r.cfg.Uplink.Budget.Monthly = config.Size(20_000_000)
		a := r.start()
		var seen []int64
		for range 44 {
			time.Sleep(30 * time.Second)
			if s := r.cloud.figure("Step"); len(seen) == 0 || s != seen[len(seen)-1] {
				seen = append(seen, s)
			}
		}
		s := a.Status().Budget
		t.Logf("steps at the cloud %v, %+v", seen, s)
		if s.Step == 0 || seen[len(seen)-1] != int64(s.Step) || r.cloud.figure("IsMetered") != 1 || r.cloud.figure("Monthly") != 20_000_000 {
			t.Errorf("step %d; at the cloud %v, metered %d, monthly %d", s.Step, seen, r.cloud.figure("IsMetered"), r.cloud.figure("Monthly"))
		}
		if used := r.cloud.figure("Used"); used > s.Used || used < s.Used/2 || s.Interface != "wwan0" || !s.Metered {
			t.Errorf("used %d at the cloud, %+v", used, s)
		}
		if n := strings.Count(log.String(), "data budget: "); n != len(seen)-1 && n != len(seen)-2 {
			t.Errorf("%d steps were logged, %v seen:\n%s", n, seen, log.String())
		}
		net.name.Store("wlan0")
		await(t, "moving to the free network", func() bool { return !a.Status().Budget.Metered })
		time.Sleep(30 * time.Second)
		r.hush()
		await(t, "delivery over the free network", func() bool { return a.owed() == 0 })
		if s := a.Status().Budget; s.Metered || s.DayFree.Telemetry == 0 {
			t.Errorf("%+v", s)
		}
		a.stop()
		r.cloud.equals(r.car.Journal())
	})
}

// TestBudgetOutlivesThePower: what was spent is there after a stop to the
// byte, and after a power cut no less than it was; 1970 begins no month.
func TestBudgetOutlivesThePower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "sim-1")
		r.deps.Network = newModem("wwan0")
		r.cfg.Uplink.Budget.Monthly = config.Size(500_000_000)
		path := filepath.Join(r.cfg.Buffer.Dir, "budget.json")
		a := r.start()
		time.Sleep(3 * time.Minute)
		cut, err := os.ReadFile(path) // what a power cut now would leave
		if err != nil {
			t.Fatal(err)
		}
		spent := a.Status().Budget
		a.stop()
		last := a.Status().Budget
		if last.Starts.IsZero() || last.Used < spent.Used {
			t.Errorf("%+v, then %+v", spent, last)
		}
		again := func() (used int64, margin int64) {
			r.deps.Clock = clock.Virtual(clock.WithWallAt(time.Unix(0, 0)))
			r.deps.Devices.GPS, r.cfg.GPS = nil, nil // nobody tells the time
			r.broker.Set(func(f *brokertest.Faults) { f.DialErr = errRefused })
			b := start(t, r.cfg, r.deps)
			time.Sleep(500 * time.Millisecond)
			s := b.Status().Budget
			b.stop()
			if !s.Starts.Equal(last.Starts) {
				t.Errorf("the month of %v became one of %v", last.Starts, s.Starts)
			}
			return s.Used, s.Margin
		}
		if used, margin := again(); used != last.Used || margin != 0 {
			t.Errorf("after a stop: %d and a margin of %d, before %d", used, margin, last.Used)
		}
		if err := os.WriteFile(path, cut, 0o600); err != nil {
			t.Fatal(err)
		}
		if used, margin := again(); used < spent.Used || margin == 0 || used > spent.Used+margin {
			t.Errorf("after a power cut: %d and a margin of %d, before %d", used, margin, spent.Used)
		}
		var s map[string]any
		if err := json.Unmarshal(cut, &s); err != nil || s["open"] != true {
			t.Errorf("%v %v", s, err)
		}
	})
}
