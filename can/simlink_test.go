package can_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"obu/can"
	"obu/can/link"
	"obu/internal/clock"
)

// simulated is a controller and the bus behind it, with what the emulated ones
// of the rig lack: bit timing, acknowledgement, error counters, bus-off. It
// keeps everything that went onto the wire.
type simulated struct {
	clk       *clock.Clock
	rate      int           // of the bus
	speaks    time.Duration // an ECU sends a frame each; 0: the bus is silent
	noise     time.Duration // something breaks each frame it sees, each; 0: nothing
	asleep    bool          // nobody acknowledges
	mutes     bool          // the driver sends no error frames: only the counters tell
	uncounted bool          // the driver does not tell its counters
	answer    func(can.Frame) []can.Frame

	mu    sync.Mutex // guards what follows
	now   link.State
	bus   *simBus
	wire  []sent
	sets  []link.Settings
	fails error // of Set
}

// sent is one frame that the controller put onto the wire.
type sent struct {
	at      time.Time
	frame   can.Frame
	rate    int
	oneShot bool
	good    bool // it was acknowledged
}

var errListenOnly = errors.New("controller only listens")

func (s *simulated) Set(want link.Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return s.fails
	}
	if s.bus != nil {
		s.bus.end()
	}
	s.sets = append(s.sets, want)
	s.now = link.State{Settings: want, Up: true, Counts: true}
	return nil
}

func (s *simulated) State() (link.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now
	if s.uncounted {
		now.Counts, now.TXErrors, now.RXErrors, now.State = false, 0, 0, can.ControllerActive
	}
	return now, nil
}

// dial opens the interface.
func (s *simulated) dial(context.Context) (can.Bus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.now.Up {
		return nil, can.ErrDown
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &simBus{s: s, in: make(chan can.Frame, 256), done: ctx.Done(), end: cancel}
	s.bus = b
	go b.live(ctx)
	return b, nil
}

// managed returns the Dialer under test.
func (s *simulated) managed(m can.Managed) can.Dialer {
	m.Link, m.Dial = s, s.dial
	return m.Dialer()
}

// sentFrames returns what went onto the wire.
func (s *simulated) sentFrames() []sent {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sent(nil), s.wire...)
}

// settings returns what the interface was set to, in order.
func (s *simulated) settings() []link.Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]link.Settings(nil), s.sets...)
}

type simBus struct {
	s    *simulated
	in   chan can.Frame
	done <-chan struct{}
	end  func()
}

// live is what happens on the wire without the controller's doing.
func (b *simBus) live(ctx context.Context) {
	every := b.s.speaks
	if every == 0 {
		every = b.s.noise
	}
	if every == 0 {
		return
	}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
		b.s.mu.Lock()
		if b.s.speaks > 0 && b.s.now.Bitrate == b.s.rate {
			b.deliver(can.Frame{ID: 0x100 + uint32(n%8), Len: 8})
		} else {
			b.failed(0x88, 0, 1)
		}
		b.s.mu.Unlock()
	}
}

// deliver hands a frame to the reader. s.mu is held.
func (b *simBus) deliver(f can.Frame) {
	f.At = b.s.clk.Now()
	select {
	case b.in <- f:
	default:
	}
}

// failed counts an error, as ISO 11898-1 does, and reports it. s.mu is held.
func (b *simBus) failed(class uint32, tx, rx int) {
	now := &b.s.now
	if now.ListenOnly { // counters stand still in this mode
		tx, rx = 0, 0
	}
	before := now.State
	t, r := int(now.TXErrors)+tx, int(now.RXErrors)+rx
	switch {
	case t > 255:
		now.State = can.ControllerBusOff
	case t > 127 || r > 127:
		now.State = can.ControllerPassive
	case t > 95 || r > 95:
		now.State = can.ControllerWarning
	}
	now.TXErrors, now.RXErrors = uint8(min(t, 255)), uint8(min(r, 255))
	if now.State == can.ControllerBusOff && before != now.State {
		b.deliver(report(0x40, 0, 0, 0)) // every driver tells that
		if now.Restart > 0 {
			time.AfterFunc(now.Restart, b.restart)
		}
		return
	}
	if b.s.mutes {
		return
	}
	detail := byte(0)
	if now.State != before {
		class |= 0x04
		detail = map[string]byte{can.ControllerWarning: 0x08, can.ControllerPassive: 0x20}[now.State]
	}
	b.deliver(report(class|0x200, detail, now.TXErrors, now.RXErrors))
}

// restart ends bus-off.
func (b *simBus) restart() {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	b.s.now.State, b.s.now.TXErrors, b.s.now.RXErrors = can.ControllerActive, 0, 0
	b.deliver(report(0x100, 0, 0, 0))
}

// Send is one frame, repeated until it is acknowledged or the controller is
// off the bus, unless in one shot.
func (b *simBus) Send(f can.Frame) error {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	now := &b.s.now
	if now.ListenOnly {
		return errListenOnly
	}
	good := now.Bitrate == b.s.rate && !b.s.asleep
	for now.State != can.ControllerBusOff {
		b.s.wire = append(b.s.wire, sent{time.Now(), f, now.Bitrate, now.OneShot, good})
		if good {
			if b.s.answer != nil {
				for _, a := range b.s.answer(f) {
					b.deliver(a)
				}
			}
			return nil
		}
		b.failed(0xA8, 8, 0)
		if now.OneShot {
			return nil
		}
	}
	return nil
}

func (b *simBus) Receive() (can.Frame, error) {
	select {
	case f := <-b.in:
		return f, nil
	case <-b.done:
		return can.Frame{}, can.ErrClosed
	}
}

func (b *simBus) Drops() uint64 { return 0 }

func (b *simBus) Close() error { b.end(); return nil }
