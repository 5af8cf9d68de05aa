package uplink

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Wire counts the bytes of all sessions that share it, TLS included, TCP/IP
// headers not.
type Wire struct {
	In, Out atomic.Int64
}

// countConn counts what crosses the socket.
type countConn struct {
	net.Conn
	wire *Wire
}

func (c *countConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.In.Add(int64(n))
	return n, err
}

func (c *countConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.wire.Out.Add(int64(n))
	return n, err
}

// readBuffer holds a PUBACK and its header, so that one system call reads what
// would take three; larger payloads pass it by.
const readBuffer = 512

// mqttConn watches the inbound MQTT stream: the first packet must be a CONNACK
// whose code it keeps, an HTTP answer is named as what it is, and a packet
// longer than max ends the session before anything is allocated for it.
type mqttConn struct {
	net.Conn
	r       *bufio.Reader
	max     int
	write   time.Duration         // for one write
	abort   atomic.Pointer[error] // why we closed it ourselves
	connack atomic.Int32          // return code, -1 before it came

	// The fields below belong to the reading goroutine.
	started bool
	left    int   // bytes of the current packet still to come
	head    int   // bytes of the fixed header seen; 0: at a packet's start
	typ     byte  // packet type of the current packet
	length  int   // remaining length decoded so far
	seen    int   // bytes of the body seen
	failed  error // sticky
}

func newMQTTConn(c net.Conn, max int, write time.Duration) *mqttConn {
	m := &mqttConn{Conn: c, r: bufio.NewReaderSize(c, readBuffer), max: max, write: write}
	m.connack.Store(-1)
	return m
}

// fail closes the connection so that paho reports err as the cause. (paho
// takes a plain "use of closed network connection" for its own doing and
// would never report the loss.)
func (m *mqttConn) fail(err error) {
	if m.abort.CompareAndSwap(nil, &err) {
		m.Conn.Close()
	}
}

// SetWriteDeadline replaces paho's deadline, which is as short as its hand-over
// of packets, by the session's write timeout.
func (m *mqttConn) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() {
		t = time.Now().Add(m.write)
	}
	return m.Conn.SetWriteDeadline(t)
}

func (m *mqttConn) Read(p []byte) (int, error) {
	if m.failed != nil {
		return 0, m.failed
	}
	if !m.started {
		if err := m.sniff(); err != nil {
			return 0, m.cause(err)
		}
	}
	n, err := m.r.Read(p)
	if ferr := m.frame(p[:n]); ferr != nil {
		m.failed = ferr
		return 0, ferr
	}
	return n, m.cause(err)
}

func (m *mqttConn) cause(err error) error {
	if err != nil {
		if why := m.abort.Load(); why != nil {
			return *why
		}
	}
	return err
}

// sniff looks at the first bytes: a CONNACK is 20 02, a web server says HTTP.
func (m *mqttConn) sniff() error {
	first, err := m.r.Peek(2)
	if err != nil {
		if errors.Is(err, io.EOF) && len(first) > 0 {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	m.started = true
	if first[0] == 0x20 && first[1] == 2 {
		return nil
	}
	if bytes.HasPrefix(first, []byte("HT")) || first[0] == '<' {
		m.failed = ErrCaptivePortal
	} else {
		m.failed = why(ErrNotMQTT, fmt.Errorf("first bytes % x", first))
	}
	return m.failed
}

// frame follows the packet boundaries of MQTT 3.1.1 §2.2.
func (m *mqttConn) frame(p []byte) error {
	for len(p) > 0 {
		if m.left > 0 {
			n := min(m.left, len(p))
			if m.typ == 2 && m.seen < 2 && m.seen+n >= 2 {
				m.connack.CompareAndSwap(-1, int32(p[1-m.seen]))
			}
			m.seen += n
			m.left -= n
			p = p[n:]
			continue
		}
		b := p[0]
		p = p[1:]
		if m.head == 0 {
			m.typ, m.length, m.seen, m.head = b>>4, 0, 0, 1
			continue
		}
		m.length |= int(b&0x7f) << (7 * (m.head - 1))
		m.head++
		if b&0x80 != 0 {
			if m.head > 4 {
				return why(ErrNotMQTT, errors.New("packet length of more than 4 bytes"))
			}
			continue
		}
		if m.length > m.max {
			return why(ErrInboundTooLarge, fmt.Errorf("%d bytes, allowed are %d", m.length, m.max))
		}
		m.left, m.head = m.length, 0
	}
	return nil
}
