// Package can reads a CAN bus and turns OBD-II answers, and what DBC files
// explain or a J1939 network says, into samples. A Bus is
// SocketCAN, a unix socket that carries the same frames, an in-memory Pair or
// a log of candump and other programs; a Source reads one Bus and, on a live one, asks the ECUs for
// the configured PIDs (SAE J1979 over ISO 15765-4, ISO 15765-2).
//
// The car comes first: everything transmitted passes one allow-list, the
// agent listens before it asks, keeps below a request rate, falls silent
// beside another tester, on error frames and when the engine is off. A
// recording is receive-only: nothing is asked, every overheard answer is read.
//
// The bit rate the system or the technician gave the interface counts as
// proved, so a silent bus is asked, too, until the first error frame; then it
// waits. A Managed interface is brought up here, and its bit rate found by
// listening first. The package knows neither disk nor network. Values have
// the units of package telemetry; times are telemetry.At, from the kernel's
// receive stamp where there is one. New starts nothing; Run owns the
// goroutines: one that receives, on a live bus one that asks and one that
// keeps the books.
package can

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// Config is one CAN device.
type Config struct {
	Name  string // of the bus in telemetry.Source: "can0"
	Dial  Dialer
	OBD   *OBDConfig // nil: OBD is neither asked for nor read
	Clock *clock.Clock
	// Databases explain what ECUs say without being asked. Of each signal the
	// changes go on, at most one a second, and once a minute what stays, unless
	// one of the Rules is about it.
	Databases []Database
	// Rules say what is passed on of signals, those that ECUs are asked for
	// included; the first one about a signal counts.
	Rules []Rule

	// UDS are the ECUs that are asked by UDS where OBD asks, too, and whose
	// answers to other testers are read.
	UDS []ECU

	// J1939 reads the bus as a network of SAE J1939; nil does not.
	J1939 *J1939Config

	// Emit takes samples; Event takes rare facts: the VIN, trouble codes. Both
	// are called by one goroutine at a time and own the slice only during the
	// call. A nil Event sends events to Emit.
	Emit  func([]telemetry.Sample)
	Event func([]telemetry.Sample)
	// Lost takes what was lost, summed up over a second. It may be nil.
	Lost func(telemetry.Gap)

	// Was returns what the process before this one left off, as it is now; it is
	// called by the first Run. Keep takes what the next one has to know, before
	// anything is sent. Both may be nil.
	Was  func() Backoff
	Keep func(Backoff)

	// Bitrate of the bus in bit/s, for the estimate of its load alone, where the
	// bus does not tell its own. 0 means DefaultBitrate.
	Bitrate int
	// Ignition reports whether the ignition is known to be on: a car that is
	// left alone is then asked again at once. nil: it is never known.
	Ignition func() bool
	Log      *slog.Logger // nil discards
}

// DefaultBitrate is the usual one of the diagnostic connector, in bit/s.
const DefaultBitrate = 500_000

// OBDConfig says what is asked for, and how carefully.
type OBDConfig struct {
	// Polls are the PIDs to ask for. Empty: every PID the ECUs support and
	// package obd has a formula for, each every obd.DefaultEvery.
	Polls []Poll
	// Every, when longer than obd.DefaultEvery, replaces it.
	Every time.Duration
	// Passive never asks: the answers to other testers are read.
	Passive bool
	// Listen is how long to listen before the first request; 0 means
	// DefaultListen, below 0 not at all.
	Listen time.Duration
	// Addressing is the width of the identifiers ECUs are asked with.
	Addressing Addressing
	// MaxRate narrows the requests per second below MaxRequestRate; 0 does not.
	MaxRate int
	// Several is how many PIDs are asked for in one request, up to 6, of ECUs
	// that take it; 0 and 1 ask for one at a time.
	Several int
	// SkipVIN never asks for the VIN.
	SkipVIN bool
	// Codes asks for stored, pending and permanent trouble codes each
	// CodesEvery (0 means DefaultCodesEvery), and at once when PID 01 says that
	// their number or the MIL has changed.
	Codes      bool
	CodesEvery time.Duration
	// Freeze asks for the freeze frame when an ECU has stored a new code.
	Freeze bool
	// Info asks for what ECUs say of themselves: names, calibrations, in-use
	// counters.
	Info bool
}

// Addressing is which identifiers of ISO 15765-4 a search for ECUs uses.
type Addressing uint8

// The ways to address ECUs.
const (
	AddressAuto Addressing = iota // 11 bits first, then 29
	Address11                     // 11 bits alone: 7DF
	Address29                     // 29 bits alone: 18DB33F1
)

// Poll is one PID of service 01 and how often to ask for it.
type Poll struct {
	PID      byte
	Every    time.Duration // at least MinPeriod
	OnChange bool          // tell a value only when it differs from the one before
}

// Source reads one CAN device.
type Source struct {
	cfg Config
	log *slog.Logger
	n   counters

	ecus map[ecuKey]*enhanced // of cfg.UDS
	book *book

	memory   *memory // of the session's receiving goroutine
	quiet    quiet   // of the session before
	recalled bool
	emitMu   sync.Mutex // Emit and Event are called by one goroutine at a time

	leftOut     []string // of the databases
	leftOutMore int

	since atomic.Int64 // At of the oldest value that may wait for its turn; never: none does
}

// never is later than any At.
const never telemetry.At = 1<<63 - 1

// ErrConfig is wrapped by what New refuses.
var ErrConfig = errors.New("wrong CAN configuration")

// New checks the configuration. It opens nothing.
func New(cfg Config) (*Source, error) {
	switch {
	case cfg.Name == "" || cfg.Dial == nil || cfg.Clock == nil || cfg.Emit == nil:
		return nil, fmt.Errorf("%w: Name, Dial, Clock and Emit are required", ErrConfig)
	case cfg.Bitrate < 0:
		return nil, fmt.Errorf("%w: bit rate %d", ErrConfig, cfg.Bitrate)
	}
	if cfg.OBD != nil {
		seen := [256]bool{}
		for _, p := range cfg.OBD.Polls {
			switch {
			case p.Every < MinPeriod:
				return nil, fmt.Errorf("%w: PID %02X every %v: the least is %v", ErrConfig, p.PID, p.Every, MinPeriod)
			case seen[p.PID]:
				return nil, fmt.Errorf("%w: PID %02X is listed twice", ErrConfig, p.PID)
			}
			seen[p.PID] = true
		}
	}
	if cfg.J1939 != nil {
		if err := cfg.J1939.check(); err != nil {
			return nil, err
		}
	}
	ecus, err := compileECUs(cfg.UDS, cfg.Name)
	if err != nil {
		return nil, err
	}
	if cfg.Bitrate == 0 {
		cfg.Bitrate = DefaultBitrate
	}
	if cfg.Event == nil {
		cfg.Event = cfg.Emit
	}
	if cfg.Lost == nil {
		cfg.Lost = func(telemetry.Gap) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{cfg: cfg, ecus: ecus, book: newBook(ecus, cfg.UDS), memory: newMemory(), log: cfg.Log.With("bus", cfg.Name)}
	s.since.Store(int64(never))
	s.noteLeftOut()
	return s, nil
}

// Since is when the oldest of the values came that wait for their turn or the
// end of their curve, or may, or at when none is so old. It may be called at
// any time.
func (s *Source) Since(at telemetry.At) telemetry.At {
	return min(at, telemetry.At(s.since.Load()))
}

// Run opens the device and reads it until ctx ends or a recording is over
// (nil), or the device is lost (an error; open it again with Run).
func (s *Source) Run(ctx context.Context) error {
	s.recall()
	bus, err := s.cfg.Dial(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("open %s: %w", s.cfg.Name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := newSession(s, bus)
	stop := context.AfterFunc(ctx, func() { bus.Close() })
	defer stop()

	var tasks sync.WaitGroup
	if !r.replay {
		r.judgeBacklog()
		tasks.Go(func() { r.keepBooks(ctx) })
		if o := s.cfg.OBD; o != nil && !o.Passive && !r.mute {
			tasks.Go(func() { newPoller(r).run(ctx) })
		}
		if r.claimant != nil {
			tasks.Go(func() { r.claimant.run(ctx) })
		}
	}
	err = r.receive()
	asked := ctx.Err() != nil
	cancel()
	bus.Close()
	tasks.Wait()
	r.finish()
	if asked || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read %s: %w", s.cfg.Name, err)
}
