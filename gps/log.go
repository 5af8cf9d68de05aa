package gps

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// Log is an open NMEA recording. Source.Run plays it at the pace of its
// epochs; Read returns its bytes without pace.
type Log struct {
	file    *os.File
	r       io.Reader
	sleeper *clock.Sleeper
	start   telemetry.At
}

// OpenLog opens a recording, plain or gzip, whose first epoch plays at offset
// on clk. It joins clk's timeline at once, so open every log of a drive before
// the first one runs; Close leaves it.
func OpenLog(path string, clk *clock.Clock, offset telemetry.At) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open nmea log: %w", err)
	}
	r, err := inflate(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open nmea log %s: %w", path, err)
	}
	return &Log{file: f, r: r, sleeper: clk.Join(), start: offset}, nil
}

// ErrDamaged: the compressed recording does not go on; what came before was read.
// Copy it again.
var ErrDamaged = errors.New("compressed log is damaged")

// inflate returns what r holds, uncompressed if it is gzip.
func inflate(r io.Reader) (io.Reader, error) {
	br := bufio.NewReader(r)
	if magic, err := br.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		return gzip.NewReader(br)
	}
	return br, nil
}

// damaged reports whether a read failed because the compressed recording does
// not go on, and not because the disk did not give it.
func damaged(err error) bool {
	var corrupt flate.CorruptInputError
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt)
}

// Read returns bytes of the recording.
func (l *Log) Read(p []byte) (int, error) { return l.r.Read(p) }

// Close leaves the timeline and closes the file.
func (l *Log) Close() error {
	l.sleeper.Leave()
	return l.file.Close()
}

// replay plays a log. An epoch is complete when the next one starts, which in
// a file is known without waiting. A cut log is a log that ends there.
func (s *Source) replay(ctx context.Context, l *Log) error {
	defer s.publish()
	defer l.Close()
	p := pacer{at: l.start}
	stopped := false
	lines, m := s.newInput(func(f telemetry.Fix, tod time.Duration) {
		if stopped {
			return
		}
		at := p.next(f.UTC, tod)
		if l.sleeper.SleepUntil(ctx, at) != nil {
			stopped = true
			return
		}
		f.At = at
		s.cfg.Emit(f)
		s.loss.due(at, false)
		s.publish()
	})
	buf := make([]byte, 4096)
	for !stopped && ctx.Err() == nil {
		n, err := l.Read(buf)
		lines.write(p.at, buf[:n])
		if err == nil {
			continue
		}
		lines.end()
		m.finish()
		cut := damaged(err)
		if cut {
			s.loss.unknown(p.at, p.at)
			s.log.Warn("the recording is cut off or damaged; it was played up to there", "file", l.file.Name(),
				"next", "record or copy it again if the rest matters")
		}
		s.loss.due(p.at, true)
		if cut || errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("read nmea log: %w", err)
	}
	s.loss.due(p.at, true)
	return nil
}

// longestPause is the longest time without an epoch that is replayed as it
// is; beyond it the receiver's clock was set, and time goes on at the usual
// step.
const longestPause = time.Hour

// pacer gives each epoch of a recording its place on the timeline.
type pacer struct {
	at      telemetry.At
	started bool
	utc     time.Time
	tod     time.Duration
	step    time.Duration // last normal step
}

// next returns when the epoch with this time plays. An epoch without a time
// plays with the one before; a jump back or a long one forward counts as one
// usual step, midnight as what it is.
func (p *pacer) next(utc time.Time, tod time.Duration) telemetry.At {
	if !p.started {
		p.started, p.utc, p.tod, p.step = true, utc, tod, time.Second
		return p.at
	}
	if tod < 0 {
		return p.at
	}
	var d time.Duration
	switch {
	case !p.utc.IsZero() && !utc.IsZero():
		d = utc.Sub(p.utc)
	case p.tod >= 0:
		if d = tod - p.tod; d < -12*time.Hour {
			d += 24 * time.Hour
		}
	}
	p.utc, p.tod = utc, tod
	if d < 0 || d > longestPause {
		d = p.step
	} else if d > 0 && d <= 10*time.Second {
		p.step = d
	}
	p.at = p.at.Add(d)
	return p.at
}
