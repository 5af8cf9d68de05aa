package uplink

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpInfo asks the kernel; nil when c is not TCP.
func tcpInfo(c net.Conn) *unix.TCPInfo {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var info *unix.TCPInfo
	if cerr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); cerr != nil || err != nil {
		return nil
	}
	return info
}

// askTCP returns what the pacer wants to know of a connection; false when it is
// not TCP or the kernel does not know all of it (before 4.9, and before the first answer).
func askTCP(c net.Conn) (tcpState, bool) {
	i := tcpInfo(c)
	if i == nil || i.Min_rtt == 0 || i.Delivery_rate == 0 {
		return tcpState{}, false
	}
	away := int(i.Unacked) + int(i.Retrans) - int(i.Sacked) - int(i.Lost) // RFC 6675, pipe
	return tcpState{
		resent: i.Total_retrans,
		away:   max(away, 0) * int(i.Snd_mss),
		unsent: int(i.Notsent_bytes),
		drain:  float64(i.Snd_cwnd) * float64(i.Snd_mss) / max(float64(i.Rtt)/1e6, 1e-6),
		rate:   float64(i.Delivery_rate),
		srtt:   time.Duration(i.Rtt) * time.Microsecond,
		minRTT: time.Duration(i.Min_rtt) * time.Microsecond,
	}, true
}

// preferBBR asks for the congestion control that does not take each lost packet
// for a full queue, as a radio link is not one. Where the kernel does not have
// it, or does not let the agent choose, its default stays.
func preferBBR(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, "bbr")
	})
}

// tcpHeaders returns how many bytes of TCP/IP headers a connection has sent and
// received, and what it sent again; false when it is not TCP or the kernel does
// not count segments (before 4.2).
func tcpHeaders(c net.Conn) (int64, bool) {
	info := tcpInfo(c)
	if info == nil || info.Segs_out == 0 {
		return 0, false
	}
	header := int64(40)
	if info.Options&tcpTimestamps != 0 {
		header += 12
	}
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok && a.IP.To4() == nil {
		header += ip6ExtraBytes
	}
	return header*(int64(info.Segs_out)+int64(info.Segs_in)) + int64(info.Bytes_retrans), true
}

// tcpTimestamps is TCPI_OPT_TIMESTAMPS of linux/tcp.h.
const tcpTimestamps = 1
