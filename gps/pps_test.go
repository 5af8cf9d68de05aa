package gps_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"obu/gps"
	"obu/internal/clock"
	"obu/telemetry"
)

// wire is a simulated PPS device: a pulse at the start of each second, high or
// low for so long, of whose edges the driver stamps one or both.
type wire struct {
	pulse         time.Duration
	inverted      bool
	assert, clear bool

	now gps.Stamps
}

// fetch waits for the next stamped edge.
func (w *wire) fetch() (gps.Stamps, error) {
	for {
		second := time.Now().Truncate(time.Second)
		trailing := second.Add(w.pulse)
		rises := !w.inverted
		next := trailing
		if !next.After(time.Now()) {
			next = second.Add(time.Second)
		} else {
			rises = !rises
		}
		time.Sleep(time.Until(next))
		switch {
		case rises && w.assert:
			w.now.AssertN++
			w.now.Assert = time.Now().UnixNano()
		case !rises && w.clear:
			w.now.ClearN++
			w.now.Clear = time.Now().UnixNano()
		default:
			continue
		}
		time.Sleep(300 * time.Microsecond) // a loaded machine
		return w.now, nil
	}
}

// TestPPSFindsTheEdgeThatBeginsTheSecond: whatever the driver stamps and the
// wire does, a pulse given with certainty is at the start of the second, one
// given as late as the usual pulse is at one of its edges.
func TestPPSFindsTheEdgeThatBeginsTheSecond(t *testing.T) {
	const ms = time.Millisecond
	for _, tc := range []struct {
		name          string
		pulse         time.Duration
		inverted      bool
		assert, clear bool
		edge          gps.Edge
		at, late      time.Duration // of the pulses; at < 0: none
	}{
		{"both edges", 100 * ms, false, true, true, gps.EdgeAuto, 0, 0},
		{"both edges, inverted", 100 * ms, true, true, true, gps.EdgeAuto, 0, 0},
		{"both edges, 200 ms", 200 * ms, true, true, true, gps.EdgeAuto, 0, 0},
		{"square wave", 500 * ms, false, true, true, gps.EdgeAuto, -1, 0},
		{"square wave, told", 500 * ms, false, true, true, gps.EdgeAssert, 0, 0},
		{"square wave, inverted, told", 500 * ms, true, true, true, gps.EdgeClear, 0, 0},
		{"assert only", 100 * ms, false, true, false, gps.EdgeAuto, 0, 100 * ms},
		{"assert only, inverted: the wrong edge", 100 * ms, true, true, false, gps.EdgeAuto, 100 * ms, 100 * ms},
		{"assert only, told", 100 * ms, false, true, false, gps.EdgeAssert, 0, 0},
		{"assert only, told clear", 100 * ms, false, true, false, gps.EdgeClear, -1, 0},
		{"clear only", 100 * ms, true, false, true, gps.EdgeAuto, 0, 100 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			var said strings.Builder
			clk := clock.Virtual()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			n := 0
			start := time.Now()
			w := wire{pulse: tc.pulse, inverted: tc.inverted, assert: tc.assert, clear: tc.clear}
			err := gps.PPS{Edge: tc.edge, Clock: clk, Log: slog.New(slog.NewTextHandler(&said, nil))}.Follow(ctx, w.fetch, func(at telemetry.At, late time.Duration) {
				n++
				phase := start.Add(time.Duration(at)).Sub(start.Truncate(time.Second)) % time.Second
				if tc.at < 0 || (phase-tc.at).Abs() > ms || late != tc.late {
					t.Errorf("%s: a pulse %v after the second, late by up to %v", tc.name, phase, late)
				}
			})
			if err != nil || (tc.at >= 0) != (n >= 25) {
				t.Errorf("%s: %d pulses, %v", tc.name, n, err)
			}
			if even := strings.Contains(said.String(), "pps_edge"); even != (tc.name == "square wave") {
				t.Errorf("%s: said %q", tc.name, said.String())
			}
		})
	}
}

// TestPPSWithoutPulses: nothing is made up, the end is noticed, and a device
// that fails says so.
func TestPPSWithoutPulses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		p := gps.PPS{Path: "pps0", Edge: gps.EdgeAuto, Clock: clock.Virtual()}
		none := func(at telemetry.At, _ time.Duration) { t.Errorf("a pulse at %v", at.Seconds()) }
		err := p.Follow(ctx, func() (gps.Stamps, error) {
			time.Sleep(300 * time.Millisecond)
			return gps.Stamps{}, gps.ErrNoEdge
		}, none)
		if err != nil {
			t.Error(err)
		}
		err = p.Follow(t.Context(), func() (gps.Stamps, error) { return gps.Stamps{}, errors.New("no such device") }, none)
		if !errors.Is(err, gps.ErrGone) {
			t.Errorf("a device that is gone: %v", err)
		}
	})
}

// TestPPSStampedByAnotherClock: a pulse whose stamp lies in the future, because
// the system clock was set meanwhile, is none.
func TestPPSStampedByAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := clock.Virtual()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		w := wire{pulse: 100 * time.Millisecond, assert: true, clear: true}
		n := 0
		err := gps.PPS{Edge: gps.EdgeAuto, Clock: clk}.Follow(ctx, func() (gps.Stamps, error) {
			s, err := w.fetch()
			s.Assert += int64(time.Hour) // stamped by a clock that was an hour ahead
			s.Clear += int64(time.Hour)
			n++
			return s, err
		}, func(at telemetry.At, _ time.Duration) { t.Errorf("a pulse at %v", at.Seconds()) })
		if err != nil || n < 50 {
			t.Errorf("%d edges, %v", n, err)
		}
	})
}

// TestOpenPPS: what is wrong with the path is said; the kernel's own device is
// read where there is one.
func TestOpenPPS(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pps")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, path string) error {
		return gps.PPS{Path: path, Edge: gps.EdgeAuto, Clock: clock.Virtual()}.Run(ctx, func(telemetry.At, time.Duration) {})
	}
	for path, want := range map[string]error{"/dev/pps-not-there": gps.ErrNoPPS, file: gps.ErrNotPPS, "/dev/null": gps.ErrNotPPS} {
		if err := run(t.Context(), path); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := os.Stat("/dev/pps0"); err != nil {
		t.Skip("skipped: reading a kernel's PPS device, which this machine has not:", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := run(ctx, "/dev/pps0"); err != nil {
		t.Error(err)
	}
}
