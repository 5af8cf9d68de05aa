package brokertest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// Link is the wire between unit and broker. The zero value is a net.Pipe:
// no delay, no buffer, no limit.
type Link struct {
	Up     int           // bytes/s from the unit; 0: no limit
	Down   int           // bytes/s to the unit; 0: no limit
	Delay  time.Duration // one way
	Buffer int           // bytes a socket takes before Write blocks; 0: 64 KiB
}

// piece is what one wire carries at once: small enough that a rate is smooth.
const piece = 1024

// wire relays both directions of one connection.
type wire struct {
	ends  [2]net.Conn // broker-side ends of the two pipes
	mu    sync.Mutex
	drops bool
	up    int // bytes/s from the unit
	done  chan struct{}
	once  sync.Once
}

// pipe returns both ends of a connection over the link.
func (l Link) pipe(wg *sync.WaitGroup) (client, server net.Conn, w *wire) {
	if l == (Link{}) {
		client, server = net.Pipe()
		return client, server, nil
	}
	client, near := net.Pipe()
	far, server := net.Pipe()
	return client, server, l.join(wg, near, far)
}

// join relays between the broker-side ends of two connections.
func (l Link) join(wg *sync.WaitGroup, near, far net.Conn) *wire {
	w := &wire{ends: [2]net.Conn{near, far}, up: l.Up, done: make(chan struct{})}
	w.relay(wg, near, far, w.rateUp, l)
	w.relay(wg, far, near, func() int { return l.Down }, l)
	return w
}

func (w *wire) swallow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drops = true
}

func (w *wire) rateUp() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up
}

func (w *wire) throttle(up int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = up
}

func (w *wire) dropping() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.drops
}

func (w *wire) close() {
	w.once.Do(func() {
		close(w.done)
		w.ends[0].Close()
		w.ends[1].Close()
	})
}

// flight is one piece on its way.
type flight struct {
	data []byte
	due  time.Time
}

// relay moves bytes from src to dst: a reader fills the socket buffer, a pacer
// holds the rate, a deliverer the delay.
func (w *wire) relay(wg *sync.WaitGroup, src, dst net.Conn, rate func() int, l Link) {
	if l.Buffer == 0 {
		l.Buffer = 64 << 10
	}
	socket := make(chan []byte, max(1, l.Buffer/piece))
	air := make(chan flight, 1<<14)
	wg.Add(3)
	go func() { // reader
		defer wg.Done()
		defer close(socket)
		for {
			buf := make([]byte, piece)
			n, err := src.Read(buf)
			if err != nil {
				return
			}
			select {
			case socket <- buf[:n]:
			case <-w.done:
				return
			}
		}
	}()
	go func() { // pacer
		defer wg.Done()
		defer close(air)
		var free time.Time // when the wire has carried what came before: a late timer costs no rate
		for {
			idle := len(socket) == 0
			data, ok := <-socket
			if !ok {
				return
			}
			if now := time.Now(); idle && free.Before(now) {
				free = now
			}
			if r := rate(); r > 0 {
				free = free.Add(time.Duration(len(data)) * time.Second / time.Duration(r))
				if !w.pause(time.Until(free)) {
					return
				}
			}
			select {
			case air <- flight{data, time.Now().Add(l.Delay)}:
			case <-w.done:
				return
			}
		}
	}()
	go func() { // deliverer
		defer wg.Done()
		defer w.close()
		for f := range air {
			if !w.pause(time.Until(f.due)) {
				return
			}
			if w.dropping() {
				continue
			}
			if _, err := dst.Write(f.data); err != nil {
				return
			}
		}
		if w.dropping() {
			<-w.done
		}
	}()
}

func (w *wire) pause(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.done:
		return false
	}
}

var errTooLarge = errors.New("packet too large")

// readPacket reads one packet and fails, as brokers do, at the header of one
// that is larger than max.
func readPacket(r io.Reader, max int) (packets.ControlPacket, error) {
	if max <= 0 {
		return packets.ReadPacket(r)
	}
	var head []byte
	length, shift := 0, 0
	for {
		var b [1]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return nil, err
		}
		head = append(head, b[0])
		if len(head) == 1 {
			continue
		}
		length |= int(b[0]&0x7f) << shift
		shift += 7
		if b[0]&0x80 == 0 {
			break
		}
	}
	if length > max {
		return nil, errTooLarge
	}
	return packets.ReadPacket(io.MultiReader(bytes.NewReader(head), r))
}
