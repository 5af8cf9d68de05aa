package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
)

// link is a TCP connection between agent and broker that can be cut. It counts
// the bytes that crossed it, in both directions.
type link struct {
	URL   string // what the agent is told to connect to
	Bytes atomic.Int64

	listener net.Listener
	target   string
	wg       sync.WaitGroup

	mu    sync.Mutex
	down  bool                  // under mu
	conns map[net.Conn]struct{} // under mu
}

// newLink opens a link to the broker behind a URL.
func newLink(broker string) (*link, error) {
	u, err := url.Parse(broker)
	if err != nil {
		return nil, fmt.Errorf("parse broker URL: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for link: %w", err)
	}
	k := &link{URL: "mqtt://" + l.Addr().String(), listener: l, target: u.Host, conns: make(map[net.Conn]struct{})}
	k.wg.Go(k.accept)
	return k, nil
}

func (k *link) accept() {
	for {
		c, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.wg.Go(func() { k.carry(c) })
	}
}

// carry copies between one agent connection and the broker until either ends.
func (k *link) carry(agent net.Conn) {
	defer agent.Close()
	broker, err := net.Dial("tcp", k.target)
	if err != nil {
		return
	}
	defer broker.Close()
	if !k.keep(agent, broker) {
		return
	}
	defer k.forget(agent, broker)
	var both sync.WaitGroup
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(countingWriter{dst, &k.Bytes}, src)
		agent.Close() // one direction is over: so is the other
		broker.Close()
	}
	both.Go(func() { pipe(broker, agent) })
	both.Go(func() { pipe(agent, broker) })
	both.Wait()
}

// keep remembers connections to cut; false while the link is down.
func (k *link) keep(conns ...net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down {
		return false
	}
	for _, c := range conns {
		k.conns[c] = struct{}{}
	}
	return true
}

func (k *link) forget(conns ...net.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range conns {
		delete(k.conns, c)
	}
}

// Cut ends every connection and refuses new ones.
func (k *link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = true
	for c := range k.conns {
		c.Close()
	}
}

// Restore lets connections through again.
func (k *link) Restore() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.down = false
}

// Close ends the link for good.
func (k *link) Close() error {
	err := k.listener.Close()
	k.Cut()
	k.wg.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

type countingWriter struct {
	w io.Writer
	n *atomic.Int64
}

func (c countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n.Add(int64(n))
	return n, err
}
