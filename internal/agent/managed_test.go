package agent_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
)

// standing is the controller of a silent bus: what it sends is counted, nobody
// answers.
type standing struct {
	mu    sync.Mutex // guards what follows
	state can.LinkState
	mute  bool // what was sent in a mode that only listens
	sent  int
}

func (s *standing) Set(want can.LinkSettings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = can.LinkState{LinkSettings: want, Up: true}
	return nil
}

func (s *standing) State() (can.LinkState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, nil
}

func (s *standing) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

// countedEnd counts what one end of a bus sends.
type countedEnd struct {
	can.Bus
	s *standing
}

func (c countedEnd) Send(f can.Frame) error {
	c.s.mu.Lock()
	c.s.sent++
	c.s.mute = c.s.mute || c.s.state.ListenOnly
	c.s.mu.Unlock()
	return c.Bus.Send(f)
}

// TestSilentBusIsAskedWhenTheCarTravels: with bitrate: auto the receiver is
// what knows that the ignition is on. While it has not said so the bus sees
// nothing.
func TestSilentBusIsAskedWhenTheCarTravels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "managed")
		s := &standing{}
		r.deps.Devices.CAN[0].Managed = &can.Managed{Link: s, Dial: func(context.Context) (can.Bus, error) {
			agent, _ := can.Pair(r.clk)
			return countedEnd{agent, s}, nil
		}}
		gps := r.deps.Devices.GPS
		r.deps.Devices.GPS = nil
		r.cfg.CAN[0].Bitrate = -1
		a := r.start()
		time.Sleep(10 * time.Minute)
		if n := s.count(); n != 0 {
			t.Errorf("%d frames sent by a unit without a receiver", n)
		}
		a.stop()

		r.deps.Devices.GPS = gps
		a = r.start()
		time.Sleep(10 * time.Minute)
		if n := s.count(); n < 4 || n > 60 || s.mute {
			t.Errorf("%d frames sent in ten minutes of a drive, while listening only: %v", n, s.mute)
		}
		a.stop()
	})
}
