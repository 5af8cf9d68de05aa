package uplink

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// fakeConn reads from memory, step bytes at a time.
type fakeConn struct {
	net.Conn
	r    io.Reader
	step int
}

func (f fakeConn) Read(p []byte) (int, error) { return f.r.Read(p[:min(len(p), f.step)]) }

// FuzzInboundFraming: whatever a broker says and however it is cut, it is
// either packets within the bound, the first a CONNACK, or an error: no panic,
// no packet that the stream does not hold.
func FuzzInboundFraming(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\x40\x02\x00\x01"), byte(3))
	f.Add([]byte("\x20\x02\x00\x05"), byte(1))
	f.Add([]byte("\x20\x02\x00\x00\x30\xff\xff\xff\x7f"), byte(1))
	f.Add([]byte("\x20\x02\x00\x00\x30\xff\xff\xff\xff\x01"), byte(7))
	f.Add([]byte("\x20\x02\x00\x00\x90\x00\x40\x01\x07\x40\x00"), byte(1))
	f.Add([]byte("\x20\x02\x00\x00\x32\x05\x00\x09abc"), byte(30))
	f.Add([]byte("\x20\x02\x00\x00\x30\x00\xb0\x01\x00\x82\x03\x00\x01\x00"), byte(30))
	f.Add([]byte("HTTP/1.1 200 OK\r\n"), byte(2))
	f.Fuzz(func(t *testing.T, in []byte, step byte) {
		const max = 64
		m := newMQTTConn(fakeConn{r: bytes.NewReader(in), step: int(step)%32 + 1}, max, time.Second)
		read := 0
		for {
			length, err := m.next()
			if err == nil && length > max {
				t.Fatalf("a packet of %d bytes passed", length)
			}
			p, err := readPacket(m)
			if err != nil {
				break
			}
			ack, ok := p.(*packets.ConnackPacket)
			if read == 0 && (!ok || ack.ReturnCode != in[3]) {
				t.Fatalf("the first packet of % x is %v", in, p)
			}
			if read += 2 + length; read > len(in) {
				t.Fatalf("%d bytes of packets in %d bytes", read, len(in))
			}
		}
	})
}
