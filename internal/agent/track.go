package agent

import (
	"slices"
	"time"

	"obu/internal/trip"
	"obu/telemetry"
)

// track returns what takes the fixes that are to be stored, and what is to be
// called when no more come.
func (a *Agent) track() (keep func(telemetry.Fix), settle func()) {
	if a.cfg.GPS == nil || a.cfg.GPS.Curvelog == nil {
		return a.batch.fix, func() {}
	}
	c := a.cfg.GPS.Curvelog
	t := trip.NewTrack(trip.Tolerance{ErrorM: c.MaxError.M(), TimeError: time.Duration(c.MaxTimeError), Time: time.Duration(c.MaxTime), SpeedMPS: c.MaxSpeedError.MPS(),
		CourseDeg: float64(c.MaxCourseError), Detail: trip.Detail(max(0, slices.Index(trip.Details[:], c.Detail)))}, a.batch.fix)
	return t.Add, t.Flush
}
