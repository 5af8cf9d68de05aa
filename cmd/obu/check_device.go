package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"obu/can"
	"obu/can/link"
	"obu/dashcam"
	"obu/gps"
	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/config"
)

// listenFor is how long check listens to a bus or a receiver.
const listenFor = 3 * time.Second

// watched is what a running agent says of itself at both ends of listenFor:
// its counters run since its start and say nothing of now.
type watched struct{ before, after *agent.Status }

// watchAgent returns nil when no agent runs on this configuration.
func watchAgent(ctx context.Context, cfg *config.Config) *watched {
	var before, after agent.Status
	if ask(ctx, cfg.Status.Socket, "status", &before) != nil {
		return nil
	}
	if len(cfg.CAN) == 0 && cfg.GPS == nil {
		return &watched{&before, &before}
	}
	select {
	case <-ctx.Done():
	case <-time.After(listenFor):
	}
	if ask(ctx, cfg.Status.Socket, "status", &after) != nil {
		return nil // it has stopped meanwhile: the devices are free
	}
	return &watched{&before, &after}
}

// sourceIn finds a source in a status; nil when it is not there.
func sourceIn(s *agent.Status, kind, name string) *agent.SourceReport {
	for i := range s.Sources {
		if r := &s.Sources[i]; r.Kind == kind && r.Name == name {
			return r
		}
	}
	return nil
}

// reads returns a source's reports at both ends. When the agent does not read
// that device, why it does not is the finding.
func (w *watched) reads(kind, name string) (before, after *agent.SourceReport, why finding) {
	before, after = sourceIn(w.before, kind, name), sourceIn(w.after, kind, name)
	switch {
	case after == nil:
		return nil, nil, failedWith("restart it: systemctl restart obu", "the running agent does not know this device: the configuration has changed since it started")
	case after.State == "running":
		if before == nil {
			before = &agent.SourceReport{} // another agent has started meanwhile
		}
		return before, after, finding{}
	case after.Error == "":
		return nil, nil, failedWith("wait a few seconds and check again; `obu status` shows it too", "the running agent has not opened it yet")
	}
	next := after.Next
	if next == "" {
		next = noCure
	}
	return nil, nil, failedWith(next, "the running agent has lost it: %s", after.Error)
}

// span is the time between both ends, as the agent measured it.
func (w *watched) span() time.Duration {
	s := w.after.UptimeS - w.before.UptimeS
	if s <= 0 { // started again meanwhile
		s = w.after.UptimeS
	}
	return time.Duration(s * float64(time.Second)).Round(100 * time.Millisecond)
}

// statsOf decodes a source's counters, which came through the socket.
func statsOf[T any](r *agent.SourceReport) (stats T) {
	if b, err := json.Marshal(r.Stats); err == nil {
		_ = json.Unmarshal(b, &stats) // another version's counters stay zero
	}
	return stats
}

// grown is how far a counter rose; one that fell belongs to a new agent.
func grown(before, after uint64) uint64 {
	if after < before {
		return after
	}
	return after - before
}

// Texts of a finding's first words.
const (
	opensFirst = "opens"
	agentFirst = "the running agent reads it"
)

func checkCAN(ctx context.Context, running *watched, c config.CAN) finding {
	if running == nil {
		return tryCAN(ctx, c)
	}
	before, after, why := running.reads("can", c.Device)
	if after == nil {
		return why
	}
	b, a := statsOf[can.Stats](before), statsOf[can.Stats](after)
	f := judgeCAN(agentFirst, grown(b.Frames, a.Frames), grown(b.ErrorFrames, a.ErrorFrames), running.span())
	f.Text += searchLine(a.SearchInS)
	return f
}

// tryCAN opens a bus and listens.
func tryCAN(ctx context.Context, c config.CAN) finding {
	clk, err := clock.System()
	if err != nil {
		return failed(err)
	}
	bus, err := can.Device(c.Device, can.SocketOptions{Clock: clk})(ctx)
	if c.Manage && errors.Is(err, can.ErrDown) {
		return passed("is there and down; the agent brings it up when it starts (manage)")
	}
	if err != nil {
		return failed(plainly(err))
	}
	defer bus.Close()
	var over atomic.Bool
	stop := time.AfterFunc(listenFor, func() { over.Store(true); bus.Close() })
	defer stop.Stop()
	var frames, bad uint64
	for {
		f, err := bus.Receive()
		if err != nil {
			if !over.Load() {
				return failed(fmt.Errorf("opens, and is lost at once: %w", err))
			}
			return judgeCAN(opensFirst, frames, bad, listenFor)
		}
		frames++
		if f.Error {
			bad++
		}
	}
}

// judgeCAN judges what was heard on a bus, by check or by the agent.
func judgeCAN(first string, frames, bad uint64, span time.Duration) finding {
	switch {
	case bad > 0:
		return failedWith("compare the bit rate with the vehicle's (ip -details link show), then check CAN-H, CAN-L and the 120 ohm at both ends",
			"%d error frames among %d in %v: wrong bit rate, or a wiring fault", bad, frames, span)
	case frames == 0:
		return passed("%s; no frame in %v (normal with the ignition off, and on a diagnostic connector behind a gateway)", first, span)
	}
	return passed("%s; %.0f frames/s", first, float64(frames)/span.Seconds())
}

func checkFolder(dir string) finding {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return failed(fmt.Errorf("%w: %w", dashcam.ErrNoFolder, err))
	}
	return mounted(dir, dir, "dashcam.dir", passed("%s, %d entries", dir, len(entries)))
}

// plainly drops what a check's line says already: its first column names the
// device, and these errors say the rest by themselves.
func plainly(err error) error {
	if errors.Is(err, gps.ErrInit) || errors.Is(err, gps.ErrNothingPlugged) {
		return afterwards(err, gps.ErrInit, gps.ErrNothingPlugged)
	}
	for _, known := range [...]error{link.ErrNoDevice, can.ErrDown, link.ErrNotCAN, gps.ErrNoDevice, gps.ErrNotSerial, gps.ErrPermission, gps.ErrNoPPS, gps.ErrPPSPermission, gps.ErrNotPPS} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.Is(err, gps.ErrBusy) || errors.Is(err, gps.ErrNoNMEA) || errors.Is(err, gps.ErrNoGpsd) {
		return afterwards(err, gps.ErrBusy, gps.ErrNoNMEA, gps.ErrNoGpsd)
	}
	if errors.Is(err, can.ErrNoCAN) { // it repeats the hint
		return advised{errors.New("the kernel has no CAN"), hint(err)}
	}
	return err
}

// afterwards is err from the first of these errors on: what follows them names
// the culprit.
func afterwards(err error, known ...error) error {
	text := err.Error()
	for _, k := range known {
		if errors.Is(err, k) {
			text = text[max(0, strings.Index(text, k.Error())):]
			break
		}
	}
	return advised{errors.New(text), hint(err)}
}
