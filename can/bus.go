package can

import (
	"context"
	"errors"

	"obu/can/frame"
)

// Frame is one CAN or CAN FD frame, passed by value.
type Frame = frame.Frame

// Sentinels of every Bus.
var (
	// ErrReceiveOnly is returned by Send on a log: a recording cannot be asked.
	ErrReceiveOnly = errors.New("bus is receive-only")
	// ErrClosed is returned after Close, or when the device went away.
	ErrClosed = errors.New("bus is closed")
)

// Bus is one CAN channel: the kernel's SocketCAN, a unix socket that carries
// the same frames, or a recording.
type Bus interface {
	// Receive blocks for the next frame. It returns io.EOF at the end of a
	// recording and ErrClosed after Close.
	Receive() (Frame, error)
	// Send puts one frame on the bus.
	Send(Frame) error
	// Drops returns how many frames were lost before Receive could see them,
	// counted by the kernel or the controller since the bus was opened.
	Drops() uint64
	Close() error
}

// Dialer opens a Bus; it is called again after the device was lost.
type Dialer func(ctx context.Context) (Bus, error)
