// Package agent wires one car: sources to batcher, batcher to buffer, buffer
// to uplink, and tells what each of them did. It decides nothing that a room
// below can decide itself; it owns the order in which things start and stop.
//
// Custody of a datum goes source → batcher (memory) → buffer (disk) → the
// broker's PUBACK. One goroutine, the flush, moves it from the batcher to the
// buffer every flush_every; it is the only writer of telemetry.db. A lost
// device is opened again by its own supervisor and nobody else notices.
//
// Real, replayed and virtual cars differ in Devices and in the Clock and in
// nothing else. New starts nothing; Run owns every goroutine.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"obu/buffer"
	"obu/can"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/internal/trip"
	"obu/telemetry"
	"obu/uplink"
	"obu/uplink/budget"
)

// Devices is the only thing in which a real, a replayed and a virtual car
// differ.
type Devices struct {
	CAN       []CANDevice
	GPS       *GPSDevice
	Dashcam   []DashcamDevice
	Feed      Feed // values handed over past the poller; nil in real cars
	Simulated bool // everything sent is marked simulated
}

// CANDevice is one bus. Its Name selects the entry of the configuration's can
// list it belongs to, and is the Bus of every Source on it.
type CANDevice struct {
	Name string
	Dial can.Dialer
	// Managed, when not nil, is how the agent brings the interface up; it opens
	// it then. Bitrate, Passive and Ignition are the agent's to fill in.
	Managed *can.Managed
}

// GPSDevice is the receiver: Open is called again after it was lost.
type GPSDevice struct {
	Name string
	Open func(ctx context.Context) (io.ReadCloser, error)
	PPS  *PPSDevice // nil: none
}

// PPSDevice is the receiver's pulse per second. Run calls edge with each pulse,
// as clock.Clock.Pulse takes it, until ctx ends or the device is lost.
type PPSDevice struct {
	Name string
	Run  func(ctx context.Context, edge func(at telemetry.At, late time.Duration)) error
}

// DashcamDevice is one camera's folder. Drip, if set, runs beside it and fills
// the folder, as a replay does.
type DashcamDevice struct {
	Camera string
	Dir    string
	Drip   Drip
}

// Drip fills a camera's folder and calls placed after each file.
type Drip func(ctx context.Context, placed func(ctx context.Context, path string) error) error

// Feed emits values until ctx ends.
type Feed func(ctx context.Context, emit func([]telemetry.Sample)) error

// Deps is what the world outside gives an agent.
type Deps struct {
	Devices Devices
	Clock   *clock.Clock
	Log     *slog.Logger                                // nil: silent
	Dial    func(ctx context.Context) (net.Conn, error) // nil: as the broker's URL says
	Network uplink.Network                              // nil: the kernel tells which interface a link is
	Version string
	Hint    func(error) string // what a technician does about an error; nil: nothing is known
	// Databases explain the broadcast frames of a CAN device, by its name.
	Databases map[string][]can.Database
	// Zones are those of geofence; nil: none. They belong to this agent alone.
	Zones   *trip.Zones
	Warning string                              // shown in status, for example that the last good configuration runs
	Changed func() []string                     // nil; what to tell who asks for the status of files that were read at the start
	Backlog func(uplink.Backlog) uplink.Backlog // nil; tests of the fleet's checker put a fault between
	// Finite: the sources end by themselves (a replay). When all have ended,
	// Run drains what is stored, for at most DrainFor, and returns.
	// A source that fails then ends the run with its error.
	Finite   bool
	DrainFor time.Duration
	Started  func() // nil; called once when the store is open and every source starts
}

// Agent is one car's agent.
type Agent struct {
	cfg     config.Config
	cfgHash string // of cfg, which stays as it is
	deps    Deps
	log     *slog.Logger
	clock   *clock.Clock
	batch   *batcher
	private *privacy
	travel  travel
	track   *track // nil: every fix leaves at once
	trips   *trips // nil: nothing is told of them
	backoff *backoffs
	undated *undated
	wipes   chan telemetry.Command // an order to delete everything and begin anew
	sources []*source
	budget  *budget.Budget
	unkept  bool // the budget could not be kept last time; belongs to its loop

	diskFiles diskFiles

	mu       sync.Mutex // guards what follows; the parts exist only while Run runs
	start    time.Time
	buffer   *buffer.Buffer
	uplink   *uplink.Uplink
	disk     *diskMeter // counts from start, as the buffer's figures do
	flush    flushStats
	warnings []string // what a person should know, shown in status
}

// ErrNothingToDo is returned by New when no source is configured. Cure: add
// can, gps or dashcam to obu.yaml.
var ErrNothingToDo = errors.New("no source configured")

// New checks that the parts fit together. It opens nothing.
func New(cfg config.Config, deps Deps) (*Agent, error) {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		return nil, errors.New("agent needs a clock")
	}
	a := &Agent{cfg: cfg, cfgHash: cfg.Hash(), deps: deps, log: deps.Log, clock: deps.Clock,
		batch: &batcher{now: deps.Clock.Now, boot: deps.Clock.Boot()}, budget: newBudget(cfg.Uplink.Budget),
		diskFiles: linuxFiles(), wipes: make(chan telemetry.Command, 1)}
	if deps.Warning != "" {
		a.warnings = append(a.warnings, deps.Warning)
	}
	a.travel.now = deps.Clock.Now
	a.private = &privacy{dir: cfg.Buffer.Dir, fixed: cfg.GPS != nil && cfg.GPS.Private, boot: deps.Clock.Boot(), now: deps.Clock.Now,
		wall: a.trustedWall, lost: a.batch.gap, log: a.log}
	a.backoff = &backoffs{path: filepath.Join(cfg.Buffer.Dir, backoffName), clock: a.clock, log: a.log}
	a.undated = newUndated(cfg.Buffer.Dir, deps.Clock, a.log)
	a.trips = a.newTrips()
	if err := a.buildSources(); err != nil {
		return nil, err
	}
	if len(a.sources) == 0 {
		return nil, ErrNothingToDo
	}
	return a, nil
}

// Run blocks until ctx ends, or, when Finite, until everything read was
// delivered. It stores what is in memory before it returns.
func (a *Agent) Run(ctx context.Context) error {
	for began := false; ; began = true {
		stopped, err := a.run(ctx, began)
		if err != nil || stopped == 0 || ctx.Err() != nil {
			return err
		}
		a.away(stopped)
	}
}

// run is one life of the store. It returns when it stopped to begin anew, after
// a wipe; else 0.
func (a *Agent) run(ctx context.Context, again bool) (stopped telemetry.At, err error) {
	if err := os.MkdirAll(a.cfg.Buffer.Dir, 0o750); err != nil {
		return 0, fmt.Errorf("create buffer directory: %w", err)
	}
	a.private.load()
	buf, err := a.openBuffer(ctx)
	if err != nil {
		return 0, err
	}
	a.trips.load() // what a wipe deletes is gone
	a.loadBudget()
	up, err := a.newUplink(buf)
	if err != nil {
		return 0, errors.Join(err, buf.Close())
	}
	a.mu.Lock()
	a.buffer, a.uplink, a.start, a.disk = buf, up, time.Now(), &diskMeter{files: a.diskFiles}
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if stopped != 0 { // the next one follows
			a.buffer, a.uplink = nil, nil
		}
	}()
	a.Status() // the disk is counted from here
	return a.live(ctx, buf, up, again)
}

// live runs every part. The order of ending is the order of custody: sources
// first, then the last flush, then the uplink, then the store.
func (a *Agent) live(ctx context.Context, buf *buffer.Buffer, up *uplink.Uplink, again bool) (stopped telemetry.At, failed error) {
	outer, stopOuter := context.WithCancel(context.WithoutCancel(ctx)) // uplink, status: outlive the sources
	defer stopOuter()
	inner, stopInner := context.WithCancel(ctx)
	defer stopInner()

	var outerParts, innerParts sync.WaitGroup
	errs := make(chan error, 1+len(a.sources))
	outerParts.Go(func() {
		if err := up.Run(outer); err != nil {
			errs <- fmt.Errorf("uplink: %w", err)
		}
	})
	outerParts.Go(func() { a.serveStatus(outer) })
	outerParts.Go(func() { a.budgetLoop(outer) })

	flushDone := make(chan struct{})
	flushCtx, stopFlush := context.WithCancel(outer)
	go func() { defer close(flushDone); a.flushLoop(flushCtx, buf, up) }()

	joined := 1 // the flush
	for _, s := range a.sources {
		if s.joins {
			joined++
		}
		innerParts.Go(func() {
			if err := s.supervisor.Run(inner); err != nil {
				errs <- fmt.Errorf("%s %s: %w", s.kind, s.supervisor.name, err)
			}
			if s.settle != nil {
				s.settle()
			}
		})
	}
	a.clock.Start(joined) // a replay's time runs from here
	sourcesDone := make(chan struct{})
	go func() { innerParts.Wait(); close(sourcesDone) }()
	var health sync.WaitGroup
	healthCtx, stopHealth := context.WithCancel(inner)
	health.Go(func() { a.healthLoop(healthCtx) })
	if a.deps.Started != nil && !again {
		a.deps.Started()
	}

	var wipe *telemetry.Command
	select {
	case <-ctx.Done():
	case c := <-a.wipes:
		wipe, stopped = &c, a.clock.Now()
	case failed = <-errs:
	case <-doneIf(a.deps.Finite, sourcesDone):
		a.log.Info("recording has ended; delivering what is stored")
	}
	stopInner()
	<-sourcesDone
	if ctx.Err() != nil { // it was asked to stop: the next start searches at once
		a.backoff.forget()
	}
	select { // a recording that failed as the last one ended
	case err := <-errs:
		failed = errors.Join(failed, err)
	default:
	}
	stopHealth()
	health.Wait()
	stopFlush()
	<-flushDone
	if a.deps.Finite && failed == nil && ctx.Err() == nil {
		a.trips.finish()
	}
	a.trips.stop()
	a.flushOnce(buf, up)
	if failed == nil && ctx.Err() == nil && a.deps.Finite {
		a.drain(ctx, buf)
		a.flushOnce(buf, up) // acknowledgements of the drain
	}
	stopOuter()
	outerParts.Wait()
	a.saveBudget(true)
	a.flushOnce(buf, up) // acknowledgements that came while the uplink stopped
	a.trips.save()
	if wipe != nil {
		a.orderWipe(buf, *wipe)
	}
	if err := buf.Close(); err != nil {
		failed = errors.Join(failed, fmt.Errorf("close buffer: %w", err))
	}
	return stopped, failed
}

// doneIf returns c, or a channel that never fires.
func doneIf(on bool, c <-chan struct{}) <-chan struct{} {
	if on {
		return c
	}
	return nil
}

// drainPoll is how often a finite run looks whether everything was delivered.
const drainPoll = 100 * time.Millisecond

// drain waits until the buffer holds nothing, DrainFor has passed or ctx ends.
func (a *Agent) drain(ctx context.Context, buf *buffer.Buffer) {
	limit := a.deps.DrainFor
	if limit <= 0 {
		limit = time.Minute
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		a.commit(buf, nil)
		if held(buf) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-end.C:
			a.log.Warn("not everything was delivered in time; it stays stored and goes out at the next run",
				"batches", held(buf), "waited", limit, "next", "check the broker and start it again")
			return
		case <-time.After(drainPoll):
		}
	}
}

func held(buf *buffer.Buffer) int {
	n := 0
	for _, s := range buf.Streams() {
		n += s.Batches
	}
	return n
}
