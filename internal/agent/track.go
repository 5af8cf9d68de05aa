package agent

import (
	"slices"
	"sync"
	"time"

	"obu/internal/config"
	"obu/internal/trip"
	"obu/telemetry"
)

// track thins the fixes that are to be stored. The receiver's source adds to
// it; the flush asks what it holds, and has what waited long enough leave when
// the receiver says no more. A nil one holds nothing.
type track struct {
	mu   sync.Mutex // guards thin
	thin *trip.Track
}

// newTrack returns what thins the fixes that are to be stored; nil: nothing does.
func (a *Agent) newTrack() *track {
	if a.cfg.GPS == nil || a.cfg.GPS.Curvelog == nil {
		return nil
	}
	c := a.cfg.GPS.Curvelog
	return &track{thin: trip.NewTrack(trip.Tolerance{ErrorM: c.MaxError.M(), TimeError: time.Duration(c.MaxTimeError), Time: time.Duration(c.MaxTime), SpeedMPS: c.MaxSpeedError.MPS(),
		CourseDeg: float64(c.MaxCourseError), Detail: detailOf(c)}, a.batch.fix)}
}

// keep takes a fix that is to be stored.
func (a *Agent) keep(f telemetry.Fix) {
	if t := a.track; t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.thin.Add(f)
		return
	}
	a.batch.fix(f)
}

// settle has leave what waited as long as it may, or all since no more will come
// for a while, and returns when the oldest was said that waits on, or now.
func (t *track) settle(now telemetry.At, all bool) telemetry.At {
	if t == nil {
		return now
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if all {
		t.thin.Flush()
	}
	t.thin.Expire(now)
	return min(now, t.thin.Since(now))
}

// detailOf is the configured detail; the schema lets no other name pass.
func detailOf(c *config.Track) trip.Detail {
	return trip.Detail(max(0, slices.Index(trip.Details[:], c.Detail)))
}
