package uplink_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/brokertest"
	"obu/uplink/budget"
)

// ownNetwork runs the test again in a network namespace of its own and reports
// whether this is it.
func ownNetwork(t *testing.T) bool {
	const mark = "OBU_TEST_NETWORK"
	if os.Getenv(mark) != "" {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil || os.Getuid() != 0 {
		t.Skip("skipped: needs root and iproute2 for a network namespace")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), mark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	return false
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Skipf("skipped: ip %s: %v: %s", args, err, out)
	}
}

// TestKernelNamesTheInterface: the interface of a connection and of a new one,
// as the kernel routes them, when a free network comes and goes.
func TestKernelNamesTheInterface(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	ip(t, "link set lo up")
	for i, dev := range []string{"wwan0", "wlan0"} {
		ip(t, fmt.Sprintf("link add %s type veth peer name p%d", dev, i))
		ip(t, fmt.Sprintf("addr add 10.9.%d.1/24 dev %s", i, dev))
		ip(t, fmt.Sprintf("link set p%d up", i))
	}
	ip(t, "link set wwan0 up")
	ip(t, "route add default via 10.9.0.254 dev wwan0 metric 700")
	n := uplink.KernelNetwork
	broker := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 8883}
	want := func(when, iface string) {
		t.Helper()
		if got := n.Route(broker); got != iface {
			t.Errorf("%s: a new connection goes over %q, want %q", when, got, iface)
		}
	}
	want("modem only", "wwan0")
	ip(t, "link set wlan0 up")
	ip(t, "route add default via 10.9.1.254 dev wlan0 metric 600")
	want("in the depot", "wlan0")
	ip(t, "link set wlan0 down")
	want("on the road again", "wwan0")
	ip(t, "link set wwan0 down")
	want("in a tunnel", "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := n.Interface(c.LocalAddr()); got != "lo" {
		t.Errorf("a connection to ourselves goes over %q", got)
	}
}

// TestBytesAreThoseOfTheInterface holds the count, headers and all, against
// what the kernel counts on the only interface of a network namespace. On
// loopback each packet of either direction is carried once, and counted without
// its Ethernet header.
func TestBytesAreThoseOfTheInterface(t *testing.T) {
	if !ownNetwork(t) {
		return
	}
	ip(t, "link set lo mtu 1420 gso_max_segs 1 up") // real segments, as a modem sends them
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := brokertest.New()
	go b.Serve(l)
	clk := clock.Virtual()
	m := newModel(clk)
	book := budget.New(budget.Config{})
	c := config(clk, m, b)
	c.Dial, c.Broker, c.Budget = nil, "mqtt://"+l.Addr().String(), book
	u, err := uplink.New(c)
	if err != nil {
		t.Fatal(err)
	}
	g := (&rig{T: t, clk: clk, m: m, b: b, u: u, r: listen(t, b, clk), ended: make(chan error, 1)}).start()
	for i := range 300 {
		m.commit(telemetry.ClassTelemetry, m.speed(float64(i%200)))
		u.Notify()
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	u.Notify() // it looks at the wire once a second, when there is a reason to
	time.Sleep(100 * time.Millisecond)
	live, liveSeen := book.Report().MonthFree.Total(), onLoopback(t)
	m.commit(telemetry.ClassMedia, noise(g, 20_000))
	u.Notify()
	time.Sleep(2 * time.Second)
	g.stop()
	l.Close()
	counted, seen := book.Report().MonthFree.Total(), onLoopback(t)
	for _, x := range []struct {
		what          string
		counted, seen int64
	}{{"live", live, liveSeen}, {"bulk", counted - live, seen - liveSeen}} {
		t.Logf("%s: counted %d bytes, the interface carried %d: %+.2f %%", x.what, x.counted, x.seen, 100*float64(x.counted-x.seen)/float64(x.seen))
		if x.counted < x.seen*98/100 || x.counted > x.seen*104/100 {
			t.Errorf("%s: the count is off", x.what)
		}
	}
}

// onLoopback returns the IP bytes that lo has carried.
func onLoopback(t *testing.T) int64 {
	t.Helper()
	f, err := os.Open("/proc/self/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var bytes, packets int64
		if n, _ := fmt.Sscanf(strings.TrimSpace(s.Text()), "lo: %d %d", &bytes, &packets); n == 2 {
			return bytes
		}
	}
	t.Fatal("no lo in /proc/self/net/dev")
	return 0
}
