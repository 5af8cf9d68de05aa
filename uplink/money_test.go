package uplink_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
	"obu/uplink/budget"
)

// ways is a network with a modem, and a free network when it is in reach.
type ways struct{ free atomic.Bool }

func (w *ways) Route(net.Addr) string {
	if w.free.Load() {
		return "wlan0"
	}
	return "wwan0"
}

func (w *ways) Interface(net.Addr) string { return w.Route(nil) }

// atStep opens a book that stands on a step of the ladder.
func atStep(t *testing.T, c budget.Config, step int) *budget.Budget {
	t.Helper()
	b := budget.New(c)
	if err := b.Restore(fmt.Appendf(nil, `{"format":1,"step":%d}`, step)); err != nil {
		t.Fatal(err)
	}
	return b
}

// countedWire counts what crosses each connection, on its own account.
func countedWire(b *brokertest.Broker) *atomic.Int64 {
	n := new(atomic.Int64)
	b.Set(func(f *brokertest.Faults) { f.Wrap = func(c net.Conn) net.Conn { return tapped{c, n} } })
	return n
}

type tapped struct {
	net.Conn
	n *atomic.Int64
}

func (c tapped) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c tapped) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// TestClassesAddUpToTheWire: whatever goes wrong, each byte that crossed the
// socket is counted once, in one class; and the packets of a class count as
// often as they left.
func TestClassesAddUpToTheWire(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 9))
			book := budget.New(budget.Config{})
			g := newRig(t, func(c *uplink.Config) { c.Budget, c.Network, c.AckTimeout = book, new(ways), 10*time.Second })
			wire := countedWire(g.b)
			g.start()
			for i := range 600 {
				g.m.commit(telemetry.ClassTelemetry, g.m.speed(float64(i%200)))
				if i%20 == 0 {
					g.m.commit(telemetry.ClassEvent, g.m.speed(1))
					g.m.commit(telemetry.ClassHealth, g.m.speed(2))
					g.m.commit(telemetry.ClassMedia, chunk(rng, 60_000))
				}
				g.u.Notify()
				if seed > 0 && i%40 == 39 {
					misfortune(rng, g.b)
				}
				time.Sleep(time.Second)
			}
			wrap := g.b // faults end; the tap stays
			wrap.Set(func(f *brokertest.Faults) { w := f.Wrap; *f = brokertest.Faults{Wrap: w} })
			time.Sleep(5 * time.Minute)
			g.stop()
			r, s := book.Report(), g.u.Stats()
			if got, want := r.Month.Total(), wire.Load()+s.WireHeaders; got != want || r.MonthFree.Total() != 0 {
				t.Errorf("counted %d on metered and %d on free links, %d crossed the wire and %d are headers", got, r.MonthFree.Total(), wire.Load(), s.WireHeaders)
			}
			accepted := map[string]int64{}
			for _, m := range g.b.Messages("") {
				n := int64(len(m.Payload) + 2 + len(m.Topic) + 2 + 2)
				for rest := n - 2; rest > 127; rest /= 128 {
					n++
				}
				accepted[m.Topic[len("obu/v1/f1/u1/"):]] += n
			}
			for class, counted := range map[string]int64{"telemetry": r.Month.Telemetry, "event": r.Month.Event, "health": r.Month.Health, "media": r.Month.Media} {
				if counted < accepted[class] || seed == 0 && counted != accepted[class] {
					t.Errorf("%s: counted %d, the broker accepted %d", class, counted, accepted[class])
				}
			}
			t.Logf("%+v", r.Month)
		})
	}
}

// ordinary is a second of a car: ten signals and a position's worth of samples.
func ordinary(g *rig, i int) telemetry.Content {
	var c telemetry.Content
	for n, name := range [...]string{"Vehicle.Speed", "Vehicle.OBD.EngineSpeed", "Vehicle.OBD.EngineLoad", "Vehicle.OBD.CoolantTemperature", "Vehicle.OBD.MAF",
		"Vehicle.OBD.ThrottlePosition", "Vehicle.OBD.FuelLevel", "Vehicle.OBD.MAP", "Vehicle.OBD.IntakeTemp", "Vehicle.OBD.ControlModuleVoltage"} {
		sig, ok := telemetry.Lookup(name)
		if !ok {
			continue
		}
		v := float64(40 + (i/(n+1))%30 + n)
		c.Samples = append(c.Samples, telemetry.Sample{At: g.clk.Now(), Signal: sig,
			Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}, Value: telemetry.Float(v)})
	}
	c.Fixes = []telemetry.Fix{{At: g.clk.Now(), Receiver: "gps", UTC: time.Now().UTC(), LatDeg: 52.52 + float64(i)*1e-4, LonDeg: 13.4 + float64(i%60)*1e-4,
		AltM: 34, SpeedMPS: 13, CourseDeg: 80, HDOP: 0.9, Sats: 11, Valid: true}}
	return c
}

// TestBytesOfEachStep drives an hour on each step of the ladder. Each step
// costs less than half of the one before as far as telemetry goes, the newest
// state leaves as often as the step promises, events leave at once, and what
// was held back arrives over a free network, with nothing missing.
func TestBytesOfEachStep(t *testing.T) {
	var hour []int64
	for step, every := range []time.Duration{time.Second, 10 * time.Second, time.Minute, time.Minute, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			book, net := atStep(t, budget.Config{Monthly: 1 << 40}, step), new(ways)
			g := newRig(t, func(c *uplink.Config) { c.Budget, c.Network = book, net })
			g.start()
			var names, events []telemetry.Name
			for i := range 3600 {
				names = append(names, g.m.commit(telemetry.ClassTelemetry, ordinary(g, i))...)
				if i%60 == 0 {
					g.m.commit(telemetry.ClassHealth, g.m.speed(2))
				}
				if i%600 == 0 {
					events = append(events, g.m.commit(telemetry.ClassEvent, g.m.speed(1))...)
				}
				g.u.Notify()
				time.Sleep(time.Second)
			}
			if late := g.r.missing(events); len(late) > 0 {
				t.Errorf("step %d: events wait: %s", step, span(late))
			}
			var last time.Time
			for _, a := range g.r.arrivals(telemetry.ClassTelemetry) {
				if gap := a.at.Sub(last); !last.IsZero() && gap > every+2*time.Second {
					t.Errorf("step %d: no state for %v", step, gap)
				}
				last = a.at
			}
			u := book.Report().Day
			hour = append(hour, u.Telemetry)
			t.Logf("step %d: an hour costs %d bytes on the wire: %+v", step, u.Total(), u)
			if came := len(names) - len(g.r.missing(names)); step >= 2 && came > 3600/int(every/time.Second)+2 {
				t.Errorf("step %d: %d batches came, want the newest each %v", step, came, every)
			}
			net.free.Store(true)
			for range 600 {
				g.m.commit(telemetry.ClassHealth)
				g.u.Notify()
				time.Sleep(time.Second)
			}
			if lost := g.r.missing(names); len(lost) > 0 {
				t.Errorf("step %d: over the free network these did not come: %s", step, span(lost))
			}
			g.stop()
		})
	}
	for _, pair := range [][2]int{{0, 1}, {1, 2}, {3, 4}} {
		if a, b := hour[pair[0]], hour[pair[1]]; b > a/2 {
			t.Errorf("step %d costs %d bytes an hour, step %d %d", pair[1], b, pair[0], a)
		}
	}
}

// TestMediaWaitsForAFreeNetwork: with media: free, and on the steps without
// media, clips wait while the link costs money. When a free network leads to
// the broker, the unit moves to it by itself and they go.
func TestMediaWaitsForAFreeNetwork(t *testing.T) {
	for name, book := range map[string]func(*testing.T) *budget.Budget{
		"setting": func(t *testing.T) *budget.Budget { return budget.New(budget.Config{MediaFree: true}) },
		"step 3":  func(t *testing.T) *budget.Budget { return atStep(t, budget.Config{Monthly: 1 << 40}, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, net := book(t), new(ways)
				g := newRig(t, func(c *uplink.Config) { c.Budget, c.Network = b, net })
				g.start()
				rng := rand.New(rand.NewPCG(1, 1))
				film := g.m.commit(telemetry.ClassMedia, chunk(rng, 200_000), chunk(rng, 200_000))
				g.drive(300)
				if got := g.r.arrivals(telemetry.ClassMedia); len(got) > 0 {
					t.Fatalf("%d packets of media over a metered link", len(got))
				}
				net.free.Store(true)
				g.drive(60)
				if lost := g.r.missing(film); len(lost) > 0 {
					t.Errorf("over the free network did not come: %s", span(lost))
				}
				if n := len(g.b.Connects()); n != 2 {
					t.Errorf("%d sessions, want one on each network", n)
				}
				if r := b.Report(); r.Metered || r.Interface != "wlan0" || r.DayFree.Media < 400_000 || r.Day.Media != 0 {
					t.Errorf("%+v", r)
				}
				g.stop()
			})
		})
	}
}

// TestFreeNetworkWithoutAWayOut: a free network that does not lead to the
// broker costs nothing: the session over the modem goes on, and no name is sent
// twice when it moves later.
func TestFreeNetworkWithoutAWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, net := budget.New(budget.Config{MediaFree: true}), new(ways)
		g := newRig(t, func(c *uplink.Config) { c.Budget, c.Network = b, net })
		g.start()
		names := g.drive(30)
		g.b.Set(func(f *brokertest.Faults) { f.DialErr = syscall.EHOSTUNREACH })
		net.free.Store(true)
		names = append(names, g.drive(300)...)
		if lost := g.r.missing(names); len(lost) > 0 || len(g.b.Connects()) != 1 {
			t.Errorf("%d sessions, missing %s", len(g.b.Connects()), span(lost))
		}
		g.b.Set(func(f *brokertest.Faults) { f.DialErr = nil })
		names = append(names, g.drive(900)...)
		if lost := g.r.missing(names); len(lost) > 0 || len(g.b.Connects()) != 2 {
			t.Errorf("%d sessions, missing %s", len(g.b.Connects()), span(lost))
		}
		if i := slices.IndexFunc(names, func(n telemetry.Name) bool { return g.r.count(n) > 1 }); i >= 0 {
			t.Errorf("%v came twice", names[i])
		}
		g.stop()
	})
}
