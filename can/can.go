// Package can reads a CAN bus and turns OBD-II answers into samples. A Bus is
// SocketCAN, a unix socket that carries the same frames, an in-memory Pair or
// a candump log; a Source reads one Bus and, on a live one, asks the ECUs for
// the configured PIDs (SAE J1979 over ISO 15765-4, ISO 15765-2).
//
// The car comes first: everything transmitted passes one allow-list, the
// agent listens before it asks, keeps below a request rate, falls silent
// beside another tester, on error frames and when the engine is off. A
// recording is receive-only: nothing is asked, every overheard answer is read.
//
// It does not set bit rates, and knows neither disk nor network. Values have
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

	"obu/can/isotp"
	"obu/can/obd"
	"obu/internal/clock"
	"obu/telemetry"
)

// Config is one CAN device.
type Config struct {
	Name  string // of the bus in telemetry.Source: "can0"
	Dial  Dialer
	OBD   *OBDConfig // nil: OBD is neither asked for nor read
	Clock *clock.Clock

	// Emit takes samples; Event takes rare facts: the VIN, trouble codes. Both
	// are called by one goroutine at a time and own the slice only during the
	// call. A nil Event sends events to Emit.
	Emit  func([]telemetry.Sample)
	Event func([]telemetry.Sample)
	// Lost takes what was lost, summed up over a second. It may be nil.
	Lost func(telemetry.Gap)

	// Bitrate of the bus in bit/s, for the estimate of its load; 0 means 500k.
	Bitrate int
	Log     *slog.Logger // nil discards
}

// DefaultBitrate is the usual one of the diagnostic connector, in bit/s.
const DefaultBitrate = 500_000

// OBDConfig says what is asked for, and how carefully.
type OBDConfig struct {
	// Polls are the PIDs to ask for. Empty: every PID the ECUs support and
	// package obd has a formula for, each every obd.DefaultEvery.
	Polls []Poll
	// Passive never asks: the answers to other testers are read.
	Passive bool
	// Listen is how long to listen before the first request; 0 means
	// DefaultListen, below 0 not at all.
	Listen time.Duration
	// MaxRate narrows the requests per second below MaxRequestRate; 0 does not.
	MaxRate int
	// SkipVIN never asks for the VIN.
	SkipVIN bool
}

// Poll is one PID of service 01 and how often to ask for it.
type Poll struct {
	PID   byte
	Every time.Duration // at least MinPeriod
}

// Source reads one CAN device.
type Source struct {
	cfg Config
	log *slog.Logger
	n   counters

	emitMu sync.Mutex // Emit and Event are called by one goroutine at a time
}

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
	return &Source{cfg: cfg, log: cfg.Log.With("bus", cfg.Name)}, nil
}

// Run opens the device and reads it until ctx ends or a recording is over
// (nil), or the device is lost (an error; open it again with Run).
func (s *Source) Run(ctx context.Context) error {
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
		tasks.Go(func() { r.keepBooks(ctx) })
		if o := s.cfg.OBD; o != nil && !o.Passive {
			tasks.Go(func() { newPoller(r).run(ctx) })
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

// session is one life of the device, from open to lost.
type session struct {
	*Source
	bus    Bus
	replay bool
	losses losses
	gate   *gate

	heard  atomic.Int64  // time.Now in ns of the last frame, for the poller
	bits   atomic.Uint64 // on the bus since the last look
	poller atomic.Pointer[poller]

	mu      sync.Mutex // guards what follows
	dec     *decoder
	names   addresses
	samples []telemetry.Sample
	drops   uint64 // of the bus, already listed
	flushed telemetry.At
}

func newSession(s *Source, bus Bus) *session {
	r := &session{Source: s, bus: bus, names: make(addresses)}
	if b, ok := bus.(interface{ ReceiveOnly() bool }); ok {
		r.replay = b.ReceiveOnly()
	}
	r.losses = losses{boot: s.cfg.Clock.Boot(), lost: s.cfg.Lost}
	r.gate = newGate(r)
	var permit func(uint32, []byte) bool
	var reply func(uint32, isotp.FlowControl)
	if !r.replay && s.cfg.OBD != nil && !s.cfg.OBD.Passive {
		permit, reply = r.gate.permit, r.gate.flowControl
	}
	r.dec = newDecoder(&decoder{answer: r.answer, read: r.read, failed: r.failed}, r.damaged, permit, reply)
	return r
}

// receive is the loop of Run's own goroutine.
func (r *session) receive() error {
	var f Frame // one for all: it escapes
	for {
		var err error
		if f, err = r.bus.Receive(); err != nil {
			return err
		}
		r.n.frames.Add(1)
		r.bits.Add(frameBits(&f))
		if f.Error {
			r.errorFrame(&f)
			continue
		}
		if !r.replay {
			r.heard.Store(time.Now().UnixNano())
			if isRequest(&f) {
				r.gate.otherTester()
			}
		}
		r.mu.Lock()
		if r.cfg.OBD != nil {
			r.dec.frame(&f)
		}
		if r.replay && f.At.Sub(r.flushed) >= bookEvery {
			r.flushed = f.At
			r.books(f.At)
		}
		r.mu.Unlock()
	}
}

// answer hears every payload an ECU sent. r.mu is held.
func (r *session) answer(ecu ecuKey, payload []byte) {
	if _, code, ok := obd.ParseNegative(payload); ok {
		r.n.negative(code)
	} else if obd.Known(payload[0]) {
		r.n.responses.Add(1)
	}
	if p := r.poller.Load(); p != nil {
		p.hear(ecu, payload)
	}
}

// read turns readings into samples. r.mu is held.
func (r *session) read(at telemetry.At, ecu ecuKey, payload []byte, readings []obd.Reading) {
	if !r.wanted(payload) {
		return
	}
	src := telemetry.Source{Bus: r.cfg.Name, Address: r.names.name(ecu), Method: "obd"}
	r.samples = r.samples[:0]
	for _, rd := range readings {
		r.samples = append(r.samples, telemetry.Sample{At: at, Signal: rd.Signal, Source: src, Value: rd.Value, Quality: rd.Quality})
	}
	if payload[0] == obd.ServiceCurrent+obd.PositiveOffset {
		r.emit(r.samples)
		return
	}
	r.event(r.samples)
}

// wanted reports whether an answer is to be passed on: on a recording all
// are, on a live bus those asked for, whoever asked.
func (r *session) wanted(payload []byte) bool {
	p := r.poller.Load()
	return p == nil || payload[0] != obd.ServiceCurrent+obd.PositiveOffset || p.wants(payload[1])
}

func (r *session) emit(samples []telemetry.Sample) {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	r.n.samples.Add(uint64(len(samples)))
	r.cfg.Emit(samples)
}

func (r *session) event(samples []telemetry.Sample) {
	r.emitMu.Lock()
	defer r.emitMu.Unlock()
	r.n.samples.Add(uint64(len(samples)))
	r.cfg.Event(samples)
}

func (r *session) failed(at telemetry.At, ecu ecuKey, err error) {
	r.n.decodeErrors.Add(1)
	r.losses.add(lossKey{telemetry.ReasonDecode, r.source(ecu)}, at, 1)
	r.log.Debug("answer cannot be read", "ecu", r.names.name(ecu), "error", err)
}

func (r *session) damaged(f isotp.Fault) {
	r.n.transfers[f.Reason].Add(1)
	r.losses.add(lossKey{telemetry.ReasonDecode, r.source(ecuKey(f.ID))}, f.At, 1)
	r.log.Debug("transfer broke", "ecu", r.names.name(ecuKey(f.ID)), "reason", f.Reason, "got", f.Got, "want", f.Want)
}

func (r *session) source(ecu ecuKey) telemetry.Source {
	return telemetry.Source{Bus: r.cfg.Name, Address: r.names.name(ecu), Method: "obd"}
}

// errorFrame takes a report of the controller.
func (r *session) errorFrame(f *Frame) {
	r.n.errorFrames.Add(1)
	why := telemetry.ReasonBusError
	if overran(f) {
		why = telemetry.ReasonRXOverflow
	}
	r.losses.add(lossKey{why, telemetry.Source{Bus: r.cfg.Name}}, f.At, 1)
	r.gate.errorSeen()
}

// bookEvery is how long losses are summed up before they are listed.
const bookEvery = time.Second

// keepBooks lists losses each second and measures the bus.
func (r *session) keepBooks(ctx context.Context) {
	tick := time.NewTicker(bookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := r.cfg.Clock.Now()
		r.mu.Lock()
		r.dec.rx.Expire(now)
		r.books(now)
		r.mu.Unlock()
		load := r.bits.Swap(0) * 1000 / uint64(r.cfg.Bitrate)
		r.n.loadPermille.Store(load)
	}
}

// books lists what was lost since it was called last. r.mu is held.
func (r *session) books(now telemetry.At) {
	if d := r.bus.Drops(); d != r.drops {
		why := telemetry.ReasonRXOverflow
		if r.replay {
			why = telemetry.ReasonDecode // lines that could not be read
		}
		r.n.drops.Add(d - r.drops)
		r.losses.add(lossKey{why, telemetry.Source{Bus: r.cfg.Name}}, now, int64(d-r.drops))
		r.drops = d
	}
	r.losses.flush()
}

// finish closes the books.
func (r *session) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dec.rx.Flush()
	r.books(r.cfg.Clock.Now())
}
