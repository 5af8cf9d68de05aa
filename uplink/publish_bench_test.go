package uplink_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"obu/uplink"
)

// acker is the cheapest broker there is: over TCP, without a codec.
func acker(b *testing.B) func(context.Context) (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		in, out := make([]byte, 64<<10), make([]byte, 0, 64<<10)
		held := 0
		for {
			n, err := nc.Read(in[held:])
			if err != nil {
				return
			}
			held += n
			rest := in[:held]
			out = out[:0]
			for len(rest) >= 2 {
				size, head := int(rest[1]&0x7f), 2
				if rest[1]&0x80 != 0 && len(rest) >= 3 {
					size, head = size|int(rest[2])<<7, 3
				}
				if len(rest) < head+size {
					break
				}
				switch p := rest[head : head+size]; rest[0] >> 4 {
				case 1:
					out = append(out, 0x20, 2, 0, 0)
				case 3:
					topic := int(p[0])<<8 | int(p[1])
					out = append(out, 0x40, 2, p[2+topic], p[3+topic])
				}
				rest = rest[head+size:]
			}
			held = copy(in, rest)
			if _, err := nc.Write(out); err != nil {
				return
			}
		}
	}()
	return func(context.Context) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }
}

// BenchmarkPublish is the CPU of one packet of 500 bytes through a session and
// loopback TCP, the other end included: one after another, and 32 in flight.
func BenchmarkPublish(b *testing.B) {
	for name, inFlight := range map[string]int{"alone": 1, "in-flight-32": 32} {
		b.Run(name, func(b *testing.B) {
			s, err := uplink.Connect(b.Context(), uplink.SessionConfig{Broker: "mqtt://b", ClientID: "u", Dial: acker(b)})
			if err != nil {
				b.Fatal(err)
			}
			payload := make([]byte, 500)
			ended := make(chan error)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			for w := range inFlight {
				go func() {
					var err error
					for i := w; i < b.N && err == nil; i += inFlight {
						err = s.Publish(context.Background(), "obu/v1/f1/u1/telemetry", false, payload)
					}
					ended <- err
				}()
			}
			for range inFlight {
				if err := <-ended; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
			b.StopTimer()
			s.Close()
		})
	}
}

// cpu is what this process has used.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
