package uplink_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"obu/uplink"
	"obu/uplink/brokertest"
)

func TestConnectNamesTheReason(t *testing.T) {
	refused := func(code byte) func(*brokertest.Broker) {
		return func(b *brokertest.Broker) { b.Set(func(f *brokertest.Faults) { f.RefuseCode = code }) }
	}
	for _, c := range []struct {
		name string
		set  func(*brokertest.Broker)
		want error
	}{
		{"bad protocol version", refused(packets.ErrRefusedBadProtocolVersion), uplink.ErrProtocolVersion},
		{"id rejected", refused(packets.ErrRefusedIDRejected), uplink.ErrIDRejected},
		{"unavailable", refused(packets.ErrRefusedServerUnavailable), uplink.ErrBrokerBusy},
		{"bad credentials", refused(packets.ErrRefusedBadUsernameOrPassword), uplink.ErrBadCredentials},
		{"not authorised", refused(packets.ErrRefusedNotAuthorised), uplink.ErrNotAuthorised},
		{"a code of the future", refused(77), uplink.ErrNotMQTT},
		{"never answers", func(b *brokertest.Broker) { b.Set(func(f *brokertest.Faults) { f.Stall = true }) }, uplink.ErrTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := brokertest.New()
				c.set(b)
				s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: b.Dial})
				if s != nil || !errors.Is(err, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
				if uplink.HintFor(err) == "" {
					t.Errorf("no hint for %v", err)
				}
				b.Set(func(f *brokertest.Faults) { f.Stall = false })
				b.Close()
			})
		})
	}
}

// answer dials a peer that reads a little and then says text.
func answer(text string) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			server.Read(make([]byte, 1))
			go io.Copy(io.Discard, server)
			io.WriteString(server, text)
			server.Close()
		}()
		return client, nil
	}
}

func TestConnectToWhatIsNoBroker(t *testing.T) {
	portal := "HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n"
	for _, c := range []struct {
		name, broker, says string
		want               error
	}{
		{"captive portal", "mqtt://b", portal, uplink.ErrCaptivePortal},
		{"captive portal under TLS", "mqtts://b", portal, uplink.ErrCaptivePortal},
		{"plain broker under TLS", "mqtts://b", "\x20\x02\x00\x00 and more", uplink.ErrNotTLS},
		{"an SSH server", "mqtt://b", "SSH-2.0-OpenSSH_9.2p1\r\n", uplink.ErrNotMQTT},
		{"hangs up", "mqtt://b", "", uplink.ErrEndedEarly},
		{"hangs up on TLS", "mqtts://b", "", uplink.ErrEndedEarly},
		{"a TLS port", "mqtt://b", "\x15\x03\x01\x00\x02\x02\x46", uplink.ErrTLSPort},
		{"half a CONNACK", "mqtt://b", "\x20", uplink.ErrEndedEarly},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: c.broker, ClientID: "u", Dial: answer(c.says)})
			if !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestConnectNetworkErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	_, err = uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://" + closed, ClientID: "u"})
	if !errors.Is(err, uplink.ErrConnRefused) {
		t.Errorf("closed port: %v", err)
	}
	_, err = uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u",
		Dial: func(context.Context) (net.Conn, error) { return nil, &net.DNSError{Err: "no such host", Name: "b"} }})
	if !errors.Is(err, uplink.ErrNameNotFound) {
		t.Errorf("DNS: %v", err)
	}
	for _, bad := range []string{"", "broker:1883", "http://b", "mqtt://", "ws://b", "mqtt://b:port"} {
		if _, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: bad}); err == nil {
			t.Errorf("broker %q accepted", bad)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := uplink.Connect(ctx, uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u",
		Dial: func(ctx context.Context) (net.Conn, error) { return nil, ctx.Err() }}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestPublishNeedsItsOwnPuback is the trap of paho: no reconnect, no other
// connection and no close may turn an unacknowledged publish into a success.
func TestPublishNeedsItsOwnPuback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New()
		b.Set(func(f *brokertest.Faults) { f.DropPuback = func(brokertest.Message) bool { return true } })
		connect := func() *uplink.Session {
			s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: b.Dial})
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		for name, end := range map[string]func(*uplink.Session){
			"cut by the broker": func(*uplink.Session) { b.Cut() },
			"closed by us":      func(s *uplink.Session) { s.Close() },
			"taken over":        func(*uplink.Session) { connect().Close() },
		} {
			s := connect()
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if err := s.Publish(t.Context(), "x", false, []byte("y")); err == nil {
						t.Errorf("%s: publish without PUBACK reported success", name)
					}
				})
			}
			time.Sleep(time.Second)
			end(s)
			wg.Wait()
			<-s.Done()
			if s.Err() == nil {
				t.Errorf("%s: session ended without a reason", name)
			}
			s.Close()
		}
		b.Close()
	})
}

func TestSubscribeAndWill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New()
		b.Publish("a/r", true, []byte("kept"))
		s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: b.Dial,
			WillTopic: "a/will", WillPayload: []byte("gone")})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := s.Subscribe(t.Context(), "a/+", func(topic string, p []byte, retained bool) {
			got = append(got, topic+"="+string(p)+map[bool]string{true: " retained"}[retained])
		}); err != nil {
			t.Fatal(err)
		}
		b.Publish("a/x", false, []byte("1"))
		b.Publish("b/x", false, []byte("2"))
		synctest.Wait()
		if want := "a/r=kept retained,a/x=1"; strings.Join(got, ",") != want {
			t.Errorf("received %q, want %q", got, want)
		}
		b.Cut()
		<-s.Done()
		if !errors.Is(s.Err(), uplink.ErrEndedByBroker) {
			t.Errorf("ended with %v", s.Err())
		}
		synctest.Wait()
		if m, ok := b.Retained("a/will"); !ok || string(m.Payload) != "gone" {
			t.Errorf("will %q", m.Payload)
		}
		b.Close()
	})
}

func TestInboundPacketIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New()
		s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: b.Dial, MaxInbound: 4096})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Subscribe(t.Context(), "#", func(string, []byte, bool) {}); err != nil {
			t.Fatal(err)
		}
		b.Publish("x", false, make([]byte, 5000))
		<-s.Done()
		if !errors.Is(s.Err(), uplink.ErrInboundTooLarge) {
			t.Errorf("ended with %v", s.Err())
		}
		s.Close()
		b.Close()
	})
}

// TestHalfOpenLinkIsNoticed: nothing comes back and nothing says so.
func TestHalfOpenLinkIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := brokertest.New()
		b.Set(func(f *brokertest.Faults) { f.Link = brokertest.Link{Delay: time.Millisecond} })
		s, err := uplink.Connect(t.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: b.Dial})
		if err != nil {
			t.Fatal(err)
		}
		b.HalfOpen()
		began := time.Now()
		<-s.Done()
		if d := time.Since(began); d > 60*time.Second {
			t.Errorf("noticed after %v", d)
		} else {
			t.Logf("noticed after %v: %v", d, s.Err())
		}
		s.Close()
		b.Close()
	})
}
