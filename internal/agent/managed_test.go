package agent_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"obu/can"
	"obu/can/link"
)

// standing is the controller of a silent bus: what it sends is counted, nobody
// answers.
type standing struct {
	mu    sync.Mutex // guards what follows
	state link.State
	mute  bool // what was sent in a mode that only listens
	sent  int
}

func (s *standing) Set(want link.Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = link.State{Settings: want, Up: true}
	return nil
}

func (s *standing) State() (link.State, error) {
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

// TestHealthTellsOfTheController: a controller with which nothing was wrong
// says only that; what happened to one is told under the name of its bus, and
// stays told after it has recovered.
func TestHealthTellsOfTheController(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "controller")
		a := r.start()
		time.Sleep(20 * time.Second)
		figure := func(name string) (string, bool) {
			r.cloud.mu.Lock()
			defer r.cloud.mu.Unlock()
			v, ok := r.cloud.health["Vehicle.Obu.CAN."+name]
			return v.String(), ok
		}
		synctest.Wait()
		if v, ok := figure("ErrorFrames"); !ok || v != "0" {
			t.Errorf("%s error frames, %v", v, ok)
		}
		if v, ok := figure("ControllerState"); ok {
			t.Errorf("controller %s, which is no news", v)
		}
		say := func(class uint32, detail, tx byte) {
			r.plug.mu.Lock()
			defer r.plug.mu.Unlock()
			if err := r.plug.bus.Send(can.Frame{ID: class, Error: true, Len: 8, Data: [64]byte{1: detail, 6: tx}}); err != nil {
				t.Error(err)
			}
		}
		say(0x204, 0x21, 130) // overrun and error-passive
		say(0x40, 0, 0)
		time.Sleep(time.Minute)
		for name, want := range map[string]string{"ErrorFrames": "2", "Overruns": "1", "Passives": "1", "BusOffs": "1", "TXErrors": "130", "ControllerState": "bus-off"} {
			if v, _ := figure(name); v != want {
				t.Errorf("%s is %s, want %s", name, v, want)
			}
		}
		say(0x100, 0, 0)
		time.Sleep(time.Minute)
		for name, want := range map[string]string{"BusOffs": "1", "ControllerRestarts": "1", "TXErrors": "0", "ControllerState": "active"} {
			if v, _ := figure(name); v != want {
				t.Errorf("%s is %s, want %s", name, v, want)
			}
		}
		a.stop()
	})
}
