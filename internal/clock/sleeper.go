package clock

import (
	"context"
	"errors"
	"sync"
	"time"

	"obu/telemetry"
)

// ErrLeft is returned by SleepUntil after Leave, also to a sleeper that was
// asleep when another goroutine called it. Join again to go on.
var ErrLeft = errors.New("sleeper has left the clock")

// Sleeper is one participant of a clock's timeline: a source that follows
// recorded time, or a periodic job that must keep step with the sources.
//
// On a replay nobody's time moves while a joined sleeper is awake: between two
// sleeps it must not wait for another sleeper, and one that stops sleeping
// must Leave. One goroutine uses a Sleeper; Leave may come from any.
type Sleeper struct {
	c       *Clock
	follows bool // not a source
	leave   sync.Once
	gone    chan struct{} // closed by Leave
	timer   *time.Timer   // live: reused from sleep to sleep

	// On a replay, under its lock.
	wake   chan struct{} // one token per wake-up
	order  int           // rank among sleepers of the same time
	at     telemetry.At  // valid while queued
	index  int           // in the queue; -1 when awake
	inTurn bool          // was woken at least once
}

// Join adds a source of the timeline. Every Join needs a Leave. Sleepers that
// wake at the same time do so in the order they joined.
func (c *Clock) Join() *Sleeper { return c.join(false) }

// Follow adds a participant that keeps step with the sources and is none
// itself, as a periodic job does: it is a Join, but when only followers are
// left a replay goes on no faster than real time. Without the difference a
// periodic job would run away as soon as the recordings have ended.
func (c *Clock) Follow() *Sleeper { return c.join(true) }

func (c *Clock) join(follows bool) *Sleeper {
	s := &Sleeper{c: c, follows: follows, index: -1, gone: make(chan struct{})}
	if c.replay != nil {
		s.wake = make(chan struct{}, 1)
		c.replay.join(s)
	}
	return s
}

// SleepUntil returns nil when the clock has reached at, immediately when that
// is not in the future; else the context's error, or ErrLeft.
func (s *Sleeper) SleepUntil(ctx context.Context, at telemetry.At) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.gone:
		return ErrLeft
	default:
	}
	if s.c.replay != nil {
		return s.sleepReplay(ctx, at)
	}
	return s.sleepLive(ctx, at)
}

// Leave ends the participation; it may be called more than once.
func (s *Sleeper) Leave() {
	s.leave.Do(func() {
		r := s.c.replay
		if r == nil {
			close(s.gone)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		close(s.gone)
		r.leave(s)
	})
}

func (s *Sleeper) sleepReplay(ctx context.Context, at telemetry.At) error {
	r := s.c.replay
	r.mu.Lock()
	select {
	case <-s.gone: // under the lock: a sleeper that left is never queued
		r.mu.Unlock()
		return ErrLeft
	default:
	}
	asleep := r.enqueue(s, at)
	r.mu.Unlock()
	if !asleep {
		return nil
	}
	select {
	case <-s.wake:
		return nil
	case <-s.gone:
		return ErrLeft
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.remove(s) {
		select { // it was woken at the same moment: take the token back
		case <-s.wake:
		default: // it left at the same moment
		}
	}
	return ctx.Err()
}

func (s *Sleeper) sleepLive(ctx context.Context, at telemetry.At) error {
	for {
		d := at.Sub(s.c.Now())
		if d <= 0 {
			return nil
		}
		if s.c.maxNap > 0 {
			d = min(d, s.c.maxNap)
		}
		if s.timer == nil {
			s.timer = time.NewTimer(d)
		} else {
			s.timer.Reset(d)
		}
		select {
		case <-s.timer.C:
		case <-ctx.Done():
			s.timer.Stop()
			return ctx.Err()
		case <-s.gone:
			s.timer.Stop()
			return ErrLeft
		}
	}
}

// before orders sleepers by time, then by joining.
func (s *Sleeper) before(t *Sleeper) bool {
	return s.at < t.at || s.at == t.at && s.order < t.order
}
