package uplink

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds and defaults of a session.
const (
	defaultKeepAlive      = 30 * time.Second // a half-open link shows after this plus pingTimeout at the latest
	defaultConnectTimeout = 20 * time.Second // dial, TLS and CONNACK together
	dialTimeout           = 8 * time.Second  // of it for the name and TCP, four SYNs: the shorter, the fewer units stand at the door when a broker is back
	defaultWriteTimeout   = 20 * time.Second // one write into the socket
	defaultMaxInbound     = 1 << 20          // a command or receipt is far smaller; tools raise it
	pingTimeout           = 20 * time.Second
	maxTopic              = 65535     // MQTT 3.1.1 §1.5.3
	maxRemaining          = 1<<28 - 1 // §2.2.3
	overhead              = 16        // fixed header, topic length and packet id, rounded up
)

// Session is one MQTT 3.1.1 connection, from CONNACK to its end. It never
// reconnects: what was not acknowledged when it ends was not delivered. It is
// safe for concurrent use.
//
// It owns two goroutines until it ends: one reads and settles what the broker
// acknowledges, one writes, and pings when nothing else is written. A third
// calls the handlers while there are messages.
type Session struct {
	conn      *mqttConn
	count     *countConn // conn, below TLS
	keepAlive time.Duration
	out       chan *flight  // packets for the writer, in order
	acks      chan uint16   // ids of messages the handlers accepted, for the writer
	inbox     chan inbound  // messages for the handlers
	bye       chan struct{} // closed by Close
	byeOnce   sync.Once
	done      chan struct{}
	written   chan struct{} // closed when the writer has returned: nothing is counted after it

	began       time.Time
	heard       atomic.Int64 // when the reader last was at a packet, in nanoseconds after began
	stuck       atomic.Bool  // the reader waits for a handler and hears nothing
	unwritten   atomic.Int64 // bytes of packets that are queued and not yet in the socket
	dispatching atomic.Bool  // the goroutine that calls the handlers runs

	mu      sync.Mutex
	flights flights
	routes  []route
	err     error // why it ended; set before done is closed
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
	tc, err := c.tlsConfig(e) // before anything is dialled: a missing file needs no network to be found
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	raw, count, err := c.open(ctx, e, tc)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", e.address, c.explain(classify(err, c.Now()), e, tc))
	}
	conn := newMQTTConn(raw, c.MaxInbound, c.WriteTimeout)
	if err := handshake(ctx, conn, connectPacket(&c, e)); err != nil {
		conn.Close()
		if e.tls && endedByPeer(err) {
			// TLS 1.3 judges the client's certificate after the handshake, and the
			// reset that follows may overtake the alert that would say so.
			err = why(ErrClientCert, err)
		}
		return nil, fmt.Errorf("connect to %s: %w", e.address, c.explain(classify(err, c.Now()), e, tc))
	}
	s := &Session{
		conn: conn, count: count, keepAlive: c.KeepAlive, began: time.Now(),
		out: make(chan *flight, outDepth), acks: make(chan uint16, inboundDepth), inbox: make(chan inbound, inboundDepth),
		bye: make(chan struct{}), done: make(chan struct{}), written: make(chan struct{}),
	}
	go s.read()
	go s.write()
	return s, nil
}

// read takes in what the broker sends until the session ends.
func (s *Session) read() {
	for {
		p, err := readPacket(s.conn)
		if err == nil {
			err = s.take(p)
			s.heard.Store(int64(time.Since(s.began)))
		}
		if err != nil {
			s.end(err)
			return
		}
	}
}

// Publish sends payload with QoS 1 and returns nil only when a PUBACK for it
// arrived on this very connection. Any error means: not known to be
// delivered. Payload is copied. Calls made one after another leave in that
// order. They wait while the queue to the socket is full; a socket that takes
// nothing for the write timeout ends the session.
func (s *Session) Publish(ctx context.Context, topic string, retained bool, payload []byte) error {
	p, err := publishPacket(topic, retained, payload)
	if err == nil {
		err = s.ask(ctx, p, &flight{})
	}
	if err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// start is Publish for a caller that cannot wait: it queues the packet, and
// done is called once, from another goroutine, with nil on the PUBACK of this
// connection or with why the session ended. It must not block. When start
// returns an error done is not called.
func (s *Session) start(pk *packet, done func(error)) error {
	p, err := publishPacket(pk.topic, pk.retained, pk.payload)
	if err != nil {
		return err
	}
	f := &flight{done: done, class: pk.class()}
	if err := s.prepare(p, f); err != nil {
		return err
	}
	select {
	case s.out <- f:
		return nil
	default:
		return s.withdraw(f, errQueueFull)
	}
}

// Subscribe asks for filter with QoS 1 and returns after the broker granted
// it. It returns ErrSubscribeDenied when the broker refuses.
func (s *Session) Subscribe(ctx context.Context, filter string, h Handler) error {
	return s.subscribe(ctx, h, filter)
}

// subscribe asks for several filters in one packet.
func (s *Session) subscribe(ctx context.Context, h Handler, filters ...string) error {
	granted, err := s.startSubscribe(ctx, h, filters...)
	if err != nil {
		return err
	}
	return granted(ctx)
}

// startSubscribe queues the packet, before anything that is queued later, and
// returns a function that waits for the answer.
func (s *Session) startSubscribe(ctx context.Context, h Handler, filters ...string) (granted func(context.Context) error, err error) {
	p, err := subscribePacket(filters)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	s.route(h, filters) // before the packet leaves: retained messages may overtake the SUBACK
	f := &flight{subscribe: true}
	wait, err := s.queue(ctx, p, f)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return func(ctx context.Context) error {
		if err := wait(ctx); err != nil {
			return fmt.Errorf("subscribe: %w", err)
		}
		for i, name := range filters {
			if i >= len(f.codes) || f.codes[i] > 2 {
				return fmt.Errorf("subscribe to %s: %w", name, ErrSubscribeDenied)
			}
		}
		return nil
	}, nil
}

// ask queues a packet and waits for its acknowledgement, the end of the
// session or of ctx.
func (s *Session) ask(ctx context.Context, p controlPacket, f *flight) error {
	wait, err := s.queue(ctx, p, f)
	if err != nil {
		return err
	}
	return wait(ctx)
}

// queue hands a packet to the writer and returns what waits for its answer.
func (s *Session) queue(ctx context.Context, p controlPacket, f *flight) (wait func(context.Context) error, err error) {
	answer := make(chan error, 1)
	f.done = func(err error) { answer <- err }
	if err := s.prepare(p, f); err != nil {
		return nil, err
	}
	select {
	case s.out <- f:
	case err := <-answer:
		return nil, err
	case <-ctx.Done():
		if err := s.withdraw(f, ctx.Err()); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		select {
		case err := <-answer:
			return err
		case <-ctx.Done(): // the id stays taken until the broker answers
			return ctx.Err()
		}
	}, nil
}
