package acceptance_test

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// routerQueue is how much of the link a sender may be ahead before the wan
// stops reading from it, as a router's queue does.
const routerQueue = 100 * time.Millisecond

// wan is a link of given delay and rate to a target that can be moved, as a
// load balancer moves its clients to a living node. Down, nothing gets through.
type wan struct {
	Delay time.Duration // one way
	Rate  int           // bytes/s each way; 0: unlimited

	listener net.Listener
	target   atomic.Pointer[string]
	down     atomic.Bool
	up       atomic.Int64 // bytes towards the target
	back     atomic.Int64
	first    atomic.Int64 // nanoseconds since the epoch when the first byte went up, since reset
	last     atomic.Int64 // when the last one did

	mu    sync.Mutex // guards conns
	conns map[net.Conn]bool
}

// open starts the link; the end of the test ends it.
func (w *wan) open(t *testing.T, target string) *wan {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.listener, w.conns = l, make(map[net.Conn]bool)
	w.target.Store(&target)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		w.cut()
	})
	return w
}

func (w *wan) URL() string     { return "mqtt://" + w.listener.Addr().String() }
func (w *wan) Address() string { return w.listener.Addr().String() }
func (w *wan) Port() int       { return w.listener.Addr().(*net.TCPAddr).Port }

// move sends every later connection elsewhere.
func (w *wan) move(target string) { w.target.Store(&target) }

// cut ends all connections.
func (w *wan) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		c.Close()
	}
}

// reset begins a new count.
func (w *wan) reset() {
	w.up.Store(0)
	w.back.Store(0)
	w.first.Store(0)
	w.last.Store(0)
}

func (w *wan) keep(c net.Conn, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on {
		w.conns[c] = true
	} else {
		delete(w.conns, c)
	}
}

func (w *wan) carry(client net.Conn) {
	defer client.Close()
	if w.down.Load() {
		return
	}
	server, err := net.Dial("tcp", *w.target.Load())
	if err != nil {
		return
	}
	defer server.Close()
	w.keep(client, true)
	w.keep(server, true)
	defer w.keep(client, false)
	defer w.keep(server, false)
	var both sync.WaitGroup
	both.Go(func() { w.relay(server, client, &w.up); client.Close(); server.Close() })
	both.Go(func() { w.relay(client, server, &w.back); client.Close(); server.Close() })
	both.Wait()
}

// relay moves bytes one way: they wait for their turn at the rate and arrive
// after the delay.
func (w *wan) relay(dst, src net.Conn, count *atomic.Int64) {
	type piece struct {
		data []byte
		due  time.Time
	}
	air := make(chan piece, 4096)
	var arrive sync.WaitGroup
	arrive.Go(func() {
		failed := false
		for p := range air {
			time.Sleep(time.Until(p.due))
			if !failed {
				_, err := dst.Write(p.data)
				failed = err != nil
			}
		}
	})
	free := time.Now() // when the link is through with what it has
	for {
		buf := make([]byte, 16<<10)
		n, err := src.Read(buf)
		if n > 0 {
			now := time.Now()
			if w.Rate > 0 {
				free = later(free, now).Add(time.Duration(n) * time.Second / time.Duration(w.Rate))
				time.Sleep(time.Until(free.Add(-routerQueue)))
			} else {
				free = now
			}
			count.Add(int64(n))
			if count == &w.up {
				w.first.CompareAndSwap(0, now.UnixNano())
				w.last.Store(time.Now().UnixNano())
			}
			air <- piece{buf[:n], free.Add(w.Delay)}
		}
		if err != nil {
			break
		}
	}
	close(air)
	arrive.Wait()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
