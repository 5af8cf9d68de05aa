package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Bounds and defaults of a session.
const (
	defaultKeepAlive      = 30 * time.Second // a half-open link shows after this plus pingTimeout at the latest
	defaultConnectTimeout = 20 * time.Second // dial, TLS and CONNACK together
	defaultWriteTimeout   = 20 * time.Second // one packet into the socket
	defaultMaxInbound     = 1 << 20          // a command or receipt is far smaller; tools raise it
	pingTimeout           = 20 * time.Second
	disconnectWait        = 250 * time.Millisecond
	handTimeout           = time.Second // for paho to take a packet over; then it is offered again
)

// Session is one MQTT 3.1.1 connection, from CONNACK to its end. It never
// reconnects: what was not acknowledged when it ends was not delivered. It is
// safe for concurrent use.
type Session struct {
	client mqtt.Client
	conn   *mqttConn
	write  time.Duration // write timeout
	done   chan struct{}

	mu  sync.Mutex
	err error // why it ended; set before done is closed
}

// Connect opens a session and returns after CONNACK. Its errors wrap one of
// the package's reasons; HintFor says what to do next. The caller closes the
// session.
func Connect(ctx context.Context, c SessionConfig) (*Session, error) {
	c.defaults()
	e, err := parseBroker(c.Broker)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	raw, err := c.open(ctx, e)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.address, classify(err, c.Now()))
	}
	s := &Session{conn: newMQTTConn(raw, c.MaxInbound, c.WriteTimeout), write: c.WriteTimeout, done: make(chan struct{})}
	s.client = mqtt.NewClient(s.options(&c, e))
	if err := s.handshake(ctx); err != nil {
		if e.tls && endedByPeer(err) {
			// TLS 1.3 judges the client's certificate after the handshake, and the
			// reset that follows may overtake the alert that would say so.
			err = why(ErrClientCert, err)
		}
		return nil, fmt.Errorf("connect to %s: %w", e.address, classify(err, c.Now()))
	}
	return s, nil
}

// options turns everything in paho off that would retry, store or resume:
// retries live in Uplink, custody in the backlog.
func (s *Session) options(c *SessionConfig, e endpoint) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.Servers = []*url.URL{{Scheme: "tcp", Host: e.address}}
	o.SetProtocolVersion(4)
	o.SetClientID(c.ClientID)
	o.SetCleanSession(true)
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetConnectTimeout(c.ConnectTimeout)
	o.SetWriteTimeout(handTimeout) // of a write itself: c.WriteTimeout, see mqttConn
	o.SetKeepAlive(c.KeepAlive)
	o.SetPingTimeout(pingTimeout)
	o.SetOrderMatters(true) // one handler at a time, in order, no goroutine per message
	o.SetStore(nullStore{})
	o.SetUsername(e.user).SetPassword(e.password)
	if c.Username != "" {
		o.SetUsername(c.Username).SetPassword(c.Password)
	}
	if c.WillTopic != "" {
		o.SetBinaryWill(c.WillTopic, c.WillPayload, 1, true)
	}
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return s.conn, nil })
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.end(err) })
	return o
}

func (s *Session) handshake(ctx context.Context) error {
	tok := s.client.Connect()
	select {
	case <-tok.Done():
	case <-ctx.Done():
		s.conn.fail(ctx.Err())
		<-tok.Done()
		if tok.Error() == nil { // it came through in that very moment
			s.Close()
		}
		return ctx.Err()
	}
	code := s.conn.connack.Load()
	if err := connackReason(code); err != nil {
		s.conn.fail(err)
		return err
	}
	if err := tok.Error(); err != nil {
		s.conn.Close()
		return err
	}
	return nil
}

// connackReason maps the return codes of MQTT 3.1.1 §3.2.2.3.
func connackReason(code int32) error {
	switch code {
	case -1, packets.Accepted: // -1: none came, the token says why
		return nil
	case packets.ErrRefusedBadProtocolVersion:
		return ErrProtocolVersion
	case packets.ErrRefusedIDRejected:
		return ErrIDRejected
	case packets.ErrRefusedServerUnavailable:
		return ErrBrokerBusy
	case packets.ErrRefusedBadUsernameOrPassword:
		return ErrBadCredentials
	case packets.ErrRefusedNotAuthorised:
		return ErrNotAuthorised
	}
	return why(ErrNotMQTT, fmt.Errorf("CONNACK with return code %d", code))
}

// Publish sends payload with QoS 1 and returns nil only when a PUBACK for it
// arrived on this very connection. Any error means: not known to be
// delivered. The payload must not change until Publish returns. Calls made
// one after another leave in that order; a full socket blocks for the write
// timeout at most.
func (s *Session) Publish(ctx context.Context, topic string, retained bool, payload []byte) error {
	return s.publish(ctx, topic, retained, payload, nil)
}

// publish calls handed, if given, once paho took the packet: what is
// published after that leaves after it.
func (s *Session) publish(ctx context.Context, topic string, retained bool, payload []byte, handed func()) error {
	tok := s.hand(ctx, func() mqtt.Token { return s.client.Publish(topic, 1, retained, payload) })
	if handed != nil {
		handed()
	}
	return s.await(ctx, tok, "publish to "+topic)
}

// hand offers a packet until paho takes it. While the socket is full nobody
// takes it, and paho does not notice that the session ends meanwhile: hence
// the short time-out and the new offer.
func (s *Session) hand(ctx context.Context, offer func() mqtt.Token) mqtt.Token {
	deadline := time.Now().Add(s.write)
	for {
		tok := offer()
		if !untaken(tok) || s.Err() != nil || ctx.Err() != nil || time.Now().After(deadline) {
			return tok
		}
	}
}

// untaken reports whether paho gave up offering a packet to its writer.
func untaken(tok mqtt.Token) bool {
	select {
	case <-tok.Done():
		err := tok.Error()
		return err != nil && strings.HasSuffix(err.Error(), "was broken by timeout")
	default:
		return false
	}
}

// await waits for a token of this connection. With AutoReconnect off and
// CleanSession on, paho completes a token without error on the broker's
// acknowledgement only, and fails the others before it reports the loss.
func (s *Session) await(ctx context.Context, tok mqtt.Token, what string) error {
	select {
	case <-tok.Done():
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", what, ctx.Err())
	case <-s.done:
		select {
		case <-tok.Done():
		default:
			return fmt.Errorf("%s: %w", what, s.Err())
		}
	}
	if err := tok.Error(); err != nil {
		return fmt.Errorf("%s: %w", what, why(ErrLost, err))
	}
	return nil
}

// Handler is called for each message, one at a time and in order. It must
// return soon and must not call Publish, Subscribe or Close.
type Handler func(topic string, payload []byte, retained bool)

// Subscribe asks for filter with QoS 1 and returns after the broker granted
// it. It returns ErrSubscribeDenied when the broker refuses.
func (s *Session) Subscribe(ctx context.Context, filter string, h Handler) error {
	return s.subscribe(ctx, h, filter)
}

// subscribe asks for several filters in one packet.
func (s *Session) subscribe(ctx context.Context, h Handler, filters ...string) error {
	want := make(map[string]byte, len(filters))
	for _, f := range filters {
		want[f] = 1
	}
	tok := s.hand(ctx, func() mqtt.Token {
		return s.client.SubscribeMultiple(want, func(_ mqtt.Client, m mqtt.Message) {
			h(m.Topic(), m.Payload(), m.Retained())
		})
	})
	if err := s.await(ctx, tok, "subscribe"); err != nil {
		return err
	}
	if st, ok := tok.(*mqtt.SubscribeToken); ok {
		for f, code := range st.Result() {
			if code > 2 {
				return fmt.Errorf("subscribe to %s: %w", f, ErrSubscribeDenied)
			}
		}
	}
	return nil
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the session ended; nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// end records the first cause.
func (s *Session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	if ours := s.conn.abort.Load(); ours != nil {
		err = *ours
	}
	var known *Reason
	switch {
	case err == nil:
		err = ErrLost
	case errors.As(err, &known):
	case endedByPeer(err):
		err = why(ErrEndedByBroker, err)
	default:
		err = why(ErrLost, err)
	}
	s.err = err
	close(s.done)
}

// abort ends the session without DISCONNECT, so that the broker publishes the
// will. Done closes soon after.
func (s *Session) abort(err error) { s.conn.fail(err) }

// Close says DISCONNECT, which discards the will, and ends the session. What
// is in flight fails. It may be called more than once.
func (s *Session) Close() {
	s.client.Disconnect(uint(disconnectWait.Milliseconds()))
	s.end(ErrClosed)
	s.conn.fail(ErrClosed)
}

// nullStore takes the place of paho's message store: the backlog has custody,
// and nothing is ever resumed.
type nullStore struct{}

func (nullStore) Open()                             {}
func (nullStore) Put(string, packets.ControlPacket) {}
func (nullStore) Get(string) packets.ControlPacket  { return nil }
func (nullStore) All() []string                     { return nil }
func (nullStore) Del(string)                        {}
func (nullStore) Close()                            {}
func (nullStore) Reset()                            {}
