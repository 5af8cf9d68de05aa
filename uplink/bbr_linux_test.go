package uplink

import (
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPrefersBBR: a connection whose kernel would use another congestion control
// gets BBR where there is one, and none fails for want of it.
func TestPrefersBBR(t *testing.T) {
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
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	control := func(set string) (now string) {
		if cerr := raw.Control(func(fd uintptr) {
			if set != "" {
				err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, set)
			}
			now, _ = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		}); cerr != nil {
			t.Fatal(cerr)
		}
		return strings.TrimRight(now, "\x00")
	}
	if now := control("reno"); err != nil || now != "reno" {
		t.Skipf("skipped: the kernel does not let us choose: %q, %v", now, err)
	}
	if err := preferBBR("tcp", "", raw); err != nil {
		t.Fatal(err)
	}
	known, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
	want := "reno"
	if strings.Contains(string(known), "bbr") || os.Geteuid() == 0 && strings.Contains(available(), "bbr") {
		want = "bbr"
	}
	if now := control(""); now != want {
		t.Errorf("congestion control %q, want %q (allowed: %s)", now, want, known)
	}
}

func available() string {
	b, _ := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
	return string(b)
}
