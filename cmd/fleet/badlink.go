package main

import (
	"context"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// swallowFor is how long a bad link swallows before it is cut: long enough
// for a flush of every agent.
const swallowFor = 1500 * time.Millisecond

// dial returns a dialler whose first connection goes bad as the faults say.
func (f faults) dial(broker string) func(context.Context) (net.Conn, error) {
	var once sync.Once
	return func(ctx context.Context) (net.Conn, error) {
		u, err := url.Parse(broker)
		if err != nil {
			return nil, err
		}
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return nil, err
		}
		once.Do(func() {
			bad := &badLink{Conn: c}
			c = bad
			after, flag := f.swallow, &bad.swallow
			if f.mute > 0 {
				after, flag = f.mute, &bad.mute
			}
			time.AfterFunc(after, func() { flag.Store(true) })
			time.AfterFunc(after+swallowFor, bad.reset)
		})
		return c, nil
	}
}

// badLink is a connection that says "sent" and sends nothing, or hears
// nothing, as a cellular link does that is dead and not yet known to be.
type badLink struct {
	net.Conn
	swallow, mute, dead atomic.Bool
}

// reset ends the connection as a peer's RST does.
func (b *badLink) reset() {
	b.dead.Store(true)
	_ = b.Conn.SetDeadline(time.Unix(1, 0)) // closed already: so much the better
}

func (b *badLink) Write(p []byte) (int, error) {
	switch {
	case b.dead.Load():
		return 0, syscall.ECONNRESET
	case b.swallow.Load():
		return len(p), nil
	}
	return b.Conn.Write(p)
}

func (b *badLink) Read(p []byte) (int, error) {
	for {
		n, err := b.Conn.Read(p)
		if err != nil && b.dead.Load() {
			return 0, syscall.ECONNRESET
		}
		if err != nil || !b.mute.Load() {
			return n, err
		}
	}
}
