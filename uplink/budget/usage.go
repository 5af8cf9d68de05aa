package budget

// Usage is bytes on the wire by class, both directions together.
type Usage struct {
	Telemetry int64 `json:"telemetry"`
	Event     int64 `json:"event"`
	Health    int64 `json:"health"`
	Media     int64 `json:"media"`
	Control   int64 `json:"control"` // all else: connecting, TLS, acknowledgements, commands, TCP/IP headers
}

// Total is the sum over the classes.
func (u Usage) Total() int64 { return u.Telemetry + u.Event + u.Health + u.Media + u.Control }

// Plus returns the sum of two usages.
func (u Usage) Plus(v Usage) Usage {
	u.add(v)
	return u
}

// Minus returns what u has more than v.
func (u Usage) Minus(v Usage) Usage {
	return Usage{u.Telemetry - v.Telemetry, u.Event - v.Event, u.Health - v.Health, u.Media - v.Media, u.Control - v.Control}
}

func (u *Usage) add(v Usage) {
	u.Telemetry += v.Telemetry
	u.Event += v.Event
	u.Health += v.Health
	u.Media += v.Media
	u.Control += v.Control
}
