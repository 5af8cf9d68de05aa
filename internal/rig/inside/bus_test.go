package inside_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"obu/can"
	"obu/can/frame"
	"obu/can/link"
	"obu/internal/clock"
)

func system(t testing.TB) *clock.Clock {
	t.Helper()
	clk, err := clock.System()
	if err != nil {
		t.Fatal(err)
	}
	return clk
}

func dial(t testing.TB, name string, filters []can.Filter) can.Bus {
	t.Helper()
	b, err := can.DialSocketCAN(t.Context(), name, can.SocketOptions{Clock: system(t), Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// receive returns the next frame, or fails after a while.
func receive(t testing.TB, b can.Bus) can.Frame {
	t.Helper()
	stuck := time.AfterFunc(20*time.Second, func() { b.Close() })
	defer stuck.Stop()
	f, err := b.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func shapes(fd bool) []can.Frame {
	speed := can.Frame{ID: 0x7E8, Len: 8}
	copy(speed.Data[:], []byte{3, 0x41, 0x0D, 0x4A, 0, 0, 0, 9})
	ext := can.Frame{ID: 0x18DAF110, Extended: true, Len: 3}
	copy(ext.Data[:], []byte{1, 2, 3})
	out := []can.Frame{speed, ext, {ID: 0x55, Remote: true}, {ID: 0x7FF}}
	if fd {
		long := can.Frame{ID: 0x123, FD: true, Flags: frame.FlagBRS | frame.FlagESI, Len: 64}
		for i := range long.Data {
			long.Data[i] = byte(i)
		}
		// The emulated controller loses its place behind a remote frame with a length.
		out = append(out, can.Frame{ID: 0x55, Remote: true, Len: 4}, long, can.Frame{ID: 0x1ABCDEF0, Extended: true, FD: true, Len: 12})
	}
	return out
}

// exchange sends every shape from a to b and compares content and stamp.
func exchange(t *testing.T, a, b can.Bus, frames []can.Frame) {
	t.Helper()
	for _, want := range frames {
		stamped := false
		for end := time.Now().Add(10 * time.Second); !stamped && time.Now().Before(end); {
			stamped = exchangeOne(t, a, b, want)
		}
		if !stamped {
			t.Errorf("%v: no receive stamp of the kernel", want)
		}
	}
}

// exchangeOne sends one frame and reports whether it came with the kernel's stamp. A
// machine that has just started may set its clock straight, and the bus then
// refuses the stamps of a second.
func exchangeOne(t *testing.T, a, b can.Bus, want can.Frame) bool {
	t.Helper()
	clk := system(t)
	before := clk.Now()
	if err := a.Send(want); err != nil {
		t.Fatal(err)
	}
	got := receive(t, b)
	// The stamp is wall time; its way to time since boot costs a millisecond at most.
	if slack := 5 * time.Millisecond; time.Duration(got.At) < time.Duration(before)-slack || got.At > clk.Now() {
		t.Errorf("%v: received at %v, sent after %v", got, got.At, before)
	}
	stamped := !got.ReadTime
	if !stamped {
		time.Sleep(200 * time.Millisecond)
	}
	got.At, got.ReadTime = 0, false
	if got != want {
		t.Errorf("sent %v, received %v", want, got)
	}
	return stamped
}

// TestKernelShapes sends classic and FD frames through a virtual interface.
func TestKernelShapes(t *testing.T) {
	name := vcan(t, "vcan0")
	exchange(t, dial(t, name, nil), dial(t, name, nil), shapes(true))
}

// TestControllerShapes sends classic frames from one controller to the other.
func TestControllerShapes(t *testing.T) {
	a, b := controllers(t)
	exchange(t, dial(t, a, nil), dial(t, b, nil), shapes(false))
}

// TestKernelFilters: the kernel passes what OBD needs, the agent's silence beside
// testers included, and nothing else.
func TestKernelFilters(t *testing.T) {
	name := vcan(t, "vcan0")
	a, b := dial(t, name, nil), dial(t, name, can.OBDFilters())
	pass := []can.Frame{{ID: 0x7E8, Len: 8}, {ID: 0x7EF, Len: 8}, {ID: 0x7DF, Len: 8}, {ID: 0x7E0, Len: 8},
		{ID: 0x18DAF110, Extended: true, Len: 8}, {ID: 0x18DA10F1, Extended: true, Len: 8}, {ID: 0x18DB33F1, Extended: true, Len: 8},
		{ID: 0x714, Len: 8}, {ID: 0x18DA10F9, Extended: true, Len: 8}, {ID: 0x18DBFEF9, Extended: true, Len: 8}}
	stop := []can.Frame{{ID: 0x6D0, Len: 8}, {ID: 0x100, Len: 8}, {ID: 0x18DA1020, Extended: true, Len: 8}, {ID: 0x7E8, Extended: true, Len: 8},
		{ID: 0x18FEF100, Extended: true, Len: 8}, {ID: 0x7E8, Remote: true}}
	for i, want := range pass {
		for _, f := range stop {
			if err := a.Send(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Send(want); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, b); got.ID != want.ID || got.Extended != want.Extended || got.Remote {
			t.Errorf("%d: sent %v, received %v", i, want, got)
		}
	}
}

// TestKernelDropsAreCounted floods a receiver that does not read: what it
// reads then and what the kernel counted is all there was.
func TestKernelDropsAreCounted(t *testing.T) {
	name := vcan(t, "vcan0")
	a, b := dial(t, name, nil), dial(t, name, nil)
	const sent = 40_000
	for i := range sent {
		if err := a.Send(can.Frame{ID: uint32(i) & 0x3FF, Len: 8}); err != nil {
			t.Fatal(err)
		}
	}
	last := can.Frame{ID: 0x7AA, Len: 1} // the count comes with the next frame that fits
	read := uint64(0)
	done := false
	for !done {
		f := receive(t, b)
		if read++; read == 1 {
			if err := a.Send(last); err != nil {
				t.Fatal(err)
			}
		}
		done = f.ID == last.ID
	}
	if b.Drops() == 0 {
		t.Error("the receive buffer held everything: this test shows nothing")
	}
	if got := read + b.Drops(); got != sent+1 {
		t.Errorf("%d read and %d dropped, %d were sent", read, b.Drops(), sent+1)
	}
	// What the unit says of its receive buffer goes by 800 bytes a frame.
	buffer := b.(interface{ ReceiveBuffer() int }).ReceiveBuffer()
	if said := uint64(buffer / 800); buffer < 16<<20 || read < said || read > said*5/4 {
		t.Errorf("a buffer of %d bytes held %d frames", buffer, read)
	}
	t.Logf("the buffer held %d frames, %d were dropped and counted", read, b.Drops())
}

// TestInterfaceGoesAway: down, removed and renamed interfaces end the bus with
// an error that says so; the name can be opened again.
func TestInterfaceGoesAway(t *testing.T) {
	for _, tt := range []struct {
		name string
		away []string
		want error // of the bus that was open
		then error // of dialling again
		back []string
	}{
		{"down", []string{"link set vcan0 down"}, can.ErrDown, can.ErrDown, []string{"link set vcan0 up"}},
		{"removed", []string{"link del vcan0"}, can.ErrClosed, link.ErrNoDevice, []string{"link add vcan0 type vcan", "link set vcan0 mtu 72 up"}},
		{"renamed", []string{"link set vcan0 down", "link set vcan0 name other0", "link set other0 up"}, can.ErrDown, link.ErrNoDevice,
			[]string{"link set other0 down", "link set other0 name vcan0", "link set vcan0 up"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			again := can.Device(vcan(t, "vcan0"), can.SocketOptions{Clock: system(t)})
			b, err := again(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			ended := make(chan error, 1)
			go func() { _, err := b.Receive(); ended <- err }()
			time.Sleep(50 * time.Millisecond)
			for _, c := range tt.away {
				ip(t, c)
			}
			select {
			case err := <-ended:
				if !errors.Is(err, can.ErrClosed) || !errors.Is(err, tt.want) {
					t.Errorf("Receive: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Error("Receive still waits")
				b.Close()
			}
			_, err = again(t.Context())
			if !errors.Is(err, tt.then) {
				t.Errorf("dialled again: %v", err)
			}
			if renamed := new(link.RenamedError); errors.As(err, &renamed) != (tt.name == "renamed") || renamed.New != map[string]string{"renamed": "other0"}[tt.name] {
				t.Errorf("dialled again: %v", err)
			}
			for _, c := range tt.back {
				ip(t, c)
			}
			dial(t, "vcan0", nil)
		})
	}
}

// TestDialSaysWhatIsWrong names each thing a technician can have wrong.
func TestDialSaysWhatIsWrong(t *testing.T) {
	ip(t, "link add vcan0 type vcan")
	t.Cleanup(func() { ip(t, "link del vcan0") })
	for name, want := range map[string]error{"vcan0": can.ErrDown, "nosuch0": link.ErrNoDevice, "lo": link.ErrNotCAN} {
		if _, err := can.DialSocketCAN(t.Context(), name, can.SocketOptions{Clock: system(t)}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
}

// TestTransmitQueueFull: sending faster than the controller can is ErrBusy
// after a while, not a hang, and the bus works on afterwards.
func TestTransmitQueueFull(t *testing.T) {
	a, b := controllers(t)
	tx, rx := dial(t, a, nil), dial(t, b, nil)
	// One sender is not always faster than the emulated controller.
	var busy, sent atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		bus := dial(t, a, nil)
		senders.Go(func() {
			for i := 0; i < 1500 || busy.Load() == 0 && i < 50_000; i++ {
				sent.Add(1)
				switch err := bus.Send(can.Frame{ID: uint32(i) & 0x3FF, Len: 8}); {
				case errors.Is(err, can.ErrBusy):
					busy.Add(1)
				case err != nil:
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	t.Logf("%d of %d found the queue full", busy.Load(), sent.Load())
	last := can.Frame{ID: 0x7AA, Len: 1} // once is not enough: the receiving controller may have had an overrun
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	go func() {
		for range 200 {
			select {
			case <-t.Context().Done():
				return
			case <-tick.C:
				_ = tx.Send(last) // ErrBusy here is no news
			}
		}
	}()
	frames, overruns := 0, 0
	for f := receive(t, rx); f.ID != last.ID; f = receive(t, rx) {
		if f.Error {
			overruns++
			continue
		}
		frames++
	}
	if busy.Load() == 0 || frames == 0 {
		t.Errorf("%d sends found the queue full, %d frames arrived", busy.Load(), frames)
	}
	t.Logf("%d frames and %d error frames arrived", frames, overruns)
}
