package brokertest

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Proxy is a TCP link between units and a real broker, with the rate, the delay
// and the faults of a Link. It owns its goroutines: Close waits for them.
type Proxy struct {
	Addr string // host:port that units connect to

	listener net.Listener
	target   string
	link     Link
	up, down atomic.Int64
	wg       sync.WaitGroup

	mu      sync.Mutex
	off     bool           // under mu: new connections are closed at once
	wires   map[*wire]bool // under mu
	answers []time.Time    // under mu
}

// NewProxy opens a link on a loopback port to the broker at target, host:port.
func NewProxy(target string, l Link) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for link: %w", err)
	}
	p := &Proxy{Addr: ln.Addr().String(), listener: ln, target: target, link: l, wires: make(map[*wire]bool)}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *Proxy) accept() {
	for {
		unit, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.carry(unit) })
	}
}

// carry joins a unit's connection with one to the broker.
func (p *Proxy) carry(unit net.Conn) {
	broker, err := net.Dial("tcp", p.target)
	if err != nil {
		unit.Close()
		return
	}
	p.mu.Lock()
	if p.off {
		p.mu.Unlock()
		unit.Close()
		broker.Close()
		return
	}
	w := p.link.join(&p.wg, &meter{Conn: unit, n: &p.down, first: p.answered}, &meter{Conn: broker, n: &p.up})
	p.wires[w] = true
	p.mu.Unlock()
	<-w.done
	p.mu.Lock()
	delete(p.wires, w)
	p.mu.Unlock()
}

func (p *Proxy) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = append(p.answers, time.Now())
}

// Target returns host:port of the broker itself.
func (p *Proxy) Target() string { return p.target }

// Answers returns when the first byte of the broker reached each connection's
// unit: with a plain broker, its CONNACK.
func (p *Proxy) Answers() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.answers...)
}

// Bytes returns what was delivered to the broker and to the units.
func (p *Proxy) Bytes() (up, down int64) { return p.up.Load(), p.down.Load() }

// Cut ends every connection and closes new ones until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = true
	for w := range p.wires {
		w.close()
	}
}

// Restore lets connections through again.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.off = false
}

// HalfOpen makes every connection swallow what is sent in both directions,
// without closing it. Later ones are healthy.
func (p *Proxy) HalfOpen() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.wires {
		w.swallow()
	}
}

// Close ends the link for good.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Cut()
	p.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// meter counts what is written to a connection.
type meter struct {
	net.Conn
	n     *atomic.Int64
	first func() // called before the first write; optional
}

func (m *meter) Write(b []byte) (int, error) {
	if m.first != nil {
		m.first()
		m.first = nil
	}
	n, err := m.Conn.Write(b)
	m.n.Add(int64(n))
	return n, err
}
