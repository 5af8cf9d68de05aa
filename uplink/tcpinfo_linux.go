package uplink

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// tcpHeaders returns how many bytes of TCP/IP headers a connection has sent and
// received, and what it sent again; false when it is not TCP or the kernel does
// not count segments (before 4.2).
func tcpHeaders(c net.Conn) (int64, bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var info *unix.TCPInfo
	if cerr := raw.Control(func(fd uintptr) {
		info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	}); cerr != nil || err != nil || info.Segs_out == 0 {
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
