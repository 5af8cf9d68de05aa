package uplink

import (
	"net"
	"sync"
	"sync/atomic"

	"obu/telemetry"
	"obu/uplink/budget"
)

// Wire counts the bytes of all sessions that share it.
type Wire struct {
	In, Out atomic.Int64                           // across the socket, TLS included
	Headers atomic.Int64                           // of TCP/IP, what TCP sent again, and what connecting costs beside the socket
	classes [telemetry.ClassMedia + 1]atomic.Int64 // of Out: PUBLISH packets of each class, once they left
}

// usage returns all that crossed the wire by class. What no class accounts for
// is control, so the classes always add up to In + Out + Headers.
func (w *Wire) usage() budget.Usage {
	of := func(c telemetry.Class) int64 { return w.classes[c].Load() }
	u := budget.Usage{Telemetry: of(telemetry.ClassTelemetry), Event: of(telemetry.ClassEvent), Health: of(telemetry.ClassHealth),
		Media: of(telemetry.ClassMedia)} // before the totals: a packet counts there first
	u.Control = w.In.Load() + w.Out.Load() + w.Headers.Load() - u.Total()
	return u
}

// What a packet of a connection without TCP_INFO is estimated at.
const (
	headerBytes   = 52   // IPv4 and TCP with time stamps
	segmentBytes  = 1400 // of payload, on a mobile network
	connectExtra  = 512  // a name looked up, and the end of the connection, which nobody sees: about 300 + 4*52 bytes
	ip6ExtraBytes = 20
)

// countConn counts what crosses the socket, and below it.
type countConn struct {
	net.Conn
	wire *Wire

	mu      sync.Mutex // guards what follows
	counted int64      // headers counted so far
	guessed int64      // headers as they would be by the number of reads and writes
	asked   bool       // the kernel has told once: nothing is guessed
}

func newCountConn(c net.Conn, w *Wire) *countConn {
	w.Headers.Add(connectExtra)
	return &countConn{Conn: c, wire: w}
}

func (c *countConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.wire.In.Add(int64(n))
	c.guess(n)
	return n, err
}

func (c *countConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.wire.Out.Add(int64(n))
	c.guess(n)
	return n, err
}

// guess is one packet for each begun segment, and one acknowledgement.
func (c *countConn) guess(n int) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	c.guessed += headerBytes * int64((n+segmentBytes-1)/segmentBytes+1)
	c.mu.Unlock()
}

// settle counts the headers since it was called last.
func (c *countConn) settle() {
	known, ok := tcpHeaders(c.Conn)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = c.asked || ok
	if !c.asked {
		known = c.guessed
	}
	if more := known - c.counted; more > 0 {
		c.wire.Headers.Add(more)
		c.counted = known
	}
}

// Close counts what nobody can ask for afterwards.
func (c *countConn) Close() error {
	c.settle()
	return c.Conn.Close()
}
