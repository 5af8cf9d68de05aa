package uplink_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// newAuditedRig is newRig with the law of custody held between uplink and
// backlog.
func newAuditedRig(t *testing.T, edit func(*uplink.Config)) (*rig, *audit) {
	g := &rig{T: t, clk: clock.Virtual(), b: brokertest.New(), ended: make(chan error, 1)}
	g.m = newModel(g.clk)
	a := newAudit(g.m, g.b)
	g.r = &receiver{t: t, seen: make(map[telemetry.Name]int), chunks: make(map[telemetry.Name]map[uint32]int)}
	g.r.attach(g.b, g.clk, a.took)
	c := config(g.clk, a, g.b)
	if edit != nil {
		edit(&c)
	}
	var err error
	if g.u, err = uplink.New(c); err != nil {
		t.Fatal(err)
	}
	return g, a
}

// settled waits until nothing is held any more, at most for limit.
func (g *rig) settled(limit time.Duration) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(time.Second) {
		g.m.commit(telemetry.ClassTelemetry) // acks take effect with a commit
		if g.m.held(telemetry.ClassTelemetry) == 0 {
			return
		}
	}
}

// fair checks what holds under every fault: all is delivered, nothing was
// acknowledged too early or refused, and copies stay within most per 100.
func (g *rig) fair(a *audit, names []telemetry.Name, most float64) {
	g.Helper()
	for _, v := range a.violations {
		g.Error(v)
	}
	if lost := g.r.missing(names); len(lost) > 0 {
		g.Errorf("not delivered: %s", span(lost))
	}
	if len(g.m.refused) > 0 {
		g.Errorf("refused although the broker takes everything: %v", g.m.refused)
	}
	copies := 0
	for _, n := range names {
		copies += max(g.r.count(n)-1, 0)
	}
	s := g.u.Stats()
	g.Logf("%d batches, %d copies (%.1f %%), %d sessions, failures %v", len(names), copies, 100*float64(copies)/float64(len(names)), s.Connects, s.Failures)
	if got := 100 * float64(copies) / float64(len(names)); got > most {
		g.Errorf("%.1f copies per 100 batches, allowed are %.1f", got, most)
	}
}

var mobile = brokertest.Link{Up: 125_000, Down: 125_000, Delay: 50 * time.Millisecond} // 1 Mbit/s, 100 ms

// TestFaultHalfOpenIdle: the link dies without a word while there is nothing
// to send. The ping that gets no answer ends the session.
func TestFaultHalfOpenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) { f.Link = mobile })
		g.start()
		names := g.drive(5)
		time.Sleep(time.Minute)
		g.b.HalfOpen()
		began := time.Now()
		for g.u.Stats().Failures["lost"] == 0 && time.Since(began) < 5*time.Minute {
			time.Sleep(100 * time.Millisecond)
		}
		t.Logf("noticed after %v: %v", time.Since(began), g.u.Stats().Failures)
		if d := time.Since(began); d > 55*time.Second { // keep-alive 30 s, 20 s for the answer
			t.Errorf("noticed after %v", d)
		}
		names = append(names, g.drive(30)...)
		g.settled(time.Minute)
		g.fair(a, names, 0)
		g.stop()
	})
}

// TestFaultHalfOpenMidDrain: the same in the middle of a backlog. What was in
// flight comes again, and that is at most the window.
func TestFaultHalfOpenMidDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) { f.Link = mobile })
		var names []telemetry.Name
		for range 2000 {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, fat(g, 200))...)
		}
		g.start()
		names = append(names, g.drive(3)...)
		if held := g.m.held(telemetry.ClassTelemetry); held < 500 {
			t.Fatalf("%d batches held: the drain is over before the fault", held)
		}
		g.b.HalfOpen()
		names = append(names, g.drive(60)...)
		g.settled(time.Minute)
		if s := g.u.Stats(); s.Failures["no-puback"]+s.Failures["lost"] != 1 {
			t.Errorf("failures %v", s.Failures)
		}
		g.fair(a, names, 10)
		g.stop()
	})
}

// TestFaultLostPuback: the broker takes a packet and its acknowledgement is
// lost, now and then. The packet comes again over a new session; no other does
// that had its PUBACK.
func TestFaultLostPuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		n := 0
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = mobile
			f.DropPuback = func(m brokertest.Message) bool { n++; return n%100 == 0 }
		})
		g.start()
		names := g.drive(900)
		g.b.Set(func(f *brokertest.Faults) { f.DropPuback = nil })
		g.settled(2 * time.Minute)
		if g.u.Stats().Failures["no-puback"] < 3 {
			t.Errorf("failures %v: the fault did not bite", g.u.Stats().Failures)
		}
		g.fair(a, names, 15)
		g.stop()
	})
}

// TestFaultBrokerDiesBeforePuback: the broker takes a PUBLISH and dies before
// it says so; half the times it did not even take it.
func TestFaultBrokerDiesBeforePuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		rng := rand.New(rand.NewPCG(7, 7))
		var names []telemetry.Name
		for range 3000 {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, fat(g, 100))...)
		}
		g.b.Set(func(f *brokertest.Faults) {
			f.Link = mobile
			f.CutOnPublish = func(brokertest.Message) bool { return rng.IntN(30) == 0 }
			f.CutBefore = func(brokertest.Message) bool { return rng.IntN(30) == 0 }
		})
		g.start()
		names = append(names, g.drive(3600)...)
		g.b.Set(func(f *brokertest.Faults) { f.CutOnPublish, f.CutBefore = nil, nil })
		g.settled(10 * time.Minute)
		if g.u.Stats().Connects < 20 {
			t.Errorf("%d sessions: the fault did not bite", g.u.Stats().Connects)
		}
		g.fair(a, names, 40)
		g.stop()
	})
}

// TestFaultFlapping: an hour in which no session lasts longer than a few
// seconds. Everything gets through all the same, and the newest state does not
// wait for what failed before it.
func TestFaultFlapping(t *testing.T) {
	for _, c := range []struct {
		name     string
		local    bool // the unit's own interface comes and goes; else the broker closes
		sessions int64
		copies   float64
	}{
		{"interface", true, 300, 25},
		{"broker", false, 30, 25},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var up atomic.Bool
				g, a := newAuditedRig(t, func(c *uplink.Config) {
					c.Route = func() string {
						if up.Load() {
							return "10.0.0.1"
						}
						return ""
					}
				})
				up.Store(true)
				var names []telemetry.Name
				for range 2000 {
					names = append(names, g.m.commit(telemetry.ClassTelemetry, fat(g, 100))...)
				}
				g.b.Set(func(f *brokertest.Faults) {
					f.Link = brokertest.Link{Up: 20_000, Down: 20_000, Delay: 50 * time.Millisecond}
				})
				g.start()
				rng := rand.New(rand.NewPCG(3, 1))
				for end := time.Now().Add(time.Hour); time.Now().Before(end); {
					names = append(names, g.drive(2+rng.IntN(4))...)
					time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
					if c.local {
						up.Store(false)
						g.b.Set(func(f *brokertest.Faults) { f.DialErr = &net.OpError{Op: "dial", Err: syscall.ENETUNREACH} })
					}
					g.b.Break()
					names = append(names, g.drive(1+rng.IntN(3))...)
					up.Store(true)
					g.b.Set(func(f *brokertest.Faults) { f.DialErr = nil })
				}
				s := g.u.Stats()
				if s.Connects < c.sessions {
					t.Errorf("%d sessions in an hour", s.Connects)
				}
				if s.Failures["taken-over"] > 0 { // the will of a session that got no CONNACK is the unit's own
					t.Errorf("failures %v", s.Failures)
				}
				if held := g.m.held(telemetry.ClassTelemetry); held > 300 {
					t.Errorf("%d batches still held after an hour: no progress", held)
				}
				names = append(names, g.drive(180)...)
				g.settled(time.Minute)
				g.fair(a, names, c.copies)
				g.stop()
			})
		})
	}
}

// TestFaultTunnel: ten minutes without a route. The unit asks the kernel, not
// the network, and is back within seconds of the way out.
func TestFaultTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var route atomic.Value
		route.Store("10.0.0.1")
		g, a := newAuditedRig(t, func(c *uplink.Config) { c.Route = func() string { return route.Load().(string) } })
		g.b.Set(func(f *brokertest.Faults) { f.Link = mobile })
		g.start()
		names := g.drive(60)
		for _, after := range []string{"10.0.0.1", "10.9.9.9"} { // the same address again, and another one
			g.b.Set(func(f *brokertest.Faults) { f.DialErr = &net.OpError{Op: "dial", Err: syscall.ENETUNREACH} })
			route.Store("")
			g.b.HalfOpen()
			names = append(names, g.drive(600)...)
			before := g.u.Stats().Connects
			route.Store(after)
			g.b.Set(func(f *brokertest.Faults) { f.DialErr = nil })
			began := time.Now()
			for g.u.Stats().Connects == before && time.Since(began) < 5*time.Minute {
				time.Sleep(50 * time.Millisecond)
			}
			t.Logf("back %v after the tunnel", time.Since(began))
			if d := time.Since(began); d > 6*time.Second { // 1 s to see the route, a window of 4 s
				t.Errorf("back %v after the tunnel", d)
			}
		}
		names = append(names, g.drive(60)...)
		g.settled(time.Minute)
		g.fair(a, names, 5)
		g.stop()
	})
}

// TestFaultRouteComesBackWhileWaiting: the unit waits long because nothing
// answered, and then gets another address.
func TestFaultRouteComesBackWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var route atomic.Value
		route.Store("10.0.0.1")
		g, a := newAuditedRig(t, func(c *uplink.Config) { c.Route = func() string { return route.Load().(string) } })
		g.b.Set(func(f *brokertest.Faults) { f.DialErr = &net.OpError{Op: "dial", Err: syscall.ETIMEDOUT} })
		g.start()
		names := g.drive(1200)
		route.Store("10.0.0.2")
		g.b.Set(func(f *brokertest.Faults) { f.DialErr = nil })
		names = append(names, g.drive(6)...)
		if s := g.u.Stats(); s.Connects != 1 {
			t.Errorf("%d sessions 6 s after the unit got another address; %v", s.Connects, s.Failures)
		}
		g.settled(time.Minute)
		g.fair(a, names, 0)
		g.stop()
	})
}

// TestFaultDNS: the broker's name cannot be resolved for five minutes.
func TestFaultDNS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.DialErr = &net.OpError{Op: "dial", Err: &net.DNSError{Err: "server misbehaving", Name: "broker", IsTemporary: true}}
		})
		g.start()
		names := g.drive(300)
		s := g.u.Stats()
		if s.Failures["dns"] < 3 || s.Failures["dns"] > 30 || s.LastHint != uplink.ErrNameNotFound.Hint {
			t.Errorf("failures %v, hint %q", s.Failures, s.LastHint)
		}
		g.b.Set(func(f *brokertest.Faults) { f.DialErr = nil })
		g.settled(5 * time.Minute)
		g.fair(a, names, 0)
		g.stop()
	})
}

// TestFaultPacketTooLarge: the broker closes on packets that are larger than
// it likes. The unit finds its size; nothing is refused, because everything
// can be cut.
func TestFaultPacketTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) {
			f.Link, f.MaxPacket = brokertest.Link{Up: 1_000_000, Delay: 20 * time.Millisecond}, 20_000
		})
		var names []telemetry.Name
		for range 3000 {
			names = append(names, g.m.commit(telemetry.ClassTelemetry, fat(g, 200))...)
		}
		g.start()
		names = append(names, g.drive(3600)...)
		g.settled(10 * time.Minute)
		for _, a := range g.r.arrivals(telemetry.ClassTelemetry) {
			if a.size > 20_000 {
				t.Fatalf("a packet of %d bytes passed a limit of 20,000", a.size)
			}
		}
		g.fair(a, names, 60)
		g.stop()
	})
}

// TestFaultPublishDenied: the ACL drops what it acknowledges. With custody
// receipt nothing is deleted, and the unit says that nobody confirms.
func TestFaultPublishDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, func(c *uplink.Config) { c.Custody = uplink.CustodyReceipt })
		g.b.Set(func(f *brokertest.Faults) { f.Link, f.Swallow = mobile, func(brokertest.Message) bool { return true } })
		g.start()
		names := g.drive(120)
		time.Sleep(time.Second) // the gauges follow with the pump's next turn
		s := g.u.Stats()
		if held := g.m.held(telemetry.ClassTelemetry); held != len(names) {
			t.Errorf("%d of %d batches kept", held, len(names))
		}
		if s.Awaiting != int64(len(names)) || s.Echo != uplink.EchoMissing {
			t.Errorf("reported: %d await a receipt, echo %q", s.Awaiting, s.Echo)
		}
		g.stop()
	})
}

// TestFaultTakenOver: two devices with one client id end each other's session.
// Each says so, and they do it less and less often.
func TestFaultTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, a := newAuditedRig(t, nil)
		g.b.Set(func(f *brokertest.Faults) { f.Link = mobile })
		c := config(g.clk, newModel(g.clk), g.b)
		other, err := uplink.New(c)
		if err != nil {
			t.Fatal(err)
		}
		g.start()
		names := g.drive(30)
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- other.Run(ctx) }()
		connects := func() int64 { return g.u.Stats().Connects + other.Stats().Connects }
		names = append(names, g.drive(3600)...)
		first := connects()
		names = append(names, g.drive(3600)...)
		second := connects() - first
		t.Logf("%d sessions of both in the first hour, %d in the second; %v and %v", first, second, g.u.Stats().Failures, other.Stats().Failures)
		for _, u := range []*uplink.Uplink{g.u, other} {
			if s := u.Stats(); s.Failures["taken-over"] == 0 || s.Failures["ended-by-broker"] > 2 {
				t.Errorf("failures %v", s.Failures)
			}
		}
		if second > 20 {
			t.Errorf("%d sessions in the second hour", second)
		}
		g.settled(time.Hour)
		g.fair(a, names, 5)
		cancel()
		<-ended
		g.stop()
	})
}

// TestFaultStaleWillIsNoRival: the unit's own earlier sessions, of this run and
// of the one before, are not taken for another device.
func TestFaultStaleWillIsNoRival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _ := newAuditedRig(t, nil)
		g.b.Publish("obu/v1/f1/u1/link", true, []byte(`{"state":"offline","reason":"lost","session":"0123456789abcdef"}`))
		g.b.Set(func(f *brokertest.Faults) { f.Link = mobile })
		g.start()
		for range 10 {
			g.drive(200)
			g.b.Cut()
		}
		g.drive(200)
		if s := g.u.Stats(); s.Failures["taken-over"] > 0 || s.Failures["ended-by-broker"] != 10 {
			t.Errorf("failures %v", s.Failures)
		}
		g.stop()
	})
}

// TestFaultUnitsComeBackSpread is TestReconnectWave with the units themselves:
// 200 of them lose their broker, which is back at once.
func TestFaultUnitsComeBackSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const units = 200
		b := brokertest.New()
		b.Forget()
		ended := make(chan error, units)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range units {
			clk := clock.Virtual()
			c := config(clk, newModel(clk), b)
			c.Unit = fmt.Sprint("unit-", i)
			u, err := uplink.New(c)
			if err != nil {
				t.Fatal(err)
			}
			go func() { ended <- u.Run(ctx) }()
		}
		time.Sleep(5 * time.Minute)
		b.Cut()
		cut := time.Now()
		time.Sleep(3 * time.Minute)
		curve := make(map[int]int)
		peak, back := 0, 0
		for _, at := range b.ConnectTimes() {
			if at.After(cut) {
				s := int(at.Sub(cut) / time.Second)
				curve[s]++
				peak, back = max(peak, curve[s]), back+1
			}
		}
		t.Logf("%d units back, at most %d in a second", back, peak)
		if back != units || peak > units/10 { // the even share is 3 a second
			t.Errorf("%d of %d units back, %d in one second", back, units, peak)
		}
		cancel()
		for range units {
			<-ended
		}
		b.Close()
	})
}
