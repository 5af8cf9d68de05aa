// Package gps turns what a GNSS receiver says on a serial line, or said into a
// log, into one telemetry.Fix per epoch.
//
// It reads NMEA 0183 (2.x to 4.1x): RMC, GGA, GLL, GNS, GSA, VTG and ZDA of
// any talker, in any order, with noise between them; satellites (GSV), error
// estimates (GST) and the antenna's state go with the fix as its Detail. Of a
// running gpsd it reads the reports TPV, SKY and GST (man 5 gpsd_json), under
// the same doubts. The checksum is enforced. A position is Valid only when every sentence of its
// epoch that has an opinion agrees; what is dubious, by itself or after those
// before it, is delivered with its Doubt. Nothing is repaired and no clock is
// set here: that is internal/clock's part.
//
// Units are those of telemetry.Fix: degrees (WGS-84) on a grid of 1e-7, 1e-9
// under RTK; metres above mean sea level; metres per second, converted from
// knots at 1852 m per 3600 s. At is when the first byte of the epoch's first
// sentence was read; in a replayed log, its place on the recorded timeline.
//
// A Source owns one receiver. Run owns its goroutine and returns when the
// device is lost; who calls Run opens it again. Emit and Lost are called from
// one goroutine at a time and must not block for long.
package gps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// Config says where a receiver is and who wants to hear from it.
type Config struct {
	// Name is the receiver's name in every Fix and Gap; "gps" when empty.
	Name string
	// Open opens the receiver: OpenSerial, OpenLog, or one end of a pipe.
	// Close of what it returns must end a blocked Read. Run calls it once.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Clock gives the time of what arrives.
	Clock *clock.Clock
	// Emit takes each epoch's fix, with or without a position.
	Emit func(telemetry.Fix)
	// Lost takes what could not be read. It may be nil.
	Lost func(telemetry.Gap)
	// Log takes lines for the technician. It may be nil.
	Log *slog.Logger
}

// Source reads one receiver.
type Source struct {
	cfg Config
	log *slog.Logger

	// used by Run alone
	stats Stats
	loss  loss

	mu        sync.Mutex
	published Stats // guarded by mu
}

// New checks the configuration and returns a Source that does nothing yet.
func New(cfg Config) (*Source, error) {
	switch {
	case cfg.Open == nil:
		return nil, errors.New("gps: Config.Open is missing")
	case cfg.Clock == nil:
		return nil, errors.New("gps: Config.Clock is missing")
	case cfg.Emit == nil:
		return nil, errors.New("gps: Config.Emit is missing")
	}
	if cfg.Name == "" {
		cfg.Name = "gps"
	}
	if cfg.Lost == nil {
		cfg.Lost = func(telemetry.Gap) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Source{cfg: cfg, log: cfg.Log.With("gps", cfg.Name)}
	s.loss = loss{report: s.lost}
	return s, nil
}

// Run opens the receiver and reads it until ctx is cancelled (nil), the log
// ends (nil) or the device is lost (an error that wraps ErrGone; the errors of
// Config.Open pass through). It may be called again after it returned.
func (s *Source) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	rc, err := s.cfg.Open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		s.loss.absent(s.cfg.Clock.Now(), false)
		return fmt.Errorf("open %s: %w", s.cfg.Name, err)
	}
	s.stats.Opens++
	s.stats.opened, s.stats.FirstFixS, s.stats.Silent = max(1, s.cfg.Clock.Now()), 0, false
	s.publish()
	if l, ok := rc.(*Log); ok {
		return s.replay(ctx, l)
	}
	return s.listen(ctx, rc)
}

// Settle lists up to when a lost receiver was away. Call it when Run has
// returned and is not called again.
func (s *Source) Settle() { s.loss.absent(s.cfg.Clock.Now(), true) }

// Stats returns the counters so far. It may be called at any time.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.published
	if st.Silent {
		st.SilentS = s.cfg.Clock.Now().Sub(st.spoke).Round(time.Second).Seconds()
	}
	return st
}

func (s *Source) publish() {
	s.mu.Lock()
	s.published = s.stats
	s.mu.Unlock()
}

// newInput wires line reader and merger; emitted fixes get the receiver's name.
func (s *Source) newInput(emit func(telemetry.Fix, time.Duration)) (*lineReader, *merger) {
	m := newMerger(&s.stats, func(f telemetry.Fix, tod time.Duration) {
		f.Receiver = s.cfg.Name
		emit(f, tod)
	})
	r := &lineReader{
		stats: &s.stats,
		sentence: func(at telemetry.At, line []byte) {
			why := m.line(at, line)
			s.stats.Rejected.count(why)
			s.loss.sentence(at, why, line)
		},
		tooLong: func(at telemetry.At) {
			s.stats.Rejected.count(rejectTooLong)
			s.loss.unknown(at, at)
		},
	}
	return r, m
}

// lost reports one Gap, and what could not be read to the technician.
func (s *Source) lost(from, to telemetry.At, count int64, why telemetry.Reason) {
	if why == telemetry.ReasonDecode {
		lines := any(count)
		if count == telemetry.CountUnknown {
			lines = "unknown"
		}
		r := s.stats.Rejected
		s.log.Warn("lines from the receiver could not be read", "lines", lines, "within", to.Sub(from),
			"ever_checksum", r.Checksum, "ever_no_checksum", r.NoChecksum, "ever_malformed", r.Malformed, "ever_too_long", r.TooLong,
			"next", "check gps.baud, the ground and the length of the receiver's cable; a few a day are normal")
	}
	s.cfg.Lost(telemetry.Gap{
		Class: telemetry.ClassTelemetry, Boot: s.cfg.Clock.Boot(),
		From: from, To: to, Count: count, Reason: why, Source: s.cfg.Name,
	})
}
