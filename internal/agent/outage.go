package agent

import "obu/telemetry"

// outage lists the time a bus was away: at once when it is lost, and again,
// up to its return, when it is back. What passed on it cannot be counted. It
// belongs to the goroutine of its source. (A receiver does this by itself: it
// is back with its first sentence.)
type outage struct {
	name string
	boot telemetry.BootID
	now  func() telemetry.At
	lost func(telemetry.Gap)

	open  bool // the bus is open, or was when it was lost
	away  bool
	since telemetry.At
}

func (o *outage) list() {
	o.lost(telemetry.Gap{Class: telemetry.ClassTelemetry, Boot: o.boot, From: o.since, To: o.now(),
		Count: telemetry.CountUnknown, Reason: telemetry.ReasonBusError, Source: o.name})
}

// gone notes that the source ended. A bus that never was open lost nothing.
func (o *outage) gone() {
	if !o.open || o.away {
		return
	}
	o.away, o.since = true, o.now()
	o.list()
}

// back notes that the bus is open.
func (o *outage) back() {
	o.open = true
	if o.away {
		o.away = false
		o.list()
	}
}
