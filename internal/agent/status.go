package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"obu/buffer"
	"obu/telemetry"
	"obu/uplink"
)

// Status is what a running agent says of itself: `obu status`, GET /status on
// the unix socket. Durations are in seconds, sizes in bytes.
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

// serveStatus answers on the unix socket until ctx ends. A unit whose socket
// cannot be opened still does its work: it says so and goes on.
func (a *Agent) serveStatus(ctx context.Context) {
	path := a.cfg.Status.Socket
	if path == "" || path == "none" {
		return
	}
	// The store's lock is held by now, so a socket that lies here is a leftover.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		a.log.Warn("status socket is in the way; `obu status` will not work. Remove it by hand", "socket", path, "error", err)
		return
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		a.log.Warn("status socket does not open; `obu status` will not work. Check the folder and its permissions", "socket", path, "error", err)
		return
	}
	if err := os.Chmod(path, 0o660); err != nil {
		a.log.Warn("status socket keeps its permissions", "socket", path, "error", err)
	}
	server := &http.Server{Handler: a.routes(), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
		a.log.Warn("status socket ended", "socket", path, "error", err)
	}
}

// routes is the whole interface of the socket, read-only.
func (a *Agent) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Status()) })
	mux.HandleFunc("GET /buffer/ls", func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		buf := a.buffer
		a.mu.Unlock()
		rows, err := listing(buf)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, rows)
	})
	return mux
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the reader hung up; nothing to do
}
