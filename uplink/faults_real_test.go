package uplink_test

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// until waits for a condition, at most a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("not within a minute: %s", what)
			return
		}
	}
}

// newRealRig is a unit that dials for itself.
func newRealRig(t *testing.T, broker string, edit func(*uplink.Config)) *rig {
	clk := clock.Virtual()
	g := &rig{T: t, clk: clk, m: newModel(clk), b: brokertest.New(), ended: make(chan error, 1)}
	c := uplink.Config{Broker: broker, Fleet: "f1", Unit: "u1", Clock: clk, Backlog: g.m, HistoryRate: uplink.Unlimited,
		BackoffMin: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond}
	if edit != nil {
		edit(&c)
	}
	var err error
	if g.u, err = uplink.New(c); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *rig) fails(word string) func() bool {
	return func() bool { return g.u.Stats().Failures[word] > 0 }
}

// awaiting asks for fresh gauges, which come at most once a second.
func (g *rig) awaiting() int64 {
	g.u.Notify()
	return g.u.Stats().Awaiting
}

func (g *rig) drained() bool {
	g.m.commit(telemetry.ClassTelemetry)
	return g.m.held(telemetry.ClassTelemetry) == 0
}

// TestFaultCaptivePortal: a web server answers on the broker's plain port, then
// somebody logs in and the broker answers.
func TestFaultCaptivePortal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	var portal sync.WaitGroup
	portal.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 1024))
			_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\nConnection: close\r\n\r\n")
			c.Close()
		}
	})
	g := newRealRig(t, "mqtt://"+address, nil)
	g.m.commit(telemetry.ClassTelemetry, g.m.speed(1), g.m.speed(2))
	g.start()
	until(t, "reason captive-portal", g.fails("captive-portal"))
	secure := newRealRig(t, "mqtts://"+address, nil).start()
	until(t, "reason captive-portal under TLS", secure.fails("captive-portal"))
	secure.stop()
	l.Close()
	portal.Wait()
	if l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	go func() { _ = g.b.Serve(l) }()
	until(t, "delivered after the login", g.drained)
	l.Close()
	g.stop()
}

// TestFaultCertificateAndClock: the unit's clock is wrong, so the broker's
// certificate has expired or is not valid yet. It verifies all the same, says
// why, and connects when a fix has put the clock right.
func TestFaultCertificateAndClock(t *testing.T) {
	ca := newAuthority(t, "fleet-ca")
	certFile, keyFile := ca.issue("broker", -time.Hour, time.Hour)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, word, hint string
		off              time.Duration
	}{
		{"1970", "cert-not-yet-valid", uplink.ErrCertNotYetValid.Hint, -50 * 365 * 24 * time.Hour},
		{"years ahead", "cert-expired", uplink.ErrCertExpired.Hint, 3 * 365 * 24 * time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
			if err != nil {
				t.Fatal(err)
			}
			var off atomic.Int64
			off.Store(int64(c.off))
			g := newRealRig(t, "mqtts://"+l.Addr().String(), func(u *uplink.Config) {
				u.TLS = uplink.TLS{CAFile: ca.file}
				u.Now = func() time.Time { return time.Now().Add(time.Duration(off.Load())) }
			})
			go func() { _ = g.b.Serve(l) }()
			g.m.commit(telemetry.ClassTelemetry, g.m.speed(1))
			g.start()
			until(t, "reason "+c.word, g.fails(c.word))
			if s := g.u.Stats(); s.LastHint != c.hint || s.Connects != 0 {
				t.Errorf("hint %q, %d sessions", s.LastHint, s.Connects)
			}
			off.Store(0) // a fix
			until(t, "delivered with the right time", g.drained)
			l.Close()
			g.stop()
		})
	}
}

// TestFaultMosquittoMessageSizeLimit: mosquitto's message_size_limit
// acknowledges what it drops (max_packet_size hangs up instead). With receipts
// nothing of it is deleted.
func TestFaultMosquittoMessageSizeLimit(t *testing.T) {
	address := mosquitto(t, "allow_anonymous true", "message_size_limit 2000")
	g := newRealRig(t, "mqtt://"+address, func(c *uplink.Config) { c.Custody = uplink.CustodyReceipt })
	names := g.m.commit(telemetry.ClassTelemetry, fat(g, 4000))
	g.start()
	until(t, "awaiting a receipt", func() bool { return g.awaiting() > 0 })
	g.m.commit(telemetry.ClassTelemetry)
	if held := g.m.held(telemetry.ClassTelemetry); held != len(names) {
		t.Errorf("%d of %d batches kept", held, len(names))
	}
	g.stop()
}

// TestFaultMosquittoPublishDenied: mosquitto's ACL lets the unit write link and
// nothing else. It acknowledges all; with receipts all is kept.
func TestFaultMosquittoPublishDenied(t *testing.T) {
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte("topic readwrite obu/v1/f1/u1/link\ntopic read obu/v1/#\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	address := mosquitto(t, "allow_anonymous true", "acl_file "+acl)
	watch, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://" + address, ClientID: "watch"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	var data atomic.Int64
	if err := watch.Subscribe(t.Context(), "obu/v1/f1/u1/telemetry", func(string, []byte, bool) { data.Add(1) }); err != nil {
		t.Fatal(err)
	}
	g := newRealRig(t, "mqtt://"+address, func(c *uplink.Config) { c.Custody = uplink.CustodyReceipt })
	names := g.m.commit(telemetry.ClassTelemetry, g.m.speed(1), g.m.speed(2), g.m.speed(3))
	g.start()
	until(t, "acknowledged", func() bool { return g.awaiting() == int64(len(names)) })
	g.m.commit(telemetry.ClassTelemetry)
	if held := g.m.held(telemetry.ClassTelemetry); held != len(names) || data.Load() != 0 {
		t.Errorf("%d of %d batches kept, %d messages came through the ACL", held, len(names), data.Load())
	}
	g.stop()
}

// TestFaultMosquittoTakenOver: the same client id twice, at a real broker.
func TestFaultMosquittoTakenOver(t *testing.T) {
	address := mosquitto(t, "allow_anonymous true")
	one, two := newRealRig(t, "mqtt://"+address, nil), newRealRig(t, "mqtt://"+address, nil)
	one.start()
	until(t, "the first connects", func() bool { return one.u.Stats().Connects > 0 })
	two.start()
	until(t, "the first names it", one.fails("taken-over"))
	until(t, "the second names it", two.fails("taken-over"))
	two.stop()
	one.stop()
}
