package main

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"obu/telemetry"
	"obu/telemetry/ledger"
)

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
	speed   float64       // seconds of the drive in one second
	newest  telemetry.At  // of all that came
	came    time.Duration // CLOCK_MONOTONIC when newest did
	resumed chan struct{} // closed by the first live envelope after await
	early   int           // values of history that came after await and before it: none, if all is well
	present time.Duration // CLOCK_MONOTONIC of that envelope until history is printed, else 0
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
	return &cloud{screen: s, in: in, values: make(map[string]newest), fix: telemetry.NoFix(), zero: zero, speed: 1}, nil
}

// startsAt says which moment of the car's clock is 00:00 on the screen.
func (c *cloud) startsAt(at telemetry.At) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.car = at
}

// plays says how fast a recording is replayed.
func (c *cloud) plays(speed float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.speed = speed
}

// take is the receiver's handler.
func (c *cloud) take(topic string, payload []byte, retained bool) {
	now := monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	env, fresh, finished := c.in.take(message{now, topic, retained, payload})
	for i := range fresh {
		c.look(&fresh[i], now)
	}
	switch {
	case len(fresh) == 0 || env.Class != telemetry.ClassTelemetry:
	case env.History:
		c.history.add(fresh)
		if c.resumed != nil {
			c.early += spanOf(fresh).values
		}
		if time.Since(c.printed) > time.Second {
			c.printHistory(now)
		}
	case c.resumed != nil:
		c.printNewest(spanOf(fresh), now)
		close(c.resumed)
		c.resumed, c.present = nil, now
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

// printNewest says that the present came before what was stored. mu must be
// held.
func (c *cloud) printNewest(s span, now time.Duration) {
	text := fmt.Sprintf("+ newest   %s of %s of the drive first", values(s.values), minute(s.to.Sub(c.car)))
	if c.car > 0 {
		text += fmt.Sprintf(", the latest %.1f s old", (now - c.zero - time.Duration(s.to)).Seconds())
	}
	if c.early > 0 {
		c.screen.line(red, "%s, but %d older ones before them", text, c.early)
		return
	}
	c.screen.line(green, "%s", text)
}

// printHistory says what came behind the live data. mu must be held.
func (c *cloud) printHistory(now time.Duration) {
	h := c.history
	if h.values == 0 {
		return
	}
	later := ""
	if c.present > 0 {
		later = fmt.Sprintf(" %.2f s later,", (now - c.present).Seconds())
	}
	c.screen.line(dim, "  history  %s behind it,%s from %s to %s of the drive", values(h.values), later,
		minute(h.from.Sub(c.car)), minute(h.to.Sub(c.car)))
	c.history, c.printed, c.present = span{}, time.Now(), 0
}

// values counts values for people.
func values(n int) string {
	if n == 1 {
		return "1 value"
	}
	return thousands(int64(n)) + " values"
}

func minute(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// look keeps the newest of what the line of the car shows.
func (c *cloud) look(b *telemetry.Batch, now time.Duration) {
	if b.Class != telemetry.ClassTelemetry {
		return
	}
	c.count += b.Values()
	if s := spanOf([]telemetry.Batch{*b}); s.values > 0 && s.to > c.newest {
		c.newest, c.came = s.to, now
	}
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
	c.resumed, c.early = make(chan struct{}), 0
	return c.resumed
}

// What is older than this, in seconds of the drive, is not shown as the
// present: some parameters are asked for once a minute only.
const (
	oldPosition = 5 * time.Second
	oldValue    = time.Minute
)

// age returns how old in the drive is what was so at at. While data comes, the
// newest of it is the present. mu must be held.
func (c *cloud) age(at telemetry.At, now time.Duration) time.Duration {
	behind := c.newest.Sub(at)
	if silent := now - c.came; silent > oldPosition {
		behind += time.Duration(silent.Seconds() * c.speed * float64(time.Second))
	}
	return behind
}

// state returns the car as the cloud sees it now, a CLOCK_MONOTONIC time.
func (c *cloud) state(now time.Duration) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.printHistory(now)
	text := c.position(now)
	show := func(name, format string) {
		v, ok := c.values[name]
		shown := fmt.Sprintf(format, v.v)
		switch {
		case !ok:
			shown = strings.Repeat(" ", len([]rune(shown)))
		case c.age(v.at, now) > oldValue:
			shown = strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' {
					return '-'
				}
				return r
			}, shown)
		}
		text += shown
	}
	show("Vehicle.Speed", "  %3.0f km/h")
	show("Vehicle.Powertrain.CombustionEngine.Speed", "  %4.0f rpm")
	show("Vehicle.Powertrain.CombustionEngine.EngineCoolant.Temperature", "  %3.0f °C")
	return text + fmt.Sprintf("  %7s values", thousands(int64(c.count)))
}

// position returns where the car is, or how long that is not known any more.
// mu must be held.
func (c *cloud) position(now time.Duration) string {
	text := "no position yet"
	if !math.IsNaN(c.fix.LatDeg) {
		text = angle(c.fix.LatDeg, "N", "S") + " " + angle(c.fix.LonDeg, "E", "W")
		if age := c.age(c.fix.At, now); age > oldPosition {
			text = fmt.Sprintf("   position %s old", old(age))
		}
	}
	return fmt.Sprintf("%-*s", positionWidth, text)
}

// positionWidth is what two angles take.
const positionWidth = 2*len("123.456789? N") + 1

// old says an age for people.
func old(d time.Duration) string {
	if d < 2*time.Minute {
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
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
