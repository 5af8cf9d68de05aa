package uplink_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/internal/clock"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// logged collects what is said to the technician.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

const notDelivered = "acknowledges but does not deliver"

// TestBrokerThatAcknowledgesAndDrops: an ACL forbids the unit's topics, and the
// broker says yes to everything. The unit notices by its own link message.
func TestBrokerThatAcknowledgesAndDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said logged
		g := newRig(t, func(c *uplink.Config) { c.Log = said.logger() })
		g.b.Set(func(f *brokertest.Faults) { f.Swallow = func(brokertest.Message) bool { return true } })
		g.start()
		time.Sleep(2 * time.Second)
		if e := g.u.Stats().Echo; e != uplink.EchoPending {
			t.Errorf("echo %q at first", e)
		}
		names := g.drive(30)
		if e := g.u.Stats().Echo; e != uplink.EchoMissing {
			t.Errorf("echo %q", e)
		}
		if n := said.count(notDelivered); n != 1 || said.count("topic readwrite obu/v1/f1/u1/#") != 1 {
			t.Errorf("said %d times:\n%s", n, said.b.String())
		}
		if lost := g.r.missing(names); len(lost) > 0 {
			t.Errorf("not sent: %s", span(lost))
		}
		g.b.Cut() // the next session finds the same, and does not say it again
		time.Sleep(time.Minute)
		if e := g.u.Stats().Echo; e != uplink.EchoMissing || said.count(notDelivered) != 1 {
			t.Errorf("echo %q after a new session, said %d times", e, said.count(notDelivered))
		}
		g.b.Set(func(f *brokertest.Faults) { f.Swallow = nil }) // the ACL is put right
		time.Sleep(11 * time.Minute)
		if e := g.u.Stats().Echo; e != uplink.EchoSeen || said.count("the broker delivers") != 1 {
			t.Errorf("echo %q after the ACL was put right", e)
		}
		g.stop()
	})
}

// TestEchoOfAHealthyBroker costs nothing: link is published once.
func TestEchoOfAHealthyBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t, nil).start()
		time.Sleep(time.Minute)
		if e, n := g.u.Stats().Echo, len(g.b.Messages("/link")); e != uplink.EchoSeen || n != 1 {
			t.Errorf("echo %q after %d link messages", e, n)
		}
		g.stop()
	})
}

// TestEchoOfABrokerThatRetainsNothing: link left before the subscription
// stood, so only the second one comes back.
func TestEchoOfABrokerThatRetainsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said logged
		g := newRig(t, func(c *uplink.Config) { c.Log = said.logger() })
		first := true
		g.b.Set(func(f *brokertest.Faults) {
			f.Swallow = func(m brokertest.Message) bool {
				lost := first && strings.HasSuffix(m.Topic, "/link")
				first = first && !lost
				return lost
			}
		})
		g.start()
		time.Sleep(time.Minute)
		if e, n := g.u.Stats().Echo, len(g.b.Messages("/link")); e != uplink.EchoSeen || n != 2 {
			t.Errorf("echo %q after %d link messages", e, n)
		}
		if said.count(notDelivered) != 0 {
			t.Errorf("said\n%s", said.b.String())
		}
		g.stop()
	})
}

// TestMosquittoACLThatDrops: the real broker grants the subscription,
// acknowledges every publish and delivers none of them.
func TestMosquittoACLThatDrops(t *testing.T) {
	t.Parallel() // it waits most of the time
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte("topic readwrite obu/v1/another/#\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := mosquitto(t, "allow_anonymous true", "acl_file "+acl)
	clk := clock.Virtual()
	m, _ := backlog(clk, 10)
	var said logged
	u, err := uplink.New(uplink.Config{Broker: "mqtt://" + address, Fleet: "f1", Unit: "u1", Clock: clk, Backlog: m, Log: said.logger()})
	if err != nil {
		t.Fatal(err)
	}
	g := (&rig{T: t, m: m, b: brokertest.New(), u: u, ended: make(chan error, 1)}).start()
	for deadline := time.Now().Add(time.Minute); u.Stats().Echo != uplink.EchoMissing; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("echo %q: %+v", u.Stats().Echo, u.Stats())
		}
	}
	if s := u.Stats(); s.AckedBatches == 0 || said.count(notDelivered) != 1 {
		t.Errorf("%d batches acknowledged, said\n%s", s.AckedBatches, said.b.String())
	}
	g.stop()
}
