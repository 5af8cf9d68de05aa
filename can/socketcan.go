package can

import (
	"context"
	"errors"
	"strings"

	"obu/internal/clock"
)

// Sentinels of opening a device, beside those of package link.
var (
	// ErrNoCAN: the running kernel knows no CAN sockets. Load the module:
	// modprobe can_raw (and the driver of the controller).
	ErrNoCAN = errors.New("kernel has no CAN: load module can_raw")
	// ErrDown: the interface exists and is down. Bring it up: ip link set can0
	// up type can bitrate 500000 restart-ms 1000 (without restart-ms the
	// controller stays deaf after a bus-off).
	ErrDown = errors.New("interface is down")
)

// Filter passes frames whose identifier equals ID in the bits of Mask. The
// width of the identifier counts too.
type Filter struct {
	ID, Mask uint32
	Extended bool
}

// OBDFilters pass the requests and answers of ISO 15765-4, and every tester
// that silences the agent: the largest saving on a busy bus, since other frames
// never wake the unit. What they hold back the driver counts (link.State): it
// loads the bus, and is a sign of life.
func OBDFilters() []Filter {
	return []Filter{
		{ID: 0x700, Mask: 0x700},
		{ID: idTesterBMW, Mask: maskStandard},
		{ID: idTesterGM, Mask: maskStandard},
		{ID: idResponse29, Mask: 0x1FFFFF00, Extended: true},
		{ID: 0x18DA00F0, Mask: 0x1FFF00F0, Extended: true},
		{ID: 0x18DB00F0, Mask: 0x1FFF00F0, Extended: true},
	}
}

// SocketOptions are the settings of a SocketCAN bus.
type SocketOptions struct {
	Clock   *clock.Clock
	Filters []Filter // nil: every frame
}

// Device returns the Dialer of a device as it is written in the
// configuration: an interface name ("can0"), or "unix:PATH".
func Device(name string, opt SocketOptions) Dialer {
	if path, ok := strings.CutPrefix(name, "unix:"); ok {
		return func(ctx context.Context) (Bus, error) { return DialUnix(ctx, path, opt.Clock) }
	}
	return socketDialer(name, opt)
}
