package can

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"obu/can/canlog"
	"obu/internal/clock"
	"obu/telemetry"
)

// LogOptions are the settings of a replayed log.
type LogOptions struct {
	// Interface keeps the frames of one interface of the log; "" keeps all.
	Interface string
	// Offset is the time of the log's first line on the replay's timeline.
	Offset telemetry.At
	// Origin, when set, is the log time of Offset instead of the first line's:
	// what ties several logs with true time stamps together.
	Origin canlog.Stamp
	// Log hears of lines that cannot be read; nil discards.
	Log *slog.Logger
}

// LogBus is a recording that plays itself at the pace of a clock. It is
// receive-only.
type LogBus struct {
	log    *canlog.Reader
	file   io.Closer
	clk    *clock.Clock
	pace   *clock.Sleeper
	opt    LogOptions
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
	bad    atomic.Uint64
	origin int64
	begun  bool
	seen   bool  // a line was read,
	last   int64 // and this is the time of the latest
	jumps  uint64
}

// A logger whose clock is set in mid-log makes a jump that is not played: the
// replay goes on at once. So does one back by more than canlog.MostDisorder.
const longestPause = time.Hour

// OpenLog opens a log that canlog.Reader knows, plain or .gz, that Receive plays through
// clk.Join. A line that cannot be read is reported, counted in Drops, and the
// rest goes on; a jump of the logger's clock is not waited for.
func OpenLog(path string, clk *clock.Clock, opt LogOptions) (*LogBus, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open CAN log: %w", err)
	}
	if opt.Log != nil {
		opt.Log = opt.Log.With("file", path)
	}
	return NewLogBus(f, clk, opt), nil
}

// NewLogBus is OpenLog for a log that is already open; Close closes it.
func NewLogBus(r io.ReadCloser, clk *clock.Clock, opt LogOptions) *LogBus {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &LogBus{
		log: canlog.NewReader(r), file: r, clk: clk, pace: clk.Join(), opt: opt, ctx: ctx, cancel: cancel,
		origin: opt.Origin.Nanos, begun: opt.Origin != canlog.Stamp{},
	}
}

// ReceiveOnly is true: a Source decodes everything it overhears on such a bus
// and never polls.
func (b *LogBus) ReceiveOnly() bool { return true }

// Receive returns the next frame when the clock has reached its time, io.EOF
// behind the last one.
func (b *LogBus) Receive() (Frame, error) {
	for {
		e, err := b.log.Next()
		var bad *canlog.LineError
		switch {
		case errors.As(err, &bad):
			b.complain(b.bad.Add(1), "skip a line of the CAN log", "line", bad.Line, "error", bad.Err)
			continue
		case err != nil && b.ctx.Err() != nil:
			return Frame{}, ErrClosed
		case err != nil:
			b.pace.Leave()
			return Frame{}, err
		}
		if !b.begun {
			b.begun, b.origin = true, e.Stamp.Nanos
		}
		b.bridge(e.Stamp.Nanos, e.Line)
		if b.opt.Interface != "" && e.Interface != b.opt.Interface {
			continue
		}
		at := b.opt.Offset + telemetry.At(e.Stamp.Nanos-b.origin)
		if err := b.pace.SleepUntil(b.ctx, at); err != nil {
			return Frame{}, ErrClosed
		}
		e.Frame.At = at
		return e.Frame, nil
	}
}

// maxComplaints is how many lines of a log are complained of for one reason; a
// file that is no log at all must not fill the journal.
const maxComplaints = 5

// complain logs what is wrong with a line, the nth for its reason.
func (b *LogBus) complain(n uint64, text string, args ...any) {
	switch {
	case n == maxComplaints:
		args = append(args, "further_lines", "are only counted")
	case n > maxComplaints:
		return
	}
	b.opt.Log.Warn(text, args...)
}

// bridge moves the origin over a jump of the logger's clock.
func (b *LogBus) bridge(now int64, line int) {
	jump := time.Duration(now - b.last)
	if b.seen && (jump > longestPause || jump < -canlog.MostDisorder) {
		b.origin += int64(jump)
		b.jumps++
		b.complain(b.jumps, "the logger's clock was set while it recorded; the replay goes on at once", "line", line, "by", jump)
	}
	b.seen, b.last = true, now
}

// Send returns ErrReceiveOnly.
func (b *LogBus) Send(Frame) error { return ErrReceiveOnly }

// Drops returns the lines that could not be read.
func (b *LogBus) Drops() uint64 { return b.bad.Load() }

// Close ends the replay; the clock goes on without it.
func (b *LogBus) Close() error {
	var err error
	b.once.Do(func() {
		b.cancel()
		b.pace.Leave()
		err = b.file.Close()
	})
	return err
}

// LogInfo is what a log holds.
type LogInfo struct {
	First, Last canlog.Stamp   // lowest and highest time
	Frames      int            // readable ones
	Bad         int            // lines that could not be read
	Interfaces  map[string]int // frames of each
}

// InspectLog reads a whole log: its span, its interfaces and its health.
func InspectLog(path string) (LogInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return LogInfo{}, fmt.Errorf("open CAN log: %w", err)
	}
	defer f.Close()
	info := LogInfo{Interfaces: make(map[string]int)}
	r := canlog.NewReader(f)
	for {
		e, err := r.Next()
		var bad *canlog.LineError
		switch {
		case errors.As(err, &bad):
			info.Bad++
			continue
		case err == io.EOF:
			return info, nil
		case err != nil:
			return info, fmt.Errorf("%s: %w", path, err)
		}
		if info.Frames == 0 || e.Stamp.Nanos < info.First.Nanos {
			info.First = e.Stamp
		}
		if info.Frames == 0 || e.Stamp.Nanos > info.Last.Nanos {
			info.Last = e.Stamp
		}
		info.Frames++
		if _, ok := info.Interfaces[e.Interface]; ok || len(info.Interfaces) < canlog.MaxInterfaces {
			info.Interfaces[e.Interface]++
		}
	}
}
