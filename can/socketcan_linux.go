package can

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"obu/can/link"
)

// canErrMask asks for every class of error frame (CAN_ERR_MASK).
const canErrMask = maskExtended

// DialSocketCAN opens a CAN interface of the kernel with receive stamps, the
// count of dropped frames, error frames and CAN FD. The interface has to be
// up: its bit rate is set by the system, not here.
func DialSocketCAN(ctx context.Context, name string, opt SocketOptions) (Bus, error) {
	return socketDialer(name, opt)(ctx)
}

// socketDialer remembers which interface it opened: one that was renamed
// meanwhile is told by its new name.
func socketDialer(name string, opt SocketOptions) Dialer {
	i := link.New(name)
	return func(context.Context) (Bus, error) {
		b, err := dialInterface(i, opt)
		if err != nil {
			return nil, fmt.Errorf("open CAN device %s: %w", name, err)
		}
		return b, nil
	}
}

func dialInterface(i *link.Named, opt SocketOptions) (Bus, error) {
	iface, err := i.Find()
	fd, serr := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if serr != nil {
		return nil, socketError(serr)
	}
	f := os.NewFile(uintptr(fd), "bus")
	if err != nil {
		f.Close()
		return nil, err
	}
	if err := setUp(fd, iface.Index, opt); err != nil {
		f.Close()
		return nil, err
	}
	if iface.Flags&net.FlagUp == 0 {
		f.Close()
		return nil, ErrDown
	}
	// What the kernel gave counts, not what was asked for: it doubles that, and
	// caps it where SO_RCVBUFFORCE is not allowed.
	buffer, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	if err != nil {
		buffer = 0
	}
	bus, err := newFDBus(f, opt.Clock, false)
	if err != nil {
		return nil, err
	}
	bus.buffer, bus.index = buffer, iface.Index
	return bus, nil
}

// socketError tells a kernel without CAN from other trouble.
func socketError(err error) error {
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EPROTONOSUPPORT),
		errors.Is(err, unix.ESOCKTNOSUPPORT), errors.Is(err, unix.EPROTOTYPE), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w (%w)", ErrNoCAN, err)
	}
	return fmt.Errorf("make socket: %w", err)
}

func setUp(fd, index int, opt SocketOptions) error {
	// Kernels before 3.6 have no CAN FD; classic frames still come.
	_ = unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1)
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, canErrMask); err != nil {
		return fmt.Errorf("ask for error frames: %w", err)
	}
	if opt.Filters != nil {
		if err := unix.SetsockoptCanRawFilter(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, rawFilters(opt.Filters)); err != nil {
			return fmt.Errorf("set receive filter: %w", err)
		}
	}
	// FORCE needs CAP_NET_ADMIN; without it the kernel's limit rules.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, rxBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, rxBuffer)
	}
	switch err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: index}); {
	case errors.Is(err, unix.ENODEV):
		return link.ErrNotCAN
	case err != nil:
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func rawFilters(filters []Filter) []unix.CanFilter {
	if len(filters) > maxFilters {
		return make([]unix.CanFilter, 1) // passes every frame
	}
	out := make([]unix.CanFilter, len(filters))
	for i, f := range filters {
		out[i] = unix.CanFilter{Id: f.ID, Mask: f.Mask | flagExtended | flagRemote}
		if f.Extended {
			out[i].Id |= flagExtended
		}
	}
	return out
}
