package can

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"obu/internal/clock"
)

// DialUnix connects to a bus behind a unix socket of type SEQPACKET: one
// struct can_frame or canfd_frame per packet, as on SocketCAN. Frames carry
// the kernel's receive stamp.
func DialUnix(ctx context.Context, path string, clk *clock.Clock) (Bus, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixpacket", path)
	if err != nil {
		return nil, fmt.Errorf("open unix bus: %w", err)
	}
	return newFDBus(c.(*net.UnixConn), clk, true)
}

// UnixListener is the other side of DialUnix: what a virtual car opens.
type UnixListener struct {
	l   *net.UnixListener
	clk *clock.Clock
}

// ListenUnix makes the socket at path. A socket file left behind by a dead
// process is replaced; one that still answers is not.
func ListenUnix(path string, clk *clock.Clock) (*UnixListener, error) {
	addr := &net.UnixAddr{Name: path, Net: "unixpacket"}
	if c, err := net.DialUnix("unixpacket", nil, addr); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen on unix bus: %s is in use", path)
	}
	if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSocket != 0 {
		os.Remove(path)
	}
	l, err := net.ListenUnix("unixpacket", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on unix bus: %w", err)
	}
	return &UnixListener{l, clk}, nil
}

// Accept waits for the next unit to connect; ErrClosed after Close.
func (u *UnixListener) Accept() (Bus, error) {
	c, err := u.l.AcceptUnix()
	if errors.Is(err, net.ErrClosed) {
		return nil, ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("accept on unix bus: %w", err)
	}
	return newFDBus(c, u.clk, true)
}

// Close ends Accept and removes the socket file; connections stay open.
func (u *UnixListener) Close() error { return u.l.Close() }
