package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"obu/uplink"
	"obu/uplink/brokertest"
)

// peer is a broker written out by hand, packet by packet.
type peer struct {
	*testing.T
	net.Conn
}

// meet connects a session to a peer that has sent its CONNACK.
func meet(t *testing.T, edit func(*uplink.SessionConfig)) (*uplink.Session, *peer) {
	client, server := net.Pipe()
	p := &peer{t, server}
	c := uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: func(context.Context) (net.Conn, error) { return client, nil }}
	if edit != nil {
		edit(&c)
	}
	go func() {
		p.read()
		p.say("\x20\x02\x00\x00")
	}()
	s, err := uplink.Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return s, p
}

// read returns the next packet, nil at the end.
func (p *peer) read() packets.ControlPacket {
	cp, err := packets.ReadPacket(p.Conn)
	if err != nil {
		return nil
	}
	return cp
}

func (p *peer) say(bytes string) { io.WriteString(p.Conn, bytes) }

func (p *peer) puback(id uint16) { p.say("\x40\x02" + string([]byte{byte(id >> 8), byte(id)})) }

// TestPubackCountsOnce: a second PUBACK, and one for a packet that has not
// left yet, settle nothing.
func TestPubackCountsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := meet(t, nil)
		go func() {
			first := p.read().(*packets.PublishPacket).MessageID
			for range 2 {
				p.puback(first)
			}
			time.Sleep(100 * time.Millisecond) // the next fill the socket and the queue
			for id := range uint16(10) {
				if id != 1 { // that one the writer has begun
					p.puback(first + id)
				}
			}
			for p.read() != nil {
			}
		}()
		if err := s.Publish(t.Context(), "x", false, []byte("1")); err != nil {
			t.Errorf("first: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error)
		for range 5 {
			go func() { ended <- s.Publish(ctx, "x", false, []byte("2")) }()
			synctest.Wait()
		}
		for range 5 {
			if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a PUBACK from before it left: %v", err)
			}
		}
		s.Close()
	})
}

// TestMalformedPacketsEndTheSession: what no broker may say is named as such,
// never taken for a lost link, and never crashes the decoder.
func TestMalformedPacketsEndTheSession(t *testing.T) {
	for name, bytes := range map[string]string{
		"PUBACK without id":        "\x40\x00",
		"PUBACK with half an id":   "\x40\x01\x00",
		"PUBACK with too much":     "\x40\x03\x00\x01\x00",
		"SUBACK without id":        "\x90\x00",
		"PUBLISH without topic":    "\x30\x00",
		"PUBLISH with cut topic":   "\x30\x04\x00\x09ab",
		"PUBLISH without id":       "\x32\x03\x00\x01x",
		"PUBLISH of QoS 2":         "\x34\x05\x00\x01x\x00\x01",
		"second CONNACK":           "\x20\x02\x00\x00",
		"CONNECT":                  "\x10\x00",
		"SUBSCRIBE":                "\x82\x06\x00\x01\x00\xffx\x01",
		"UNSUBSCRIBE":              "\xa2\x05\x00\x01\x00\xffx",
		"PUBREL":                   "\x62\x02\x00\x01",
		"packet type 0":            "\x00\x00",
		"packet type 15":           "\xf0\x00",
		"length of five bytes":     "\x30\x80\x80\x80\x80\x01",
		"length of nothing, often": "\x30\x80\x80\x80\x00",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := meet(t, nil)
				go p.say(bytes)
				<-s.Done()
				if !errors.Is(s.Err(), uplink.ErrNotMQTT) || errors.Is(s.Err(), uplink.ErrEndedByBroker) {
					t.Errorf("ended with %v, want %v", s.Err(), uplink.ErrNotMQTT)
				}
				if err := s.Publish(t.Context(), "x", false, nil); !errors.Is(err, uplink.ErrNotMQTT) {
					t.Errorf("publish after the end: %v", err)
				}
				s.Close()
			})
		})
	}
}

func TestSubscribeNeedsItsSuback(t *testing.T) {
	for codes, want := range map[string]error{"\x80": uplink.ErrSubscribeDenied, "": uplink.ErrSubscribeDenied, "\x01": nil} {
		t.Run(fmt.Sprintf("%q", codes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := meet(t, nil)
				go func() {
					id := p.read().(*packets.SubscribePacket).MessageID
					p.puback(id) // settles no SUBSCRIBE
					p.say("\x90" + string([]byte{byte(2 + len(codes)), byte(id >> 8), byte(id)}) + codes)
					for p.read() != nil {
					}
				}()
				err := s.Subscribe(t.Context(), "x", func(string, []byte, bool) {})
				if !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
				s.Close()
			})
		})
	}
}

// TestKeepAlive: while other packets leave nothing pings; a quiet session is
// never silent for longer than the keep-alive time.
func TestKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keep = 10 * time.Second
		s, p := meet(t, func(c *uplink.SessionConfig) { c.KeepAlive = keep })
		var pings atomic.Int32
		var worst atomic.Int64
		go func() {
			for last := time.Now(); ; last = time.Now() {
				cp := p.read()
				worst.Store(max(worst.Load(), int64(time.Since(last))))
				switch cp := cp.(type) {
				case *packets.PublishPacket:
					p.puback(cp.MessageID)
				case *packets.PingreqPacket:
					pings.Add(1)
					p.say("\xd0\x00")
				case nil:
					return
				}
			}
		}()
		for range 60 {
			if err := s.Publish(t.Context(), "x", false, nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := pings.Load(); n != 0 {
			t.Errorf("%d pings beside a packet each second", n)
		}
		time.Sleep(time.Hour)
		if n := pings.Load(); n < 359 || n > 361 {
			t.Errorf("%d pings in a quiet hour, want 360", n)
		}
		if d := time.Duration(worst.Load()); d > keep {
			t.Errorf("silent for %v", d)
		}
		if s.Err() != nil {
			t.Errorf("ended with %v", s.Err())
		}
		s.Close()
	})
}

// TestSlowHandlerKeepsTheSession: whoever reads slowly is waited for; messages
// stay in order, and each is acknowledged only after its handler returned.
func TestSlowHandlerKeepsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New()
		s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: b.Dial})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := s.Subscribe(t.Context(), "a/#", func(_ string, p []byte, _ bool) {
			time.Sleep(5 * time.Minute)
			got = append(got, string(p))
		}); err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 40 {
			b.Publish("a/b", false, fmt.Append(nil, i))
			want = append(want, fmt.Sprint(i))
		}
		time.Sleep(41 * 5 * time.Minute)
		synctest.Wait()
		if s.Err() != nil {
			t.Errorf("ended with %v", s.Err())
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("handled %v", got)
		}
		s.Close()
		b.Close()
	})
}

func TestMessageIsAcknowledgedAfterItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := meet(t, nil)
		said := make(chan packets.ControlPacket)
		go func() {
			id := p.read().(*packets.SubscribePacket).MessageID
			p.say("\x90\x03" + string([]byte{byte(id >> 8), byte(id), 1}))
			p.say("\x32\x05\x00\x01x\x12\x34")
			for {
				cp := p.read()
				if cp == nil {
					return
				}
				said <- cp
			}
		}()
		let := make(chan struct{})
		if err := s.Subscribe(t.Context(), "x", func(string, []byte, bool) { <-let }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case cp := <-said:
			t.Errorf("%v while the handler runs", cp)
		default:
		}
		close(let)
		if ack, ok := (<-said).(*packets.PubackPacket); !ok || ack.MessageID != 0x1234 {
			t.Errorf("%v, want PUBACK 0x1234", ack)
		}
		go func() { <-said }() // DISCONNECT
		s.Close()
	})
}

// TestFullSocketEndsTheSession: nobody reads. Publish returns with its ctx,
// the session ends after the write timeout, and nobody is told of success.
func TestFullSocketEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := meet(t, func(c *uplink.SessionConfig) { c.WriteTimeout = 7 * time.Second })
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began := time.Now()
		ended := make(chan error)
		for i := range 200 { // more than the queue holds
			ctx := ctx
			if i%2 == 0 {
				ctx = t.Context()
			}
			go func() { ended <- s.Publish(ctx, "x", false, []byte("y")) }()
		}
		for i := range 200 {
			err := <-ended
			switch d := time.Since(began); {
			case i < 100 && (!errors.Is(err, context.DeadlineExceeded) || d != 2*time.Second):
				t.Fatalf("after %v: %v", d, err)
			case i >= 100 && (!errors.Is(err, uplink.ErrLost) || d != 7*time.Second):
				t.Fatalf("after %v: %v", d, err)
			}
		}
		s.Close()
	})
}

// TestPayloadMayChangeAfterPublish: what was given up on may still be queued.
func TestPayloadMayChangeAfterPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := meet(t, nil)
		for range 2 { // one in the socket, one in the queue
			payload := []byte("as it was")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			s.Publish(ctx, "x", false, payload)
			cancel()
			copy(payload, "scratched")
		}
		for range 2 {
			if got := p.read().(*packets.PublishPacket).Payload; string(got) != "as it was" {
				t.Errorf("sent %q", got)
			}
		}
		go io.Copy(io.Discard, p)
		s.Close()
	})
}

// countedConn counts writes.
type countedConn struct {
	net.Conn
	writes *atomic.Int32
}

func (c countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// TestBurstIsOneWrite: what piles up while the socket is busy leaves together.
func TestBurstIsOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var writes atomic.Int32
		s, p := meet(t, func(c *uplink.SessionConfig) {
			dial := c.Dial
			c.Dial = func(ctx context.Context) (net.Conn, error) {
				nc, err := dial(ctx)
				return countedConn{nc, &writes}, err
			}
		})
		before := writes.Load()
		ended := make(chan error)
		for range 33 {
			go func() { ended <- s.Publish(t.Context(), "topic", false, []byte("a small payload")) }()
		}
		synctest.Wait()
		go func() {
			for {
				cp, ok := p.read().(*packets.PublishPacket)
				if !ok {
					return
				}
				p.puback(cp.MessageID)
			}
		}()
		for range 33 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		if n := writes.Load() - before; n > 2 {
			t.Errorf("%d writes for 33 packets, want 2", n)
		}
		s.Close()
	})
}

// TestCloseSaysDisconnect: the will is discarded, and the peer hangs up first.
func TestCloseSaysDisconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := meet(t, nil)
		go s.Close()
		if _, ok := p.read().(*packets.DisconnectPacket); !ok {
			t.Error("no DISCONNECT")
		}
		p.Close()
		<-s.Done()
		if !errors.Is(s.Err(), uplink.ErrClosed) {
			t.Errorf("ended with %v", s.Err())
		}
		s.Close()
	})
}
