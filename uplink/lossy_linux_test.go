package uplink_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
)

// namespace is a network of its own with one TUN device. What is to happen in
// it is done by the one thread that lives there.
type namespace struct {
	work chan func()
	tun  *os.File
}

// newNamespace makes a network whose only device has this address.
func newNamespace(t *testing.T, address string) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	made := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine, and the network with it
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			n.tun, err = openTUN(address)
		}
		made <- err
		for f := range n.work {
			f()
		}
	}()
	t.Cleanup(func() { close(n.work) })
	if err := <-made; err != nil {
		t.Skipf("no network namespace with a TUN device (it takes root, /dev/net/tun and ip): %v: the test on a lossy link did not run", err)
	}
	t.Cleanup(func() { n.tun.Close() })
	return n
}

// openTUN opens a TUN device in the calling thread's network.
func openTUN(address string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ifr, err := unix.NewIfreq("link")
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make TUN device: %w", err)
	}
	for _, args := range [][]string{{"addr", "add", address, "dev", "link"}, {"link", "set", "dev", "link", "mtu", "1400", "up"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

// do calls f in the namespace.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() { f(); close(done) }
	<-done
}

// path is one direction of a link: what it carries in a second, how long what
// it carries may wait in front of it, how long it takes, and what it loses.
type path struct {
	rate  float64 // bytes/s; 0: no bound
	queue time.Duration
	delay time.Duration
	loss  float64
}

// carry moves IP packets from one namespace to the other until the devices are
// closed.
func (p path) carry(wg *sync.WaitGroup, from, to *os.File, rng *rand.Rand) {
	type packet struct {
		data []byte
		due  time.Time
	}
	air := make(chan packet, 4096)
	wg.Go(func() {
		defer close(air)
		var free time.Time // when the link has carried what came before
		for {
			buf := make([]byte, 2048)
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			now := time.Now()
			if free.Before(now) {
				free = now
			}
			if p.rate > 0 {
				if free.Sub(now) > p.queue {
					continue
				}
				free = free.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
			}
			if rng.Float64() < p.loss {
				continue
			}
			select {
			case air <- packet{buf[:n], free.Add(p.delay)}:
			default: // the queue of a router is full
			}
		}
	})
	wg.Go(func() {
		for p := range air {
			time.Sleep(time.Until(p.due))
			_, _ = to.Write(p.data)
		}
	})
}

// lossyLink joins two networks, 10.77.0.1 and 10.77.0.2: round trip 300 ms, 5 %
// of the packets lost in each direction. The TCP on it is the kernel's.
func lossyLink(t *testing.T, rate float64) (unit, cloud *namespace) {
	unit, cloud = newNamespace(t, "10.77.0.1/24"), newNamespace(t, "10.77.0.2/24")
	var wg sync.WaitGroup
	p := path{rate: rate, queue: time.Second, delay: 150 * time.Millisecond, loss: 0.05}
	p.carry(&wg, unit.tun, cloud.tun, rand.New(rand.NewPCG(1, 1)))
	p.carry(&wg, cloud.tun, unit.tun, rand.New(rand.NewPCG(2, 2)))
	t.Cleanup(func() { unit.tun.Close(); cloud.tun.Close(); wg.Wait() })
	return unit, cloud
}

func (n *namespace) dialer(address string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (c net.Conn, err error) {
		n.do(func() { c, err = (&net.Dialer{}).DialContext(ctx, "tcp", address) })
		return c, err
	}
}

func (n *namespace) listen(t *testing.T, address string) (l net.Listener) {
	t.Helper()
	var err error
	n.do(func() { l, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// plainTCP measures what TCP alone carries on the link.
func plainTCP(t *testing.T, unit, cloud *namespace, bytes int) float64 {
	l := cloud.listen(t, "10.77.0.2:7")
	took := make(chan time.Duration, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			took <- 0
			return
		}
		defer c.Close()
		began := time.Now()
		_, _ = io.Copy(io.Discard, c)
		took <- time.Since(began)
	}()
	c, err := unit.dialer("10.77.0.2:7")(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write(make([]byte, bytes))
	c.Close()
	return float64(bytes) / (<-took).Seconds()
}

// TestFaultLossyLink: round trips of 300 ms and 5 % loss in each direction,
// under the kernel's own TCP. All is delivered over it, live before history.
func TestFaultLossyLink(t *testing.T) {
	t.Parallel() // it waits most of the time
	const bytes = 100_000
	unit, cloud := lossyLink(t, 0)
	plain := plainTCP(t, unit, cloud, bytes)
	b := brokertest.New()
	l := cloud.listen(t, "10.77.0.2:1883")
	go func() { _ = b.Serve(l) }()
	clk := clock.Virtual()
	g := &rig{T: t, clk: clk, m: newModel(clk), b: b, ended: make(chan error, 1)}
	a := newAudit(g.m, b)
	g.r = &receiver{t: t, seen: make(map[telemetry.Name]int), chunks: make(map[telemetry.Name]map[uint32]int)}
	g.r.attach(b, clk, a.took)
	c := config(clk, a, b)
	c.Dial = unit.dialer("10.77.0.2:1883")
	var err error
	if g.u, err = uplink.New(c); err != nil {
		t.Fatal(err)
	}
	var names []telemetry.Name
	rng := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		names = append(names, g.m.commit(telemetry.ClassTelemetry, restless(g, rng, 1000))...)
	}
	began := time.Now()
	g.start()
	for g.m.held(telemetry.ClassTelemetry) > 0 && time.Since(began) < 90*time.Second {
		names = append(names, g.drive(1)...)
	}
	took := time.Since(began)
	g.m.commit(telemetry.ClassTelemetry)
	up := g.u.Stats()
	t.Logf("plain TCP %.0f B/s; the unit %d bytes in %v with live beside it: %.0f B/s, live p99 %v",
		plain, up.WireOut, took.Round(time.Millisecond), float64(up.WireOut)/took.Seconds(), p99(g.r.arrivals(telemetry.ClassTelemetry)).Round(time.Millisecond))
	g.fair(a, names, 20)
	g.stop()
}

// restless is a content of n samples that take about two bytes each.
func restless(g *rig, rng *rand.Rand, n int) telemetry.Content {
	sig, _ := telemetry.Lookup("Vehicle.OBD.MAF")
	var c telemetry.Content
	for i := range n {
		c.Samples = append(c.Samples, telemetry.Sample{At: g.clk.Now() + telemetry.At(i)*telemetry.At(time.Millisecond), Signal: sig,
			Source: telemetry.Source{Bus: "can0", Address: "7E8", Method: "obd"}, Value: telemetry.Float(sig.Step.Value(rng.Int64N(65535)))})
	}
	return c
}
