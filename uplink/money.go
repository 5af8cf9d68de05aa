package uplink

import (
	"context"
	"errors"
	"net"
	"time"

	"obu/telemetry"
)

// Bounds of looking for a free network while the link costs money.
const (
	seekEvery   = 30 * time.Second // one look costs a route and no packet
	seekRetry   = 5 * time.Minute  // after a free network that does not lead to the broker
	seekTimeout = 20 * time.Second // of the trial connection
)

// errMoving ends a session that a better link replaces.
var errMoving = errors.New("moving to a free network")

// Network tells which interface carries a connection.
type Network interface {
	// Interface names the one that has a local address, "" when none has.
	Interface(local net.Addr) string
	// Route names the one over which a new connection to remote would leave now,
	// "" when there is none.
	Route(remote net.Addr) string
}

// kernelNetwork asks the kernel.
type kernelNetwork struct{}

func (kernelNetwork) Interface(local net.Addr) string {
	var ip net.IP
	switch a := local.(type) {
	case *net.TCPAddr:
		ip = a.IP
	case *net.UDPAddr:
		ip = a.IP
	default:
		return ""
	}
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range all {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
				return i.Name
			}
		}
	}
	return ""
}

// Route connects a datagram socket, for which the kernel looks up the route and
// sends nothing.
func (k kernelNetwork) Route(remote net.Addr) string {
	a, ok := remote.(*net.TCPAddr)
	if !ok {
		return ""
	}
	c, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: a.IP, Port: a.Port, Zone: a.Zone})
	if err != nil {
		return ""
	}
	defer c.Close()
	return k.Interface(c.LocalAddr())
}

// opened tells the budget over which link a connection goes. What was spent
// before belongs to the link before.
func (u *Uplink) opened(c net.Conn) {
	u.account(nil)
	link := u.cfg.Budget.Connected(u.cfg.Network.Interface(c.LocalAddr()))
	u.cfg.Log.Debug("uplink: link", "interface", link.Interface, "metered", link.Metered)
}

// account tells the budget what crossed the wire since it was told last.
func (u *Uplink) account(s *Session) {
	if s != nil {
		s.count.settle()
	}
	more := u.wire.usage().Minus(u.told)
	more.Control = max(more.Control, 0) // a class may account late for what counted as control
	u.told = u.told.Plus(more)
	u.cfg.Budget.Spent(more)
}

// liveEvery is how often live leaves over the running session's link.
func (p *pump) liveEvery() time.Duration { return max(p.u.cfg.LiveEvery, p.plan.LiveEvery) }

// behind returns how many batches live may be behind: three groups, and at
// least liveBehind.
func (p *pump) behind() uint64 { return max(liveBehind, 3*uint64(p.liveEvery()/time.Second)) }

// allowed reports whether what live has passed by may leave.
func (p *pump) allowed(c telemetry.Class) bool {
	switch c {
	case telemetry.ClassMedia:
		return p.plan.Media
	case telemetry.ClassEvent:
		return true
	}
	return p.plan.History
}

// seek is the search for a free network.
type seek struct {
	due    time.Time
	tried  chan error // the end of the trial connection; nil: none runs
	moving bool       // nothing new leaves in this session
}

// seekFree looks whether a free network leads to the broker. If one does, and a
// trial connection over it succeeds, the session ends as soon as nothing is in
// flight: a network without a way out must not cost the link that works.
func (p *pump) seekFree(ctx context.Context, now time.Time) {
	s, u := &p.seek, p.u
	if !p.plan.SeekFree || s.moving || s.tried != nil || now.Before(s.due) {
		return
	}
	s.due = now.Add(seekEvery)
	iface := u.cfg.Network.Route(p.sess.count.RemoteAddr())
	if iface == "" || !u.cfg.Budget.IsFree(iface) {
		return
	}
	s.tried = make(chan error, 1)
	tried := s.tried
	go func() { tried <- u.tryLink(ctx) }()
}

// tryLink connects to the broker as a session would, up to TLS.
func (u *Uplink) tryLink(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, seekTimeout)
	defer cancel()
	free := false
	c := SessionConfig{Broker: u.cfg.Broker, TLS: u.cfg.TLS, Dial: u.cfg.Dial, Now: u.cfg.Now,
		Opened: func(c net.Conn) { free = u.cfg.Budget.IsFree(u.cfg.Network.Interface(c.LocalAddr())) }}
	c.defaults()
	e, err := parseBroker(c.Broker)
	if err != nil {
		return err
	}
	tc, err := c.tlsConfig(e)
	if err != nil {
		return err
	}
	conn, _, err := c.open(ctx, e, tc)
	if err != nil {
		return err
	}
	conn.Close()
	if !free {
		return errors.New("it went over a metered link")
	}
	return nil
}

// sought takes the end of the trial connection.
func (p *pump) sought(err error, now time.Time) {
	p.seek.tried = nil
	if err != nil {
		p.seek.due = now.Add(seekRetry)
		p.u.cfg.Log.Info("uplink: a free network does not lead to the broker", "error", err, "try_again_in", seekRetry)
		return
	}
	p.u.cfg.Log.Info("uplink: a free network leads to the broker, moving to it")
	p.seek.moving = true
}
