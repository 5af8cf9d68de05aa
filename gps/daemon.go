package gps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// ErrNoGpsd: nobody answers where gps.device says that gpsd is, or no longer.
// Start it (systemctl start gpsd), or correct the address.
var ErrNoGpsd = errors.New("no gpsd answers there")

const (
	gpsdScheme = "gpsd://"
	gpsdPort   = "2947"
	// gpsdWithin bounds connecting and asking: gpsd runs on this machine, or in
	// the same vehicle.
	gpsdWithin = 5 * time.Second
)

// daemon is a connection to a running gpsd, asked for its reports in JSON.
type daemon struct {
	net.Conn
	device string // the receiver to follow; "": the first that has something to say
}

// dialGpsd connects to HOST[:PORT][/DEVICE].
func dialGpsd(ctx context.Context, where string) (io.ReadCloser, error) {
	host, device, _ := strings.Cut(where, "/")
	if device != "" {
		device = "/" + device
	}
	addr := host
	if h, p, err := net.SplitHostPort(host); err != nil {
		addr = net.JoinHostPort(strings.Trim(host, "[]"), gpsdPort)
	} else {
		addr = net.JoinHostPort(h, p)
	}
	d := net.Dialer{Timeout: gpsdWithin}
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoGpsd, err)
	}
	_ = c.SetWriteDeadline(time.Now().Add(gpsdWithin))
	if _, err := io.WriteString(c, "?WATCH={\"enable\":true,\"json\":true}\n"); err != nil {
		c.Close()
		return nil, fmt.Errorf("ask gpsd at %s: %w: %w", addr, ErrGone, err)
	}
	return &daemon{Conn: c, device: device}, nil
}
