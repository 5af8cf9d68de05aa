package agent

import (
	"time"

	"obu/buffer"
	"obu/telemetry"
	"obu/uplink"
)

// Status is what a running agent says of itself: `obu status`, or the question
// "status" on the unix socket. Durations are in seconds, sizes in bytes.
type Status struct {
	Version    string             `json:"version"`
	Unit       string             `json:"unit"`
	Vehicle    string             `json:"vehicle,omitempty"`
	Simulated  bool               `json:"simulated"`
	Boot       string             `json:"boot"`
	UptimeS    float64            `json:"uptime_s"`
	Time       TimeStatus         `json:"time"`
	Sources    []SourceReport     `json:"sources"`
	Batcher    BatcherStatus      `json:"batcher"`
	Flush      FlushStatus        `json:"flush"`
	Buffer     *buffer.Stats      `json:"buffer,omitempty"`
	Streams    []telemetry.Stream `json:"streams"`
	Uplink     *uplink.Stats      `json:"uplink,omitempty"`
	Process    ProcessStatus      `json:"process"`
	Warnings   []string           `json:"warnings,omitempty"`
	ConfigHash string             `json:"config_hash"`
}

// TimeStatus is how sure the unit is of the wall time.
type TimeStatus struct {
	Wall         *time.Time `json:"wall"` // null: unknown
	UncertaintyS *float64   `json:"uncertainty_s"`
	By           string     `json:"by"`
	Trusted      bool       `json:"trusted"`
}

// SourceReport is one source with its own counters.
type SourceReport struct {
	SourceStatus
	Kind  string `json:"kind"` // "can", "gps", "dashcam", "feed"
	Stats any    `json:"stats,omitempty"`
}

// BatcherStatus is what waits in memory.
type BatcherStatus struct {
	Held   int    `json:"held"`
	Values uint64 `json:"values"` // taken since start
	Drops  uint64 `json:"drops"`
}

// FlushStatus is how the commits go: together with flush_every the slowest one
// is the most a power cut can cost.
type FlushStatus struct {
	EveryS   float64 `json:"every_s"`
	Flushes  uint64  `json:"flushes"`
	Failed   uint64  `json:"failed"`
	LastS    float64 `json:"last_s"`
	SlowestS float64 `json:"slowest_s"`
}

// Status returns the present state; it may be called at any time.
func (a *Agent) Status() Status {
	a.mu.Lock()
	buf, up, fl := a.buffer, a.uplink, a.flush
	started := a.start
	warnings := append([]string(nil), a.warnings...)
	a.mu.Unlock()

	held, values, drops := a.batch.counts()
	s := Status{
		Version: a.deps.Version, Unit: a.cfg.Unit, Vehicle: a.cfg.Vehicle, Simulated: a.deps.Devices.Simulated,
		Boot: a.clock.Boot().String(), Time: a.timeStatus(), Process: processStatus(),
		Batcher: BatcherStatus{Held: held, Values: values, Drops: drops},
		Flush: FlushStatus{EveryS: time.Duration(a.cfg.Buffer.FlushEvery).Seconds(), Flushes: fl.Flushes, Failed: fl.Failed,
			LastS: fl.Last.Seconds(), SlowestS: fl.Slowest.Seconds()},
		Warnings: warnings, ConfigHash: a.cfg.Hash(),
	}
	if !started.IsZero() {
		s.UptimeS = time.Since(started).Seconds()
	}
	for _, src := range a.sources {
		s.Sources = append(s.Sources, src.report())
	}
	if buf != nil {
		st := buf.Stats()
		s.Buffer, s.Streams = &st, buf.Streams()
	}
	if up != nil {
		st := up.Stats()
		s.Uplink = &st
	}
	return s
}

func (a *Agent) timeStatus() TimeStatus {
	r := a.clock.Wall()
	t := TimeStatus{By: string(r.By), Trusted: r.Trusted}
	if !r.Time.IsZero() {
		wall, unc := r.Time.UTC(), r.Uncertainty.Seconds()
		t.Wall, t.UncertaintyS = &wall, &unc
	}
	return t
}
