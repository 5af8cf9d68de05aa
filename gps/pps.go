package gps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// What can be wrong with a pulse-per-second device. Test with errors.Is.
var (
	// ErrNoPPS: nothing is at that path. The kernel makes the device for a GPIO
	// pin (dtoverlay=pps-gpio) or a serial port's DCD line (ldattach PPS).
	ErrNoPPS = errors.New("no such PPS device")
	// ErrPPSPermission: the user may not open it; such devices belong to root
	// until a udev rule says otherwise.
	ErrPPSPermission = errors.New("no permission to open the PPS device")
	// ErrNotPPS: the path names something else.
	ErrNotPPS = errors.New("not a PPS device")
)

// Edge says with which edge of its pulse a second begins.
type Edge string

// The edges, as the kernel calls them (RFC 2783).
const (
	EdgeAuto   Edge = "auto" // the first one of the short phase; needs a driver that stamps both
	EdgeAssert Edge = "assert"
	EdgeClear  Edge = "clear"
)

const (
	// usualPulse is how long pulses last that are not configured otherwise.
	usualPulse = 100 * time.Millisecond
	// longestPulse is the longest phase of a period that is taken for the pulse.
	longestPulse = 400 * time.Millisecond
	// loneEdges is how many stamps of one edge have to come before the driver is
	// believed to stamp only that one.
	loneEdges = 3
	// fetchFor bounds the wait for an edge: how soon an end is noticed.
	fetchFor = 300 * time.Millisecond
)

// PPS is where a receiver's pulses come from.
type PPS struct {
	Path  string // /dev/pps0
	Edge  Edge
	Clock *clock.Clock
	Log   *slog.Logger // may be nil
}

// errNoEdge: none came within fetchFor.
var errNoEdge = errors.New("no edge")

// stamps are the newest edges the kernel stamped: how many there were of each,
// and when in ns since 1970 the last one was.
type stamps struct {
	assertN, clearN uint32
	assert, clear   int64
}

// Run opens the device and calls pulse with each pulse, as clock.Clock.Pulse
// takes it, until ctx ends (nil) or the device fails.
func (p PPS) Run(ctx context.Context, pulse func(at telemetry.At, late time.Duration)) error {
	fetch, hangUp, err := openPPS(p.Path)
	if err != nil {
		return fmt.Errorf("open %s: %w", p.Path, err)
	}
	defer hangUp()
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	return p.follow(ctx, fetch, pulse)
}

func (p PPS) follow(ctx context.Context, fetch func() (stamps, error), pulse func(at telemetry.At, late time.Duration)) error {
	e := edges{edge: cmp.Or(p.Edge, EdgeAuto), log: p.Log}
	for ctx.Err() == nil {
		s, err := fetch()
		look := p.Clock.Look() // the stamps are wall clock
		switch {
		case errors.Is(err, errNoEdge):
			continue
		case err != nil:
			return fmt.Errorf("read %s: %w: %w", p.Path, ErrGone, err)
		}
		if stamp, late, ok := e.take(s); ok {
			if at, ok := look.FromKernel(stamp); ok {
				pulse(at, late)
			}
		}
	}
	return nil
}

// edges finds the edge with which seconds begin.
type edges struct {
	edge Edge
	log  *slog.Logger
	last stamps
	any  bool
	lone int  // of one edge, without the other
	even bool // said that the phases are even
}

// take returns the stamp of a pulse, when s has a new one, and how late it may
// be.
func (e *edges) take(s stamps) (stamp int64, late time.Duration, ok bool) {
	last, first := e.last, !e.any
	e.last, e.any = s, true
	if first {
		return 0, 0, false // when it came is not known
	}
	asserted, cleared := s.assertN != last.assertN, s.clearN != last.clearN
	edge := e.edge
	if edge == EdgeAuto {
		if edge, late = e.leading(s, asserted, cleared); edge == EdgeAuto {
			return 0, 0, false
		}
	}
	if edge == EdgeAssert {
		return s.assert, late, asserted
	}
	return s.clear, late, cleared
}

// leading returns the edge that begins a pulse, or EdgeAuto when nobody knows.
func (e *edges) leading(s stamps, asserted, cleared bool) (edge Edge, late time.Duration) {
	if asserted != cleared && (s.assertN == 0 || s.clearN == 0) {
		if e.lone++; e.lone < loneEdges {
			return EdgeAuto, 0
		}
		if asserted {
			return EdgeAssert, usualPulse
		}
		return EdgeClear, usualPulse
	}
	e.lone = 0
	high := time.Duration(s.clear-s.assert) % time.Second
	if high < 0 {
		high += time.Second
	}
	switch {
	case high <= longestPulse:
		return EdgeAssert, 0
	case high >= time.Second-longestPulse:
		return EdgeClear, 0
	}
	if !e.even {
		e.even = true
		e.log.Warn("both phases of the pulse are about as long, so which edge begins the second is not known, and the pulse is not used",
			"high", high.Round(time.Millisecond), "next", "set gps.pps_edge to assert or clear, as the receiver's manual says, or a shorter pulse in the receiver")
	}
	return EdgeAuto, 0
}
