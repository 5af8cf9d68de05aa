package can

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"obu/can/link"
)

// Managed is an interface that the agent brings up itself.
type Managed struct {
	Link link.Interface
	Dial Dialer // opens the interface when it is up
	// Hear opens it for the search of the bit rate: every frame passes. nil: Dial.
	Hear Dialer
	// Bitrate is the technician's, and counts as proof; 0 searches for it.
	Bitrate int
	// Passive says that nothing will be sent: the controller then does not even
	// acknowledge.
	Passive bool
	// Ignition reports whether the ignition is known to be on. Only then a silent
	// bus is asked for its bit rate. nil: it is never known.
	Ignition func() bool
	// Was and Keep are those of Config, for the search of the bit rate.
	Was  func() Backoff
	Keep func(Probing)
	Log  *slog.Logger // nil discards
}

// restartAfter is how long a controller stays off after bus-off.
const restartAfter = time.Second

// Sentinels of the search for a bit rate.
var (
	// ErrSilent: nothing was heard at any bit rate. Turn the ignition on, or
	// write the bit rate as a number.
	ErrSilent = errors.New("bus is silent: its bit rate is not known")
	// ErrUnreadable: there is traffic at none of the bit rates that are tried.
	// Check the wiring; write the bit rate as a number.
	ErrUnreadable = errors.New("bus is not readable at any bit rate that is tried")
	// ErrProbeFailed: the controller counted an error, or the driver reported
	// one, when the silent bus was asked. It is asked again later.
	ErrProbeFailed = errors.New("silent bus answered a request with an error")
)

// Dialer returns a Dialer that brings the interface up and opens it. While the
// bit rate is not found it returns an error of this package; each call listens
// to all rates once.
func (m Managed) Dialer() Dialer {
	if m.Hear == nil {
		m.Hear = m.Dial
	}
	if m.Log == nil {
		m.Log = slog.New(slog.DiscardHandler)
	}
	s := &rateSearch{Managed: m, rates: listenRates}
	return s.dial
}

// dial is called by one goroutine at a time.
func (s *rateSearch) dial(ctx context.Context) (Bus, error) {
	rate := s.Bitrate
	if rate == 0 {
		var err error
		if rate, err = s.find(ctx); err != nil {
			return nil, err
		}
	}
	// Diagnostics of ISO 15765-4 has two bit rates: at another one that was
	// found nothing is to be asked.
	mute := s.Passive || s.Bitrate == 0 && !isOBDRate(rate)
	want := link.Settings{Bitrate: rate, ListenOnly: mute, Restart: restartAfter}
	now, err := s.Link.State()
	if err != nil {
		return nil, s.plain(ctx, err)
	}
	if !now.Up || now.Settings != want {
		if err := s.Link.Set(want); err != nil {
			return nil, err
		}
	}
	bus, err := s.Dial(ctx)
	if err != nil {
		return nil, err
	}
	return &managedBus{Bus: bus, link: s.Link, rate: rate, mute: mute}, nil
}

// plain is why there is no such interface, where the kernel knows nothing of CAN
// at all: rtnetlink does not say it, a socket does.
func (s *rateSearch) plain(ctx context.Context, err error) error {
	if !errors.Is(err, link.ErrNoDevice) {
		return err
	}
	bus, why := s.Dial(ctx)
	if bus != nil {
		bus.Close()
	}
	if errors.Is(why, ErrNoCAN) {
		return why
	}
	return err
}

// managedBus is a bus of which the agent set the bit rate.
type managedBus struct {
	Bus
	link link.Interface
	rate int
	mute bool
}

// Bitrate returns that rate.
func (b *managedBus) Bitrate() int { return b.rate }

// ListenOnly reports that the controller sends nothing.
func (b *managedBus) ListenOnly() bool { return b.mute }

// LinkState asks the driver.
func (b *managedBus) LinkState() (link.State, error) { return b.link.State() }

// ReceiveBuffer returns that of the socket.
func (b *managedBus) ReceiveBuffer() int {
	if r, ok := b.Bus.(interface{ ReceiveBuffer() int }); ok {
		return r.ReceiveBuffer()
	}
	return 0
}

// hear opens the bus for a while and gives each frame to take, until that
// returns true. send, when not nil, is sent first.
func (s *rateSearch) hear(ctx context.Context, d time.Duration, send *Frame, take func(*Frame) bool) error {
	bus, err := s.Hear(ctx)
	if err != nil {
		return err
	}
	defer bus.Close()
	until, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	stop := context.AfterFunc(until, func() { bus.Close() })
	defer stop()
	if send != nil {
		if !allowedRequest(send) {
			return errForbidden
		}
		if err := bus.Send(*send); err != nil {
			return fmt.Errorf("%w: %w", ErrProbeFailed, err)
		}
	}
	for {
		f, err := bus.Receive()
		if err != nil {
			if until.Err() != nil {
				return ctx.Err() // the time is over
			}
			return err
		}
		if take(&f) {
			return nil
		}
	}
}
