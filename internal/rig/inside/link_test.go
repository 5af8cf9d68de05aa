package inside_test

import (
	"context"
	"errors"
	"os/exec"
	"testing"
	"time"

	"obu/can"
	"obu/can/link"
)

// down takes an interface down when the test ends.
func down(t *testing.T, name string) {
	t.Cleanup(func() { _ = exec.Command("/bin/busybox", "ip", "link", "set", name, "down").Run() }) // it may be down
}

// TestControllerIsSet: what is set over netlink is what the driver then tells,
// mode by mode; other interfaces refuse.
func TestControllerIsSet(t *testing.T) {
	down(t, "can0")
	l := link.New("can0")
	for _, want := range []link.Settings{
		{Bitrate: 500_000, ListenOnly: true}, {Bitrate: 250_000, ListenOnly: true}, {Bitrate: 125_000, ListenOnly: true}, {Bitrate: 1_000_000, ListenOnly: true},
		{Bitrate: 250_000, OneShot: true}, {Bitrate: 500_000, Restart: time.Second},
	} {
		if err := l.Set(want); err != nil {
			t.Fatal(err)
		}
		got, err := l.State()
		if err != nil || got.Settings != want || !got.Up || got.State != can.ControllerActive {
			t.Errorf("set %+v, is %+v, %v", want, got, err)
		}
		if !got.Counts {
			t.Error("the driver does not tell its error counters")
		}
	}
	if err := l.Set(link.Settings{Bitrate: 123}); !errors.Is(err, link.ErrMode) {
		t.Errorf("123 bit/s: %v", err)
	}
	if _, err := link.New(vcan(t, "vcan0")).State(); !errors.Is(err, link.ErrNotCAN) {
		t.Errorf("a virtual interface: %v", err)
	}
	if err := link.New("nosuch0").Set(link.Settings{Bitrate: 500_000}); !errors.Is(err, link.ErrNoDevice) {
		t.Errorf("no interface: %v", err)
	}
}

// TestControllerCountsFrames: the driver counts what filters hold back.
func TestControllerCountsFrames(t *testing.T) {
	a, b := controllers(t)
	bus, all, other := dial(t, a, can.OBDFilters()), dial(t, a, nil), dial(t, b, nil)
	l := link.New(a)
	before, err := l.State()
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := other.Send(can.Frame{ID: 0x111, Len: 8}); err != nil {
			t.Fatal(err)
		}
		receive(t, all) // the emulated controller loses some of many at once
	}
	if err := other.Send(can.Frame{ID: 0x7E8, Len: 8}); err != nil {
		t.Fatal(err)
	}
	receive(t, bus) // that one: all before it have come
	after, err := l.State()
	if n := after.Frames - before.Frames; err != nil || n != 21 || after.Bytes-before.Bytes != 8*n {
		t.Errorf("%+v, then %+v, %v", before, after, err)
	}
}

// TestControllerListensOnly: in the mode of the search nothing leaves the
// controller, whatever is sent.
func TestControllerListensOnly(t *testing.T) {
	a, b := controllers(t)
	if err := link.New(a).Set(link.Settings{Bitrate: 500_000, ListenOnly: true}); err != nil {
		t.Fatal(err)
	}
	quiet, other := dial(t, a, nil), dial(t, b, nil)
	for range 10 {
		_ = quiet.Send(can.Frame{ID: 0x111, Len: 8}) // an error is as good
	}
	time.Sleep(200 * time.Millisecond)
	if err := other.Send(can.Frame{ID: 0x222, Len: 8}); err != nil {
		t.Fatal(err)
	}
	if f := receive(t, quiet); f.ID != 0x222 {
		t.Errorf("received %v", f)
	}
	if err := link.New(a).Set(link.Settings{Bitrate: 500_000}); err != nil {
		t.Fatal(err)
	}
	if err := dial(t, a, nil).Send(can.Frame{ID: 0x333, Len: 8}); err != nil {
		t.Fatal(err)
	}
	if f := receive(t, other); f.ID != 0x333 {
		t.Errorf("heard %v of a controller that only listened", f)
	}
}

// TestControllerIsManaged goes the way of bitrate: auto on a bus that speaks
// and on one that has to be asked. The emulation has no bit timing: at
// whichever rate is tried first everything is heard.
func TestControllerIsManaged(t *testing.T) {
	a, b := controllers(t)
	other := dial(t, b, nil)
	open := can.Device(a, can.SocketOptions{Clock: system(t)})
	m := can.Managed{Link: link.New(a), Dial: open}

	ctx, stop := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			_ = other.Send(can.Frame{ID: 0x100, Len: 8}) // ErrBusy while the other one is down
			time.Sleep(10 * time.Millisecond)
		}
	}()
	bus, err := m.Dialer()(t.Context())
	stop()
	if err != nil {
		t.Fatal(err)
	}
	if s, err := m.Link.State(); err != nil || s.Settings != (link.Settings{Bitrate: 500_000, Restart: time.Second}) {
		t.Errorf("brought up with %+v, %v", s, err)
	}
	bus.Close()

	m.Ignition = func() bool { return true }
	asked := make(chan can.Frame, 16)
	go func() { // the ECU
		for {
			f, err := other.Receive()
			if err != nil {
				return
			}
			asked <- f
			if !f.Error && f.ID == 0x7DF {
				_ = other.Send(can.Frame{ID: 0x7E8, Len: 8, Data: [64]byte{6, 0x41, 0, 0x08, 0x18, 0, 0}})
			}
		}
	}()
	time.Sleep(200 * time.Millisecond)
	bus, err = m.Dialer()(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	bus.Close()
	n := 0
	for len(asked) > 0 {
		if f := <-asked; !f.Error {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the bus saw %d frames, want the one request", n)
	}
}
