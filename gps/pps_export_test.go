package gps

import (
	"context"
	"time"

	"obu/telemetry"
)

// Stamps are what the kernel stamped.
type Stamps struct {
	AssertN, ClearN uint32
	Assert, Clear   int64
}

// ErrNoEdge is what a fetch returns when none came.
var ErrNoEdge = errNoEdge

// Follow is Run on a device of the test's.
func (p PPS) Follow(ctx context.Context, fetch func() (Stamps, error), pulse func(telemetry.At, time.Duration)) error {
	return p.follow(ctx, func() (stamps, error) {
		s, err := fetch()
		return stamps{s.AssertN, s.ClearN, s.Assert, s.Clear}, err
	}, pulse)
}
