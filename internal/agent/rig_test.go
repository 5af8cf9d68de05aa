package agent_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"obu/can"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
	"obu/internal/virtual"
	"obu/telemetry"
	"obu/uplink/brokertest"
)

// pids are what the agents of these tests ask for.
var pids = [...]byte{0x04, 0x05, 0x0C, 0x0D, 0x10, 0x2F}

// launch is when the make-believe cars start.
var launch = time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)

// rig is one car with its agent's settings, a broker and the cloud behind it.
// Inside a synctest bubble its time is virtual.
type rig struct {
	*testing.T
	broker *brokertest.Broker
	cloud  *cloud
	clk    *clock.Clock
	car    *virtual.Car
	line   *virtual.Line
	cfg    config.Config
	deps   agent.Deps

	plug    plug
	quiet   atomic.Bool // the ECUs answer nothing
	stopGPS context.CancelFunc
}

// plug is the CAN connector: pulled, dialling fails and the bus ends.
type plug struct {
	mu     sync.Mutex // guards what follows
	pulled error
	bus    can.Bus // the ECU's end
	dials  int
}

// quietBus hides requests from the ECUs while the car is quiet.
type quietBus struct {
	can.Bus
	quiet *atomic.Bool
}

func (q quietBus) Receive() (can.Frame, error) {
	for {
		f, err := q.Bus.Receive()
		if err != nil || !q.quiet.Load() {
			return f, err
		}
	}
}

func newRig(t *testing.T, unit string, opts ...clock.Option) *rig {
	b := brokertest.New()
	t.Cleanup(b.Close)
	clk := clock.Virtual(opts...)
	r := &rig{T: t, broker: b, cloud: newCloud(t, b), clk: clk, line: virtual.NewLine(),
		car: virtual.New(virtual.Config{Seed: 7, Clock: clk, Start: launch})}
	ctx, cancel := context.WithCancel(t.Context())
	gpsCtx, stopGPS := context.WithCancel(ctx)
	var parts sync.WaitGroup
	t.Cleanup(func() { cancel(); parts.Wait() })
	r.stopGPS = stopGPS
	parts.Go(func() {
		if err := r.car.WriteGPS(gpsCtx, r.line, virtual.GPSOptions{Latency: 40 * time.Millisecond}); err != nil {
			t.Error(err)
		}
	})
	r.cfg = testConfig(unit, t.TempDir())
	r.deps = agent.Deps{Clock: clk, Version: "test", Dial: b.Dial, Log: slog.New(slog.DiscardHandler),
		Devices: agent.Devices{
			CAN: []agent.CANDevice{{Name: "can0", Dial: func(context.Context) (can.Bus, error) {
				r.plug.mu.Lock()
				defer r.plug.mu.Unlock()
				r.plug.dials++
				if r.plug.pulled != nil {
					return nil, r.plug.pulled
				}
				ours, theirs := can.Pair(clk)
				r.plug.bus = ours
				ecu := virtual.ECUOptions{Faults: virtual.Faults{After: 20 * time.Second, Repair: 40 * time.Second}}
				parts.Go(func() { _ = r.car.ServeECU(ctx, quietBus{ours, &r.quiet}, ecu) })
				return theirs, nil
			}}},
			GPS:       &agent.GPSDevice{Name: "gps", Open: r.line.Open},
			Simulated: true,
		}}
	return r
}

func testConfig(unit, dir string) config.Config {
	cfg := config.Default()
	cfg.Unit, cfg.Vehicle, cfg.Fleet = unit, "van", "test"
	cfg.Buffer.Dir = dir
	cfg.Uplink.Broker = "mqtt://broker.test"
	cfg.Uplink.HistoryRate = config.Unlimited
	cfg.Status.Socket = ""
	cfg.GPS = &config.GPS{Device: "gps", Baud: 9600, Name: "gps"}
	bus := config.CAN{Device: "can0", Bitrate: 500000, OBD: config.OBD{Enabled: true,
		Period: config.Duration(time.Second), Addressing: "11bit", MaxRequestsPerSecond: 20, VehicleInfo: true}}
	for _, pid := range pids {
		bus.OBD.PIDs = append(bus.OBD.PIDs, config.PID{PID: config.PIDNumber(pid)})
	}
	cfg.CAN = []config.CAN{bus}
	return cfg
}

// pull takes the CAN device away, why is what opening it says from now on.
func (r *rig) pull(why error) {
	r.plug.mu.Lock()
	defer r.plug.mu.Unlock()
	r.plug.pulled = why
	if r.plug.bus != nil {
		r.plug.bus.Close()
	}
}

// push plugs it in again.
func (r *rig) push() {
	r.plug.mu.Lock()
	defer r.plug.mu.Unlock()
	r.plug.pulled = nil
}

// hush lets the car fall silent, and its last epoch end.
func (r *rig) hush() {
	r.quiet.Store(true)
	r.stopGPS()
	time.Sleep(3 * time.Second)
}

func (r *rig) unplugBroker() { r.broker.Set(func(f *brokertest.Faults) { f.DialErr = errRefused }) }
func (r *rig) plugBroker()   { r.broker.Set(func(f *brokertest.Faults) { f.DialErr = nil }) }

// errRefused is what dialling a broker that is down says.
var errRefused = syscall.ECONNREFUSED

// running is an agent at work.
type running struct {
	*agent.Agent
	t      *testing.T
	cancel context.CancelFunc
	done   chan error
}

func (r *rig) start(before ...func(*agent.Agent)) *running {
	r.Helper()
	return start(r.T, r.cfg, r.deps, before...)
}

func start(t *testing.T, cfg config.Config, deps agent.Deps, before ...func(*agent.Agent)) *running {
	t.Helper()
	a, err := agent.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range before {
		f(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &running{Agent: a, t: t, cancel: cancel, done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		run.done <- a.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return run
}

// stop ends the agent as SIGTERM does.
func (a *running) stop() {
	a.t.Helper()
	a.cancel()
	if err := <-a.done; err != nil {
		a.t.Errorf("agent ended with %v", err)
	}
}

// owed is what the agent holds of the car's data.
func (a *running) owed() int {
	s := a.Status()
	n := s.Batcher.Held
	for _, st := range s.Streams {
		if st.Class != telemetry.ClassHealth {
			n += st.Batches
		}
	}
	return n
}

// waitLimit is how long a condition may take; real only outside of synctest.
const waitLimit = 2 * time.Minute

// await waits for a condition.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(waitLimit); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen within %v", what, waitLimit)
		}
	}
}

// source returns the status of one source.
func (a *running) source(kind string) agent.SourceReport {
	for _, s := range a.Status().Sources {
		if s.Kind == kind {
			return s
		}
	}
	a.t.Fatalf("no source %s", kind)
	return agent.SourceReport{}
}

var errGone = errors.Join(errors.New("read"), syscall.ENODEV)

// lines collects what an agent logs.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
