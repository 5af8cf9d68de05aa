package uplink

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// readBuffer holds many PUBACKs, so that one system call reads what would take
// three for each; larger payloads pass it by.
const readBuffer = 512

// mqttConn judges the inbound MQTT stream packet by packet before anything is
// allocated for it: the first must be a CONNACK, an HTTP answer is named as
// what it is, and a packet longer than max is an error. Each write has the
// write timeout.
type mqttConn struct {
	net.Conn
	r       *bufio.Reader // belongs to the reading goroutine
	started bool          // likewise: the first bytes were a CONNACK's
	max     int
	timeout time.Duration // of one write
}

func newMQTTConn(c net.Conn, max int, timeout time.Duration) *mqttConn {
	return &mqttConn{Conn: c, r: bufio.NewReaderSize(c, readBuffer), max: max, timeout: timeout}
}

func (m *mqttConn) Write(p []byte) (int, error) {
	if err := m.Conn.SetWriteDeadline(time.Now().Add(m.timeout)); err != nil {
		return 0, err
	}
	return m.Conn.Write(p)
}

// next waits for the fixed header of the next packet (MQTT 3.1.1 §2.2) and
// leaves it unread. It returns the remaining length.
func (m *mqttConn) next() (length int, err error) {
	if !m.started {
		if err := m.sniff(); err != nil {
			return 0, err
		}
		m.started = true
	}
	for n := 2; ; n++ {
		head, err := m.peek(n)
		if err != nil {
			return 0, err
		}
		if typ := head[0] >> 4; typ == 0 || typ == 15 {
			return 0, why(ErrNotMQTT, fmt.Errorf("packet type %d", typ))
		}
		length |= int(head[n-1]&0x7f) << (7 * (n - 2))
		switch {
		case head[n-1]&0x80 == 0 && length > m.max:
			return 0, why(ErrInboundTooLarge, fmt.Errorf("%d bytes, allowed are %d", length, m.max))
		case head[n-1]&0x80 == 0:
			return length, nil
		case n == 5:
			return 0, why(ErrNotMQTT, errors.New("packet length of more than 4 bytes"))
		}
	}
}

// sniff looks at the first bytes: a CONNACK is 20 02, a web server says HTTP.
func (m *mqttConn) sniff() error {
	first, err := m.peek(2)
	switch {
	case err != nil:
		return err
	case first[0] == 0x20 && first[1] == 2:
		return nil
	case first[0] == 21 && first[1] == 3: // a TLS alert
		return ErrTLSPort
	case bytes.HasPrefix(first, []byte("HT")) || first[0] == '<':
		return ErrCaptivePortal
	}
	return why(ErrNotMQTT, fmt.Errorf("first bytes % x", first))
}

// peek is Peek with io.ErrUnexpectedEOF when the stream ends inside a packet.
func (m *mqttConn) peek(n int) ([]byte, error) {
	p, err := m.r.Peek(n)
	if errors.Is(err, io.EOF) && len(p) > 0 {
		err = io.ErrUnexpectedEOF
	}
	return p, err
}
