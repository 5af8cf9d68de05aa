package virtual

import (
	"context"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// UnitClock is the clock of the unit in the car, with the faults of real ones.
// The zero value is right. Times are since the clock was made.
type UnitClock struct {
	DriftPPM float64       // the crystal counts so much too fast
	Wall     time.Time     // what the system clock reads at first, as a battery's clock does; zero: the truth
	RTCError time.Duration // added to that
	Suspends []Suspend     // in order
}

// Suspend is a sleep of the machine. Nothing in it runs meanwhile: for the
// unit, and for the car around it, time jumps.
type Suspend struct {
	After  time.Duration // awake before it, all in all
	Length time.Duration
	Error  time.Duration // what the kernel measured too much
}

// asleep returns how long the machine had slept when it had been awake for so
// long, and how much of that was never so.
func (u *UnitClock) asleep(awake time.Duration) (length, wrong time.Duration) {
	for _, s := range u.Suspends {
		if awake >= s.After {
			length, wrong = length+s.Length, wrong+s.Error
		}
	}
	return length, wrong
}

// counted is what the unit's clock counts while it is awake for so long.
func (u *UnitClock) counted(awake time.Duration) time.Duration {
	length, wrong := u.asleep(awake)
	return awake + time.Duration(float64(awake)*u.DriftPPM/1e6) + length + wrong
}

// Options makes a Virtual clock the unit's.
func (u UnitClock) Options() []clock.Option { return u.OptionsAfter(0) }

// OptionsAfter makes a Virtual clock the unit's in a process that starts when
// the unit has been awake for so long.
func (u UnitClock) OptionsAfter(awake time.Duration) []clock.Option {
	opts := []clock.Option{clock.WithOscillator(
		func(more time.Duration) time.Duration { return u.counted(awake + more) },
		func(more time.Duration) time.Duration {
			length, wrong := u.asleep(awake + more)
			return length + wrong
		})}
	if u.Wall.IsZero() {
		return append(opts, clock.WithWallError(u.RTCError-u.counted(awake)))
	}
	return append(opts, clock.WithWallAt(u.Wall.Add(u.RTCError)))
}

// TrueOptions makes a Virtual clock, made at the same moment, the truth: the
// car's.
func (u UnitClock) TrueOptions() []clock.Option {
	return []clock.Option{clock.WithOscillator(func(awake time.Duration) time.Duration {
		length, _ := u.asleep(awake)
		return awake + length
	}, nil)}
}

// True returns how much time had truly passed when the unit's clock, which
// began at 0, showed at.
func (u UnitClock) True(at telemetry.At) time.Duration {
	var length, wrong, least time.Duration
	rate := 1 + u.DriftPPM/1e6
	awake := func() time.Duration { return time.Duration(float64(time.Duration(at)-length-wrong) / rate) }
	for _, s := range u.Suspends {
		if awake() <= s.After {
			break
		}
		length, wrong, least = length+s.Length, wrong+s.Error, s.After // a moment it slept through is when it woke up
	}
	return max(awake(), least) + length
}

// PulseOptions says how the wire of the pulse per second behaves.
type PulseOptions struct {
	Behind  time.Duration              // the edge after the start of the second: the wrong edge, by the width of the pulse
	Missing float64                    // share of the pulses that is lost
	Visible func(s time.Duration) bool // as in GPSOptions,
	Wander  time.Duration              // and how much later each pulse comes while it is not
}

// Pulse calls edge with each edge of the pulse per second until ctx ends. A
// receiver without a view of the sky goes on pulsing, by its own crystal.
func (c *Car) Pulse(ctx context.Context, edge func(), o PulseOptions) error {
	next := c.UTC(c.clk.Now()).Truncate(time.Second).Add(time.Second)
	r := rng(c.seed ^ 0x707073)
	var wandered time.Duration
	for {
		if o.Visible == nil || o.Visible(next.Sub(c.start)) {
			wandered = 0
		} else {
			wandered += o.Wander
		}
		at := c.origin.Add(next.Sub(c.start) + o.Behind + wandered)
		if !pause(ctx, at.Sub(c.clk.Now())) {
			return nil
		}
		if r.float() >= o.Missing && c.clk.Now().Sub(at) < 100*time.Millisecond {
			edge()
		}
		next = next.Add(time.Second)
		if late := c.UTC(c.clk.Now()).Sub(next); late > 2*time.Second {
			next = next.Add(late.Truncate(time.Second))
		}
	}
}
