package clock

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"syscall"
	"time"
)

// chronyMagic ends a sample of chronyd's SOCK reference clock ("SOCK").
const chronyMagic = 0x534f434b

// chronyWait bounds how long a chronyd that does not read holds the receiver up.
const chronyWait = 50 * time.Millisecond

// Chrony returns a function for Offer that tells chronyd the time, over the
// socket of a line `refclock SOCK PATH` in its configuration (struct
// sock_sample with a 64-bit time_t). It says once when chronyd does not take
// it, and again when the reason is another. The function is for one goroutine.
func Chrony(path string, log *slog.Logger) func(Sample) {
	var conn net.Conn
	said := ""
	write := func(s Sample) (err error) {
		if conn == nil {
			if conn, err = net.Dial("unixgram", path); err != nil {
				conn = nil
				return err
			}
		}
		if err = conn.SetWriteDeadline(time.Now().Add(chronyWait)); err == nil {
			_, err = conn.Write(sockSample(s))
		}
		if err != nil {
			conn.Close()
			conn = nil
		}
		return err
	}
	send := func(s Sample) error {
		had := conn != nil
		err := write(s)
		if err != nil && had { // chronyd was restarted and has made its socket anew
			err = write(s)
		}
		return err
	}
	return func(s Sample) {
		err := send(s)
		switch {
		case err == nil && said != "":
			log.Info("chronyd takes the time again", "socket", path)
			said = ""
		case err != nil && err.Error() != said:
			said = err.Error()
			log.Warn("chronyd does not take the time", "socket", path, "error", err, "next", chronyCure(err, path))
		}
	}
}

func chronyCure(err error, path string) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "the socket belongs to root; systemctl edit chrony: ExecStartPost=/bin/chown obu " + path
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return "start chronyd with the line: refclock SOCK " + path + " refid GPS precision 0.5 delay 1"
	}
	return "systemctl status chrony tells what it does"
}

// sockSample is chrony's struct sock_sample: tv of the system clock, offset of
// the true time in seconds, pulse, leap, padding, magic.
func sockSample(s Sample) []byte {
	sys := s.System.UnixMicro()
	b := binary.NativeEndian.AppendUint64(nil, uint64(sys/1e6))
	b = binary.NativeEndian.AppendUint64(b, uint64(sys%1e6))
	b = binary.NativeEndian.AppendUint64(b, math.Float64bits(s.Offset.Seconds()))
	b = append(b, make([]byte, 12)...)
	return binary.NativeEndian.AppendUint32(b, chronyMagic)
}
