// Package brokertest is a small MQTT 3.1.1 broker for tests, with faults: it
// drops PUBACKs, stalls, cuts connections at chosen moments, refuses CONNECTs
// and closes the connection on packets that are too large. It runs over
// net.Pipe (Dial), so that it works inside a testing/synctest bubble, or over
// any net.Listener (Serve). It knows QoS 0 and 1, retained messages, wills and
// wildcards; it keeps no session and persists nothing.
//
// Link puts a slow wire with delay between a unit and the broker. The broker
// owns its goroutines: Close waits for them.
package brokertest

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Message is one PUBLISH as the broker read it.
type Message struct {
	Topic    string
	Payload  []byte
	Retained bool
	Client   string
	Conn     int       // number of the connection, from 1
	At       time.Time // when it was read
	Acked    bool      // a PUBACK was sent for it
	ID       uint16
	Will     bool
}

// Faults says what goes wrong. The zero value is a healthy broker.
type Faults struct {
	RefuseCode   byte                      // CONNACK with this return code
	DropPuback   func(m Message) bool      // true: no PUBACK for m
	CutOnPublish func(m Message) bool      // true: close instead of PUBACK; m was accepted
	CutBefore    func(m Message) bool      // true: close, m was not accepted
	Swallow      func(m Message) bool      // true: PUBACK, but no subscriber gets it, as mosquitto's ACL does; it is recorded
	DupPuback    bool                      // every PUBACK twice
	MaxPacket    int                       // close the connection on larger packets; 0: no limit
	Stall        bool                      // stop reading, keep the connections
	AckDelay     time.Duration             // before each PUBACK
	DialErr      error                     // Dial fails
	Wrap         func(c net.Conn) net.Conn // around the unit's end of each dialled connection
	Link         Link                      // wire of each dialled connection
}

// Broker is the broker.
type Broker struct {
	mu       sync.Mutex
	faults   Faults
	changed  *sync.Cond // faults or closed changed
	conns    map[*conn]bool
	retained map[string]Message
	log      []Message
	keep     func(Message) bool
	on       func(Message)
	connects []string    // client ids of accepted CONNECTs
	times    []time.Time // of the same
	tried    int
	wires    map[*wire]bool
	closed   bool
	wg       sync.WaitGroup
}

// New returns a healthy broker.
func New() *Broker {
	b := &Broker{conns: make(map[*conn]bool), retained: make(map[string]Message), wires: make(map[*wire]bool)}
	b.changed = sync.NewCond(&b.mu)
	return b
}

// Set changes the faults.
func (b *Broker) Set(f func(*Faults)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.faults)
	b.changed.Broadcast()
}

// OnMessage calls f for every accepted message, in order, from the
// connection's goroutine.
func (b *Broker) OnMessage(f func(Message)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.on = f
}

// Forget stops the broker from recording messages: long tests use OnMessage.
func (b *Broker) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keep = func(Message) bool { return false }
}

// Messages returns what was accepted so far, of topics with this suffix.
func (b *Broker) Messages(suffix string) []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Message
	for _, m := range b.log {
		if strings.HasSuffix(m.Topic, suffix) {
			out = append(out, m)
		}
	}
	return out
}

// Retained returns the retained message of topic.
func (b *Broker) Retained(topic string) (Message, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, ok := b.retained[topic]
	return m, ok
}

// Connects returns the client ids of accepted CONNECTs, in order.
func (b *Broker) Connects() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.connects...)
}

// ConnectTimes returns when each CONNECT was accepted, in order.
func (b *Broker) ConnectTimes() []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]time.Time(nil), b.times...)
}

// Cut closes every connection, as a broker does that restarts; wills are
// published.
func (b *Broker) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.nc.Close()
	}
}

// Break ends the wires of all dialled connections at once, as a reset does:
// what is on its way is lost in both directions. It needs a Link.
func (b *Broker) Break() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.wires {
		w.close()
		delete(b.wires, w)
	}
}

// HalfOpen makes the wires of all dialled connections swallow what is sent,
// in both directions, without closing them. Later ones are healthy. It needs a
// Link.
func (b *Broker) HalfOpen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.wires {
		w.swallow()
	}
}

// Throttle changes the rate from the units to the broker, in bytes/s, on the
// wires that exist. They need a Link.
func (b *Broker) Throttle(up int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.wires {
		w.throttle(up)
	}
}

// Publish sends a message as if a client had published it.
func (b *Broker) Publish(topic string, retained bool, payload []byte) {
	b.deliver(Message{Topic: topic, Payload: payload, Retained: retained, At: time.Now()})
}

// Dial returns the unit's end of a new connection.
func (b *Broker) Dial(ctx context.Context) (net.Conn, error) {
	b.mu.Lock()
	f := b.faults
	closed := b.closed
	b.mu.Unlock()
	if f.DialErr != nil {
		return nil, f.DialErr
	}
	if closed {
		return nil, net.ErrClosed
	}
	client, server, w := f.Link.pipe(&b.wg)
	if w != nil {
		b.mu.Lock()
		b.wires[w] = true
		b.mu.Unlock()
	}
	if f.Wrap != nil {
		client = f.Wrap(client)
	}
	b.start(server)
	return client, nil
}

// Serve accepts connections until l is closed.
func (b *Broker) Serve(l net.Listener) error {
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		b.start(nc)
	}
}

// Close ends everything and waits for the goroutines.
func (b *Broker) Close() {
	b.mu.Lock()
	b.closed = true
	for c := range b.conns {
		c.nc.Close()
	}
	for w := range b.wires {
		w.close()
	}
	b.changed.Broadcast()
	b.mu.Unlock()
	b.wg.Wait()
}

func (b *Broker) start(nc net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tried++
	c := &conn{b: b, nc: nc, number: b.tried, out: make(chan packets.ControlPacket, 1024), gone: make(chan struct{})}
	b.conns[c] = true
	b.wg.Add(2)
	go c.read()
	go c.write()
}

// deliver stores a retained message and hands m to the subscribers.
func (b *Broker) deliver(m Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.Retained {
		if len(m.Payload) == 0 {
			delete(b.retained, m.Topic)
		} else {
			b.retained[m.Topic] = m
		}
	}
	for c := range b.conns {
		c.offer(m, false)
	}
}
