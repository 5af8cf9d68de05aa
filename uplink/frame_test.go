package uplink

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// fakeConn reads from memory.
type fakeConn struct {
	net.Conn
	r io.Reader
}

func (f fakeConn) Read(p []byte) (int, error) { return f.r.Read(p) }

// FuzzInboundFraming: what an mqttConn passes on is a prefix of what came in,
// never beyond the header of a packet that is too large, however it is cut.
func FuzzInboundFraming(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\x40\x02\x00\x01"), byte(3))
	f.Add([]byte("\x20\x02\x00\x05"), byte(1))
	f.Add([]byte("\x20\x02\x00\x00\x30\xff\xff\xff\x7f"), byte(1))
	f.Add([]byte("\x20\x02\x00\x00\x30\xff\xff\xff\xff\x01"), byte(7))
	f.Add([]byte("HTTP/1.1 200 OK\r\n"), byte(2))
	f.Fuzz(func(t *testing.T, in []byte, step byte) {
		const max = 64
		m := newMQTTConn(fakeConn{r: bytes.NewReader(in)}, max, time.Second)
		var out []byte
		buf := make([]byte, int(step)%32+1)
		for {
			n, err := m.Read(buf)
			out = append(out, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.HasPrefix(in, out) {
			t.Fatalf("passed on % x of % x", out, in)
		}
		if len(out) > 0 && (in[0] != 0x20 || in[1] != 2) {
			t.Fatalf("passed on % x, which is no CONNACK", out)
		}
		if _, err := m.Read(buf); err == nil {
			t.Fatal("an error does not stick")
		}
		if errors.Is(m.failed, ErrInboundTooLarge) {
			return
		}
		if len(in) >= 4 && in[0] == 0x20 && in[1] == 2 && m.connack.Load() != int32(in[3]) {
			t.Fatalf("CONNACK code %d of % x", m.connack.Load(), in)
		}
	})
}
