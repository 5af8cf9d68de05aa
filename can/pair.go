package can

import (
	"sync"
	"sync/atomic"

	"obu/internal/clock"
)

// pairQueue is how many frames wait for a slow reader of a Pair before
// further ones are dropped and counted: about 30 ms of a full 500 kbit/s bus.
const pairQueue = 128

// Pair returns two ends of one in-memory bus, for simulators and tests: what
// one sends, the other receives, stamped with clk at the moment of sending. A
// frame that finds the reader's queue full is dropped and counted there.
// Closing one end closes both.
func Pair(clk *clock.Clock) (Bus, Bus) {
	w := &wire{clk: clk, done: make(chan struct{})}
	a := &pairBus{wire: w, in: make(chan Frame, pairQueue)}
	b := &pairBus{wire: w, in: make(chan Frame, pairQueue)}
	a.peer, b.peer = b, a
	return a, b
}

type wire struct {
	clk  *clock.Clock
	once sync.Once
	done chan struct{}
}

type pairBus struct {
	*wire
	peer  *pairBus
	in    chan Frame
	drops atomic.Uint64
}

func (p *pairBus) Receive() (Frame, error) {
	select {
	case f := <-p.in:
		return f, nil
	default:
	}
	select {
	case f := <-p.in:
		return f, nil
	case <-p.done:
		return Frame{}, ErrClosed
	}
}

func (p *pairBus) Send(f Frame) error {
	if err := f.Validate(); err != nil {
		return err
	}
	select {
	case <-p.done:
		return ErrClosed
	default:
	}
	f.At, f.ReadTime = p.clk.Now(), false
	select {
	case p.peer.in <- f:
	default:
		p.peer.drops.Add(1)
	}
	return nil
}

func (p *pairBus) Drops() uint64 { return p.drops.Load() }

func (p *pairBus) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}
