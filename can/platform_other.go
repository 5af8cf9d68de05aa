//go:build !linux

package can

import (
	"context"
	"errors"
	"os"

	"obu/can/link"
	"obu/internal/clock"
)

// ErrBusy is returned by Send when the transmit queue stays full.
var ErrBusy = errors.New("transmit queue of the bus is full")

// DialSocketCAN returns link.ErrPlatform.
func DialSocketCAN(context.Context, string, SocketOptions) (Bus, error) { return nil, link.ErrPlatform }

func socketDialer(string, SocketOptions) Dialer {
	return func(context.Context) (Bus, error) { return nil, link.ErrPlatform }
}

// DialUnix returns link.ErrPlatform: packets over unix sockets are Linux's.
func DialUnix(context.Context, string, *clock.Clock) (Bus, error) { return nil, link.ErrPlatform }

// UnixListener is the other side of DialUnix.
type UnixListener struct{}

// ListenUnix returns link.ErrPlatform.
func ListenUnix(string, *clock.Clock) (*UnixListener, error) { return nil, link.ErrPlatform }

// Accept returns link.ErrPlatform.
func (*UnixListener) Accept() (Bus, error) { return nil, link.ErrPlatform }

// Close does nothing.
func (*UnixListener) Close() error { return nil }

func lockFolder(dir string) (*os.File, error) { return os.Open(dir) }
