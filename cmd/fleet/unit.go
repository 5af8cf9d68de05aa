package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"obu/can"
	"obu/internal/agent"
	"obu/telemetry"
)

// unit is one agent in its car.
type unit struct {
	car   *car
	agent *agent.Agent
	done  chan struct{} // closed when the agent has returned
	err   error         // why; set before done is closed
}

// newUnit builds an agent for a car, exactly as obu does. It starts nothing.
func newUnit(r *fleetRun, c *car) (*unit, error) {
	dir := filepath.Join(r.dir, c.unit)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make store folder: %w", err)
	}
	if c.clips != "" {
		if err := os.MkdirAll(c.clips, 0o755); err != nil {
			return nil, fmt.Errorf("make clip folder: %w", err)
		}
	}
	cfg := agentConfig(c, &r.options, r.fleet, r.url, dir)
	deps := agent.Deps{Devices: c.devices(), Clock: c.clk, Version: "fleet",
		Finite: c.recorded != nil, DrainFor: drainLimit}
	if f := r.faults.bus; f != nil {
		for i := range deps.Devices.CAN {
			dial := deps.Devices.CAN[i].Dial
			deps.Devices.CAN[i].Dial = func(ctx context.Context) (can.Bus, error) {
				bus, err := dial(ctx)
				if err != nil {
					return nil, err
				}
				return f(bus), nil
			}
		}
	}
	deps.Backlog = r.faults.backlog
	if r.faults.swallow > 0 || r.faults.mute > 0 {
		deps.Dial = r.faults.dial(r.url)
	}
	a, err := agent.New(cfg, deps)
	if err != nil {
		return nil, fmt.Errorf("build agent %s: %w", c.unit, err)
	}
	return &unit{car: c, agent: a, done: make(chan struct{})}, nil
}

// run runs the agent until ctx ends.
func (u *unit) run(ctx context.Context) {
	defer close(u.done)
	u.err = u.agent.Run(ctx)
}

// owed returns how many batches of the car's data the agent still holds;
// its own statistics never stop and do not count.
func (u *unit) owed() int {
	s := u.agent.Status()
	n := s.Batcher.Held
	for _, st := range s.Streams {
		if st.Class != telemetry.ClassHealth {
			n += st.Batches
		}
	}
	return n
}

// describe says what the agent holds and how its link is.
func (u *unit) describe() string {
	s := u.agent.Status()
	text := u.car.unit
	for _, st := range s.Streams {
		if st.Batches > 0 {
			text += fmt.Sprintf("; %s of store %s: floor %d, next %d, %d batches, %d values", st.Class, st.Store, st.Floor, st.Next, st.Batches, st.Values)
		}
	}
	if up := s.Uplink; up != nil {
		text += fmt.Sprintf("; connected %v, %d connects, %d published, %d acknowledged, %d in flight, %d refused, last error %q",
			up.Connected, up.Connects, up.Published, up.Acked, up.InFlight, up.Refused, up.LastError)
	}
	return text
}

// stopLimit is how long agents may take to store what they hold and return.
const stopLimit = 60 * time.Second

// stopUnits waits until every agent has returned.
func stopUnits(units []*unit) (err error) {
	limit := time.After(stopLimit)
	for _, u := range units {
		select {
		case <-u.done:
			if u.err != nil {
				err = errors.Join(err, fmt.Errorf("agent %s: %w", u.car.unit, u.err))
			}
		case <-limit:
			return errors.Join(err, fmt.Errorf("agent %s did not stop within %v", u.car.unit, stopLimit))
		}
	}
	return err
}
