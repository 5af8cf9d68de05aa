package agent

import (
	"context"
	"fmt"
	"io"

	"obu/can"
	"obu/gps"
	"obu/telemetry"
)

// source is one supervised device.
type source struct {
	kind       string
	supervisor *supervisor
	stats      func() any
	joins      bool                            // takes part in a replay's timeline
	forget     func()                          // nil; what was stored of it is deleted: see wipe
	settle     func()                          // nil; it has ended and is not run again
	held       func(telemetry.At) telemetry.At // nil; since when it holds values back, or the given time
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
		a.add("feed", "feed", func(ctx context.Context) error { return feed(ctx, a.heard) }, nil, false)
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
		Databases: a.deps.Databases[d.Name], Rules: signalRules(a.cfg.Signals), Emit: a.heard, Event: a.batch.events, Lost: a.batch.gap,
		Ignition: a.travel.travels,
		Was:      func() can.Backoff { return a.backoff.was(d.Name) }, Keep: func(b can.Backoff) { a.backoff.keep(d.Name, &b, nil) }}
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
		m.Was, m.Keep = cfg.Was, func(p can.Probing) { a.backoff.keep(d.Name, nil, &p) }
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
	s.supervisor.opens, s.settle, s.held = true, out.settle, src.Since
	return nil
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
	a.track = a.newTrack()
	src, err := gps.New(gps.Config{Name: d.Name, Open: open, Clock: a.clock, Log: a.log, Lost: a.batch.gap,
		Emit: func(f telemetry.Fix) {
			ant.note(&f)
			kept := a.private.keeps(f)
			a.trips.fix(&f, !kept)
			if kept {
				a.keep(f)
			} else {
				a.track.settle(f.At, true)
			}
			a.travel.note(f)
			a.clock.Observe(f) // the flush asks the clock for new anchors
		}})
	if err != nil {
		return fmt.Errorf("gps %s: %w", d.Name, err)
	}
	run := func(ctx context.Context) error {
		err := src.Run(ctx)
		a.track.settle(0, true)
		return err
	}
	s = a.add("gps", d.Name, run, func() any { return src.Stats() }, true)
	s.supervisor.opens, s.settle = true, src.Settle
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
