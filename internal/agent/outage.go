package agent

import (
	"time"

	"obu/telemetry"
)

// outageEvery is how often an outage that lasts is listed again: a power cut
// leaves no later chance.
const outageEvery = 10 * time.Minute

// outage lists the time a bus was away: at once when it is lost, now and then
// while that lasts, and up to its return, or to when the agent ends before. What
// passed on it cannot be counted. It belongs to the goroutine of its source. (A
// receiver does this by itself: it is back with its first sentence.)
type outage struct {
	name string
	boot telemetry.BootID
	now  func() telemetry.At
	lost func(telemetry.Gap)

	open  bool // the bus is open, or was when it was lost
	away  bool
	since telemetry.At
	until telemetry.At // it is listed
}

func (o *outage) list() {
	o.until = o.now()
	o.lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: o.boot, From: o.since, To: o.until,
		Count: telemetry.CountUnknown, Reason: telemetry.ReasonBusError, Source: o.name})
}

// gone notes that the source ended. A bus that never was open lost nothing.
func (o *outage) gone() {
	switch now := o.now(); {
	case !o.open, o.away && now.Sub(o.until) < outageEvery:
		return
	case !o.away:
		o.away, o.since = true, now
	}
	o.list()
}

// settle lists an outage up to now: the source is not run again.
func (o *outage) settle() {
	if o.away {
		o.list()
	}
}

// back notes that the bus is open.
func (o *outage) back() {
	o.open = true
	if o.away {
		o.away = false
		o.list()
	}
}
