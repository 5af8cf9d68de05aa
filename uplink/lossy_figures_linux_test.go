package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// TestLossyFigures measures what the unit's history takes of a lossy link beside
// a plain TCP sender, one after the other over the same link, a few times.
// History and live data share a session.
func TestLossyFigures(t *testing.T) {
	if os.Getenv("OBU_LOSSY") == "" {
		t.Skip("skipped: it takes minutes; make lossy runs it")
	}
	for _, congestion := range []string{"cubic", "bbr"} {
		for _, rate := range []float64{125_000, 500_000} {
			t.Run(fmt.Sprintf("%s/%.0f kB a second", congestion, rate/1000), func(t *testing.T) {
				t.Parallel()
				unit, cloud := lossyLink(t, rate)
				const each = 25 * time.Second
				var plain, ours float64
				var lag []string
				const rounds = 3
				for n := range rounds {
					plain += plainFor(t, unit, cloud, congestion, each) / rounds
					rate, p := historyFor(t, unit, cloud, congestion, each, uint64(n))
					ours += rate / rounds
					lag = append(lag, p.Round(time.Millisecond).String())
				}
				t.Logf("plain TCP %.0f kB/s, the unit %.0f kB/s: %.0f %%; live p99 %v", plain/1000, ours/1000, 100*ours/plain, lag)
			})
		}
	}
}

// controlled returns a dialer whose connections use a congestion control.
func (n *namespace) controlled(address, congestion string) func(context.Context) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		cerr := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
		})
		return errors.Join(cerr, err)
	}}
	return func(ctx context.Context) (c net.Conn, err error) {
		n.do(func() { c, err = d.DialContext(ctx, "tcp", address) })
		return c, err
	}
}

// plainFor measures what one TCP connection delivers in this time.
func plainFor(t *testing.T, unit, cloud *namespace, congestion string, d time.Duration) float64 {
	l := cloud.listen(t, "10.77.0.2:0")
	defer l.Close()
	got := make(chan int64, 1)
	began := time.Now()
	go func() {
		c, err := l.Accept()
		if err != nil {
			got <- 0
			return
		}
		defer c.Close()
		_ = c.SetReadDeadline(began.Add(d))
		n, _ := io.Copy(io.Discard, c)
		got <- n
	}()
	c, err := unit.controlled(l.Addr().String(), congestion)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetWriteDeadline(began.Add(d))
	_, _ = io.Copy(c, endless{})
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
	return float64(<-got) / d.Seconds()
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// historyFor measures what a unit with a long backlog delivers in this time,
// and the p99 of live data meanwhile.
func historyFor(t *testing.T, unit, cloud *namespace, congestion string, d time.Duration, seed uint64) (rate float64, live time.Duration) {
	b := brokertest.New()
	l := cloud.listen(t, "10.77.0.2:0")
	go func() { _ = b.Serve(l) }()
	clk := clock.Virtual()
	g := &rig{T: t, clk: clk, m: newModel(clk), b: b, ended: make(chan error, 1)}
	g.r = listen(t, b, clk)
	c := config(clk, g.m, b)
	var conn net.Conn
	dial := unit.controlled(l.Addr().String(), congestion)
	c.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		conn = c
		return c, err
	}
	var err error
	if g.u, err = uplink.New(c); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 9))
	for range int(d.Seconds()) * 300 {
		g.m.commit(telemetry.ClassTelemetry, restless(g, rng, 1000))
	}
	began := time.Now()
	g.start()
	for time.Since(began) < d {
		g.m.commit(telemetry.ClassTelemetry, g.m.speed(float64(rng.IntN(200))))
		g.u.Notify()
		time.Sleep(time.Second)
	}
	bytes := 0
	var packet time.Time
	for _, a := range g.r.arrivals(telemetry.ClassTelemetry) {
		if a.at != packet {
			packet = a.at
			bytes += a.size
		}
	}
	if conn != nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
	g.stop()
	l.Close()
	return float64(bytes) / time.Since(began).Seconds(), p99(g.r.arrivals(telemetry.ClassTelemetry))
}
