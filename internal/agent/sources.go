package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"obu/buffer"
	"obu/can"
	"obu/can/j1939"
	"obu/dashcam"
	"obu/gps"
	"obu/internal/config"
	"obu/telemetry"
)

// source is one supervised device.
type source struct {
	kind       string
	supervisor *supervisor
	stats      func() any
	joins      bool   // takes part in a replay's timeline
	forget     func() // nil; what was stored of it is deleted: see wipe
}

func (s *source) report() SourceReport {
	r := SourceReport{SourceStatus: s.supervisor.Status(), Kind: s.kind}
	if s.stats != nil {
		r.Stats = s.stats()
	}
	return r
}

// add makes a source and returns it, so that a device that is opened can say
// when it was.
func (a *Agent) add(kind, name string, run func(context.Context) error, stats func() any, joins bool) *source {
	s := &source{kind: kind, supervisor: newSupervisor(name, a.log, run), stats: stats, joins: joins}
	if a.deps.Hint != nil {
		s.supervisor.hint = a.deps.Hint
	}
	s.supervisor.finite = a.deps.Finite
	a.sources = append(a.sources, s)
	return s
}

// buildSources makes every source of Devices, with the settings the
// configuration has for it. A drip fills its folder beside the camera's source
// and is a source of its own.
func (a *Agent) buildSources() error {
	for _, d := range a.deps.Devices.CAN {
		if err := a.addCAN(d); err != nil {
			return err
		}
	}
	if d := a.deps.Devices.GPS; d != nil {
		if err := a.addGPS(d); err != nil {
			return err
		}
	}
	for _, d := range a.deps.Devices.Dashcam {
		if err := a.addDashcam(d); err != nil {
			return err
		}
	}
	if feed := a.deps.Devices.Feed; feed != nil {
		a.add("feed", "feed", func(ctx context.Context) error { return feed(ctx, a.batch.samples) }, nil, false)
	}
	return nil
}

func (a *Agent) addCAN(d CANDevice) error {
	out := &outage{name: d.Name, boot: a.clock.Boot(), now: a.clock.Now, lost: a.batch.gap}
	var s *source
	open := d.Dial
	dial := func(ctx context.Context) (can.Bus, error) {
		bus, err := open(ctx)
		if err == nil {
			out.back()
			s.supervisor.opened()
		}
		return bus, err
	}
	cfg := can.Config{Name: d.Name, Dial: dial, Clock: a.clock, Log: a.log,
		Databases: a.deps.Databases[d.Name], Rules: signalRules(a.cfg.Signals), Emit: a.batch.samples, Event: a.batch.events, Lost: a.batch.gap,
		Ignition: a.travel.travels}
	for _, c := range a.cfg.CAN {
		if c.Device == d.Name {
			cfg.UDS = ECUs(c.UDS)
			cfg.Bitrate, cfg.OBD = c.Bitrate.BitsPerSecond(), obdConfig(c.OBD)
			if c.J1939.Enabled { // a network on which nobody speaks without a claimed address
				cfg.J1939, cfg.OBD.Passive = j1939Config(&c.J1939), true
			}
		}
	}
	if cfg.OBD == nil { // a recording, or a bus that the file does not name
		cfg.OBD = &can.OBDConfig{Passive: true}
	}
	if d.Managed != nil {
		m := *d.Managed
		m.Bitrate, m.Ignition, m.Log = cfg.Bitrate, a.travel.travels, a.log.With("bus", d.Name)
		m.Passive = cfg.OBD.Passive && (cfg.J1939 == nil || cfg.J1939.Name == 0)
		open = m.Dialer()
	}
	src, err := can.New(cfg)
	if err != nil {
		return fmt.Errorf("can %s: %w", d.Name, err)
	}
	run := func(ctx context.Context) error {
		err := src.Run(ctx)
		if err != nil {
			out.gone()
		}
		return err
	}
	s = a.add("can", d.Name, run, func() any { return src.Stats() }, true)
	s.supervisor.opens = true
	return nil
}

// outage lists the time a bus was away: at once when it is lost, and again,
// up to its return, when it is back. What passed on it cannot be counted. It
// belongs to the goroutine of its source. (A receiver does this by itself: it
// is back with its first sentence.)
type outage struct {
	name string
	boot telemetry.BootID
	now  func() telemetry.At
	lost func(telemetry.Gap)

	open  bool // the bus is open, or was when it was lost
	away  bool
	since telemetry.At
}

func (o *outage) list() {
	o.lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: o.boot, From: o.since, To: o.now(),
		Count: telemetry.CountUnknown, Reason: telemetry.ReasonBusError, Source: o.name})
}

// gone notes that the source ended. A bus that never was open lost nothing.
func (o *outage) gone() {
	if !o.open || o.away {
		return
	}
	o.away, o.since = true, o.now()
	o.list()
}

// back notes that the bus is open.
func (o *outage) back() {
	o.open = true
	if o.away {
		o.away = false
		o.list()
	}
}

// signalRules translates what the technician wrote about broadcast signals.
func signalRules(all []config.Signal) []can.Rule {
	var out []can.Rule
	for _, c := range all {
		r := can.Rule{Path: c.Path, Drop: !c.Keep, Timebased: time.Duration(c.Timebased),
			Change: c.Change.Or(0), Low: c.Above.Or(math.Inf(-1)), High: c.Below.Or(math.Inf(1))}
		if c.Curvelog != nil {
			r.MaxError, r.Buffer = c.Curvelog.MaxError.Or(0), c.Curvelog.Buffer
		}
		out = append(out, r)
	}
	return out
}

// requests are what a technician can have asked on a J1939 network.
var requests = map[string]j1939.PGN{"vin": j1939.PGNVehicleID, "component": j1939.PGNComponentID, "dm2": j1939.PGNDM2}

// j1939Config translates what the technician wrote for a network.
func j1939Config(c *config.J1939) *can.J1939Config {
	out := &can.J1939Config{Every: time.Duration(c.Period), Name: j1939.Name(c.Name), Address: uint8(c.Address)}
	for _, word := range c.Request {
		out.Requests = append(out.Requests, requests[word])
	}
	return out
}

// obdConfig translates what the technician wrote for a bus.
func obdConfig(c config.OBD) *can.OBDConfig {
	o := &can.OBDConfig{Passive: !c.Enabled, MaxRate: c.MaxRequestsPerSecond, Every: time.Duration(c.Period),
		Several: c.PIDsPerRequest, Codes: c.DTC, CodesEvery: time.Duration(c.DTCEvery), Freeze: c.DTC && c.FreezeFrame,
		SkipVIN: !c.VehicleInfo, Info: c.VehicleInfo}
	switch c.Addressing {
	case "11bit":
		o.Addressing = can.Address11
	case "29bit":
		o.Addressing = can.Address29
	}
	for _, p := range c.PIDs {
		every := time.Duration(p.Period)
		if every == 0 {
			every = time.Duration(c.Period)
		}
		o.Polls = append(o.Polls, can.Poll{PID: byte(p.PID), Every: every, OnChange: p.OnChange})
	}
	return o
}

func (a *Agent) addGPS(d *GPSDevice) error {
	var s *source
	open := func(ctx context.Context) (io.ReadCloser, error) {
		r, err := d.Open(ctx)
		if err == nil {
			s.supervisor.opened()
		}
		return r, err
	}
	ant := antenna{emit: a.batch.events}
	src, err := gps.New(gps.Config{Name: d.Name, Open: open, Clock: a.clock, Log: a.log, Lost: a.batch.gap,
		Emit: func(f telemetry.Fix) {
			ant.note(&f)
			if a.private.keeps(f) {
				a.batch.fix(f)
			}
			a.travel.note(f)
			a.clock.Observe(f) // the flush asks the clock for new anchors
		}})
	if err != nil {
		return fmt.Errorf("gps %s: %w", d.Name, err)
	}
	s = a.add("gps", d.Name, src.Run, func() any { return src.Stats() }, true)
	s.supervisor.opens = true
	if p := d.PPS; p != nil {
		a.add("pps", p.Name, func(ctx context.Context) error { return p.Run(ctx, a.clock.Pulse) },
			func() any { return PPSStats{Pulses: a.clock.Stats().Pulses} }, false)
	}
	return nil
}

// PPSStats counts pulses that came once a second.
type PPSStats struct {
	Pulses int `json:"pulses"`
}

func (a *Agent) addDashcam(d DashcamDevice) error {
	settle := time.Duration(0)
	for _, c := range a.cfg.Dashcam {
		if c.Camera == d.Camera {
			settle = time.Duration(c.Settle)
		}
	}
	src, err := dashcam.New(dashcam.Config{Camera: d.Camera, Dir: d.Dir, Clock: a.clock, Custody: clips{a},
		Lost: a.batch.gap, Log: a.log, Settle: settle, AppearWhole: d.Drip != nil})
	if err != nil {
		return fmt.Errorf("dashcam %s: %w", d.Camera, err)
	}
	run := src.Run
	if d.Drip != nil {
		run = func(ctx context.Context) error { return dripInto(ctx, src, d.Drip) }
	}
	a.add("dashcam", d.Camera, run, func() any { return src.Stats() }, d.Drip != nil).forget = src.Forget
	return nil
}

// dripInto runs a camera's source until a recorded folder has been dripped into
// its own and every segment is in custody.
func dripInto(ctx context.Context, src *dashcam.Source, drip Drip) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- src.Run(ctx) }()
	err := drip(ctx, func(ctx context.Context, _ string) error { return src.Drain(ctx) })
	stop()
	return errors.Join(err, <-ended)
}

// errNotOpen is what a camera hears in the moment before the store is open.
var errNotOpen = errors.New("store is not open")

// clips gives a camera's segments into the buffer's custody.
type clips struct{ a *Agent }

func (c clips) store() *buffer.Buffer {
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	return c.a.buffer
}

func (c clips) Progress(key string) (stored int64, done, ok bool) {
	if b := c.store(); b != nil {
		return b.ClipProgress(key)
	}
	return 0, false, false
}

func (c clips) StoreChunk(_ context.Context, key string, chunk telemetry.Chunk) error {
	b := c.store()
	if b == nil {
		return errNotOpen
	}
	_, err := b.CommitChunk(key, chunk)
	c.notify()
	return err
}

func (c clips) Finish(_ context.Context, key string, clip telemetry.Clip) error {
	b := c.store()
	if b == nil {
		return errNotOpen
	}
	err := b.FinishClip(key, clip)
	c.notify()
	return err
}

func (c clips) notify() {
	c.a.mu.Lock()
	up := c.a.uplink
	c.a.mu.Unlock()
	up.Notify()
}
