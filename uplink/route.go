package uplink

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// noRoute is what Config.Route says while there is no way out.
const noRoute = ""

// unknownRoute is the way out of a unit whose connections are not the kernel's.
const unknownRoute = "unknown"

// anywhere is an address nobody has (RFC 5737): the way there is the default
// route.
const anywhere = "192.0.2.1"

// routeTo returns the address the kernel would send from to the broker now: a
// UDP socket that is connected and never written to. A broker by name is taken
// for one behind the default route, since resolving it would need the network.
func routeTo(c *Config) func() string {
	e, err := parseBroker(c.Broker)
	if c.Dial != nil || err != nil {
		return func() string { return unknownRoute }
	}
	host := e.host
	switch {
	case host == "localhost":
		host = "127.0.0.1"
	case net.ParseIP(host) == nil:
		host = anywhere
	}
	return func() string {
		c, err := net.Dial("udp", net.JoinHostPort(host, "9"))
		if err != nil {
			return noRoute
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).IP.String()
	}
}

// pause waits before the next attempt, less when the unit's way out changes
// meanwhile: the car left the tunnel. It returns the way out it has then.
func (u *Uplink) pause(ctx context.Context, wait time.Duration, was string) string {
	until := time.Now().Add(wait)
	for left := wait; left > 0; left = time.Until(until) {
		if !sleep(ctx, min(left, routeEvery)) {
			return was
		}
		if is := u.route(); is != was {
			if was = is; is != noRoute {
				until = time.Now().Add(min(time.Until(until), rand.N(min(localWindow, u.cfg.BackoffMax))))
			}
		}
	}
	return was
}
