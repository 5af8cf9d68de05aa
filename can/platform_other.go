//go:build !linux

package can

import (
	"context"
	"errors"
	"os"

	"obu/internal/clock"
)

// ErrBusy is returned by Send when the transmit queue stays full.
var ErrBusy = errors.New("transmit queue of the bus is full")

// DialSocketCAN returns ErrPlatform.
func DialSocketCAN(context.Context, string, SocketOptions) (Bus, error) { return nil, ErrPlatform }

func socketDialer(string, SocketOptions) Dialer {
	return func(context.Context) (Bus, error) { return nil, ErrPlatform }
}

// DialUnix returns ErrPlatform: packets over unix sockets are Linux's.
func DialUnix(context.Context, string, *clock.Clock) (Bus, error) { return nil, ErrPlatform }

// UnixListener is the other side of DialUnix.
type UnixListener struct{}

// ListenUnix returns ErrPlatform.
func ListenUnix(string, *clock.Clock) (*UnixListener, error) { return nil, ErrPlatform }

// Accept returns ErrPlatform.
func (*UnixListener) Accept() (Bus, error) { return nil, ErrPlatform }

// Close does nothing.
func (*UnixListener) Close() error { return nil }

func lockFolder(dir string) (*os.File, error) { return os.Open(dir) }
