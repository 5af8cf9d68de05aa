package agent

import (
	"sync/atomic"
	"time"

	"obu/telemetry"
)

const (
	// travelMPS is the speed over ground from which a vehicle counts as driven:
	// no receiver that stands still drifts so fast.
	travelMPS = 5
	// travelFor is how long a fix says so.
	travelFor = 30 * time.Second
)

// travel knows whether the vehicle is under way, from its receiver: then its
// ignition is on. (On a ferry or a trailer that is wrong; what it permits is one
// request that nobody acknowledges, now and then.)
type travel struct {
	now  func() telemetry.At
	last atomic.Int64 // At of the last fix that said so; 0: none
}

// note takes a fix.
func (t *travel) note(f telemetry.Fix) {
	if f.Valid && f.Doubt == 0 && f.SpeedMPS >= travelMPS {
		t.last.Store(int64(t.now()))
	}
}

// travels reports whether the vehicle is known to be under way.
func (t *travel) travels() bool {
	last := telemetry.At(t.last.Load())
	return last != 0 && t.now().Sub(last) < travelFor
}
