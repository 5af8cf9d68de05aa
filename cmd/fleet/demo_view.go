package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"obu/telemetry"
	"obu/telemetry/ledger"
)

// screen prints the demo, one calm line after the other; colours only on a
// terminal. It may be used from several goroutines.
type screen struct {
	mu      sync.Mutex
	w       io.Writer
	colours bool
	start   time.Time
}

func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	st, err := func() (os.FileInfo, error) {
		if !ok {
			return nil, os.ErrInvalid
		}
		return f.Stat()
	}()
	terminal := err == nil && st.Mode()&os.ModeCharDevice != 0
	return &screen{w: w, colours: terminal && os.Getenv("NO_COLOR") == "", start: time.Now()}
}

// Colours of the lines.
const (
	plain  = ""
	bold   = "1"
	dim    = "2"
	green  = "32"
	yellow = "33"
	red    = "31"
)

func (s *screen) paint(colour, text string) string {
	if !s.colours || colour == plain {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// line prints one line with the time since the start in front.
func (s *screen) line(colour, format string, a ...any) {
	since := time.Since(s.start).Truncate(time.Second)
	text := fmt.Sprintf(format, a...)
	s.text(plain, "%s  %s", s.paint(dim, fmt.Sprintf("%02d:%02d", int(since.Minutes()), int(since.Seconds())%60)), s.paint(colour, text))
}

// text prints a line as it is.
func (s *screen) text(colour, format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.w, s.paint(colour, strings.TrimRight(fmt.Sprintf(format, a...), " ")))
}

// cloud is what the receiver in the demo has seen: the intake for the ledger,
// and the newest state for the eye.
type cloud struct {
	screen *screen

	mu      sync.Mutex
	in      *intake // under mu, as all that follows
	fix     telemetry.Fix
	values  map[string]newest
	count   int
	history span          // that came and was not printed yet
	printed time.Time     // when history was printed last
	zero    time.Duration // CLOCK_MONOTONIC when the car's clock was 0
	car     telemetry.At  // when the showing began; 0 on a replay, whose clock is its own
	resumed chan struct{} // closed by the first live envelope after await
}

type newest struct {
	at telemetry.At
	v  float64
}

func newCloud(s *screen, clipDir string, zero time.Duration) (*cloud, error) {
	in, err := newIntake(clipDir)
	if err != nil {
		return nil, err
	}
	return &cloud{screen: s, in: in, values: make(map[string]newest), fix: telemetry.NoFix(), zero: zero}, nil
}

// startsAt says which moment of the car's clock is 00:00 on the screen.
func (c *cloud) startsAt(at telemetry.At) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.car = at
}

// take is the receiver's handler.
func (c *cloud) take(topic string, payload []byte, retained bool) {
	now := monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	env, fresh, finished := c.in.take(message{now, topic, retained, payload})
	for i := range fresh {
		c.look(&fresh[i])
	}
	switch {
	case len(fresh) == 0 || env.Class != telemetry.ClassTelemetry:
	case env.History:
		c.history.add(fresh)
		if time.Since(c.printed) > time.Second {
			c.printHistory()
		}
	case c.resumed != nil:
		if s := spanOf(fresh); c.car > 0 {
			behind := now - c.zero - time.Duration(s.to)
			c.screen.line(green, "+ newest   %d values first, the latest %.1f s old", s.values, behind.Seconds())
		} else {
			c.screen.line(green, "+ newest   %d values first", s.values)
		}
		close(c.resumed)
		c.resumed = nil
	}
	for _, f := range finished {
		c.clip(f)
	}
}

// span is how many values came and from when to when they are.
type span struct {
	values   int
	from, to telemetry.At
}

func spanOf(batches []telemetry.Batch) (s span) {
	s.add(batches)
	return s
}

func (s *span) add(batches []telemetry.Batch) {
	see := func(at telemetry.At) {
		if s.values == 0 || at < s.from {
			s.from = at
		}
		s.to = max(s.to, at)
		s.values++
	}
	for i := range batches {
		for _, v := range batches[i].Samples {
			see(v.At)
		}
		for _, f := range batches[i].Fixes {
			see(f.At)
		}
	}
}

// printHistory says what came behind the live data. mu must be held.
func (c *cloud) printHistory() {
	h := c.history
	if h.values == 0 {
		return
	}
	first, last := h.from.Sub(c.car), h.to.Sub(c.car)
	c.screen.line(dim, "  history  %s values behind it, from %s to %s of the drive", thousands(int64(h.values)), minute(first), minute(last))
	c.history, c.printed = span{}, time.Now()
}

func minute(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// look keeps the newest of what the line of the car shows.
func (c *cloud) look(b *telemetry.Batch) {
	if b.Class != telemetry.ClassTelemetry {
		return
	}
	c.count += b.Values()
	for _, s := range b.Samples {
		if old, ok := c.values[s.Signal.Name]; (!ok || s.At >= old.at) && s.Value.Kind() != telemetry.KindNone {
			c.values[s.Signal.Name] = newest{s.At, s.Value.Float()}
		}
	}
	for _, f := range b.Fixes {
		if f.Valid && f.At >= c.fix.At {
			c.fix = f
		}
	}
}

func (c *cloud) clip(f ledger.Finished) {
	colour, word := green, "identical"
	if !f.OK {
		colour, word = red, "NOT what the camera recorded"
	}
	c.screen.line(colour, "+ clip    %s  %s  %s bytes  sha256 %x…  %s", f.Clip.Name, f.Clip.Camera,
		thousands(f.Clip.SizeBytes), f.Got[:4], word)
}

// await returns a channel that closes with the next live telemetry.
func (c *cloud) await() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumed = make(chan struct{})
	return c.resumed
}

// state returns the car as the cloud sees it now.
func (c *cloud) state() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.printHistory()
	var b strings.Builder
	if math.IsNaN(c.fix.LatDeg) {
		b.WriteString("no position yet          ")
	} else {
		fmt.Fprintf(&b, "%s %s", angle(c.fix.LatDeg, "N", "S"), angle(c.fix.LonDeg, "E", "W"))
	}
	show := func(name, format string) {
		if v, ok := c.values[name]; ok {
			fmt.Fprintf(&b, format, v.v)
		} else {
			b.WriteString(strings.Repeat(" ", len(fmt.Sprintf(format, 0.0))))
		}
	}
	show("Vehicle.Speed", "  %3.0f km/h")
	show("Vehicle.Powertrain.CombustionEngine.Speed", "  %4.0f rpm")
	show("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", "  %3.0f °C")
	fmt.Fprintf(&b, "  %7s values", thousands(int64(c.count)))
	return b.String()
}

// account compares with what the car emitted.
func (c *cloud) account(e emission) *account {
	c.mu.Lock()
	defer c.mu.Unlock()
	return compare(e, c.in)
}

func angle(deg float64, positive, negative string) string {
	side := positive
	if deg < 0 {
		side = negative
	}
	return fmt.Sprintf("%10.6f° %s", math.Abs(deg), side)
}
