package can_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// frames of every shape a controller delivers.
func shapes() []can.Frame {
	speed := can.Frame{ID: 0x7E8, Len: 8}
	copy(speed.Data[:], []byte{3, 0x41, 0x0D, 0x4A})
	ext := can.Frame{ID: 0x18DAF110, Extended: true, Len: 3}
	copy(ext.Data[:], []byte{1, 2, 3})
	fd := can.Frame{ID: 0x123, FD: true, Flags: frame.FlagBRS, Len: 64}
	for i := range fd.Data {
		fd.Data[i] = byte(i)
	}
	remote := can.Frame{ID: 0x55, Remote: true, Len: 4}
	broken := can.Frame{ID: 0x04, Error: true, Len: 8}
	broken.Data[1] = 1
	return []can.Frame{speed, ext, fd, remote, broken, {ID: 0x7FF}}
}

// TestFramesOverASocketPair sends each shape as struct can_frame and
// canfd_frame over a socket pair, as the kernel's own sockets carry them.
func TestFramesOverASocketPair(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	clk := system(t)
	a, err := can.NewFDBus(os.NewFile(uintptr(fds[0]), "a"), clk, false)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := can.NewFDBus(os.NewFile(uintptr(fds[1]), "b"), clk, false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	before := clk.Now()
	for _, f := range shapes() {
		if err := a.Send(f); err != nil {
			t.Fatalf("send %v: %v", f, err)
		}
	}
	sent := clk.Now()
	for _, want := range shapes() {
		got, err := b.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if got.ReadTime || got.At < before.Add(-time.Millisecond) || got.At > sent.Add(time.Millisecond) {
			t.Errorf("%v: stamped %v (read time %v), sent between %v and %v", got, got.At, got.ReadTime, before, sent)
		}
		want.At = got.At
		if got != want {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
	if b.Drops() != 0 {
		t.Errorf("%d drops", b.Drops())
	}
}

// TestWireLayout pins the bytes of linux/can.h.
func TestWireLayout(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	bus, err := can.NewFDBus(os.NewFile(uintptr(fds[0]), "a"), system(t), false)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	peer := os.NewFile(uintptr(fds[1]), "b")
	defer peer.Close()

	if err := bus.Send(shapes()[1]); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 100)
	n, err := peer.Read(got)
	if err != nil || n != 16 || binary.NativeEndian.Uint32(got) != 0x98DAF110 || got[4] != 3 || got[8] != 1 || got[10] != 3 {
		t.Errorf("struct can_frame % X (%d bytes, %v)", got[:n], n, err)
	}
	// What cannot be a frame is dropped and counted, the rest goes on.
	for _, bad := range [][]byte{make([]byte, 15), make([]byte, 80), {0, 0, 0, 0, 9, 15: 0}, {0, 0, 0, 0, 65, 71: 0}, {0, 0, 0, 0, 63, 71: 0}} {
		if _, err := peer.Write(bad); err != nil {
			t.Fatal(err)
		}
	}
	good := []byte{0, 0, 0, 0, 1, 15: 0}
	binary.NativeEndian.PutUint32(good, 0x7E8)
	if _, err := peer.Write(good); err != nil {
		t.Fatal(err)
	}
	f, err := bus.Receive()
	if err != nil || f.ID != 0x7E8 || f.Len != 1 {
		t.Errorf("got %+v, %v", f, err)
	}
	if bus.Drops() != 5 {
		t.Errorf("%d drops, want 5", bus.Drops())
	}
}

// TestKernelCountsWhatTheSocketDropped floods a socket nobody reads: what was
// received and what the kernel says it dropped must add up. UDP stands in for
// AF_CAN; both count with SO_RXQ_OVFL.
func TestKernelCountsWhatTheSocketDropped(t *testing.T) {
	in, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	in.SetReadBuffer(8 << 10)
	bus, err := can.NewFDBus(in, system(t), false)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	out, err := net.DialUDP("udp4", nil, in.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	const flood = 2000
	frame := make([]byte, 16)
	frame[4] = 8
	for range flood {
		if _, err := out.Write(frame); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bus.Receive(); err != nil { // makes room for the last frame
		t.Fatal(err)
	}
	last := append([]byte(nil), frame...)
	binary.NativeEndian.PutUint32(last, 0x7FF)
	if _, err := out.Write(last); err != nil {
		t.Fatal(err)
	}
	received := 1
	for {
		f, err := bus.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if f.ID == 0x7FF {
			break
		}
		received++
	}
	if uint64(received)+bus.Drops() != flood {
		t.Errorf("%d received and %d dropped of %d", received, bus.Drops(), flood)
	}
	t.Logf("%d received, %d dropped", received, bus.Drops())
	if bus.Drops() == 0 {
		t.Error("nothing was dropped: the flood did not overflow the socket")
	}
}

func TestCloseUnblocksReceive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "can0")
	l, err := can.ListenUnix(path, system(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	bus, err := can.DialUnix(context.Background(), path, system(t))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := bus.Receive()
		done <- err
	}()
	bus.Close()
	if err := <-done; err != can.ErrClosed {
		t.Errorf("Receive after Close: %v", err)
	}
	if err := bus.Send(can.Frame{ID: 1}); !errors.Is(err, can.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

func TestUnixBus(t *testing.T) {
	path := filepath.Join(t.TempDir(), "can0")
	clk := system(t)
	if _, err := can.DialUnix(context.Background(), path, clk); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("dial nobody: %v", err)
	}
	l, err := can.ListenUnix(path, clk)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := can.ListenUnix(path, clk); err == nil {
		t.Error("two cars on one socket")
	}
	got := make(chan can.Bus)
	go func() {
		b, _ := l.Accept() // the probe of the second ListenUnix
		b.Close()
		b, _ = l.Accept()
		got <- b
	}()
	agent, err := can.Device("unix:"+path, can.SocketOptions{Clock: clk})(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	car := <-got
	if err := car.Send(shapes()[0]); err != nil {
		t.Fatal(err)
	}
	if f, err := agent.Receive(); err != nil || f.ID != 0x7E8 {
		t.Errorf("got %v, %v", f, err)
	}
	car.Send(shapes()[1])
	car.Close()
	if f, err := agent.Receive(); err != nil || !f.Extended {
		t.Errorf("the last frame before the farewell: %v, %v", f, err)
	}
	if _, err := agent.Receive(); !errors.Is(err, can.ErrClosed) {
		t.Errorf("after the farewell: %v", err)
	}
	agent.Close()
	l.Close()

	// A dead process leaves its socket file behind.
	dead, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if l, err = can.ListenUnix(path, clk); err != nil {
		t.Errorf("socket file of a dead process: %v", err)
	} else {
		l.Close()
	}
	if _, err := l.Accept(); err != can.ErrClosed {
		t.Errorf("Accept after Close: %v", err)
	}
}

// TestSocketCANErrors wants an error that names its cure. Which one depends on
// the kernel.
func TestSocketCANErrors(t *testing.T) {
	_, err := can.DialSocketCAN(context.Background(), "nocan9", can.SocketOptions{Clock: system(t), Filters: can.OBDFilters()})
	switch {
	case errors.Is(err, can.ErrNoCAN):
		t.Logf("this kernel has no AF_CAN: %v", err)
	case !errors.Is(err, link.ErrNoDevice):
		t.Errorf("missing device: %v", err)
	}
	if !errors.Is(err, can.ErrNoCAN) {
		_, err = can.DialSocketCAN(context.Background(), "lo", can.SocketOptions{Clock: system(t)})
		if !errors.Is(err, link.ErrNotCAN) {
			t.Errorf("loopback as CAN: %v", err)
		}
	}
}

// TestFullTransmitQueue: a reader that stopped reading does not hold the
// agent up for ever.
func TestFullTransmitQueue(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	bus, err := can.NewFDBus(os.NewFile(uintptr(fds[0]), "a"), system(t), true)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	for range 100_000 {
		if err := bus.Send(can.Frame{ID: 1}); err != nil {
			if !errors.Is(err, can.ErrBusy) {
				t.Errorf("full queue: %v", err)
			}
			return
		}
	}
	t.Error("100,000 frames fit into a socket nobody reads")
}

// TestSendRecoversFromAFullQueue: once the queue has room again, so has Send.
func TestSendRecoversFromAFullQueue(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	bus, err := can.NewFDBus(os.NewFile(uintptr(fds[0]), "a"), system(t), true)
	if err != nil {
		t.Fatal(err)
	}
	defer bus.Close()
	for err == nil {
		err = bus.Send(can.Frame{ID: 1})
	}
	for buf := make([]byte, 128); ; {
		if _, err := unix.Read(fds[1], buf); err != nil {
			break
		}
	}
	if err := bus.Send(can.Frame{ID: 2}); err != nil {
		t.Errorf("the queue is empty again: %v", err)
	}
}

func BenchmarkReceive(b *testing.B) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	clk := system(b)
	in, _ := can.NewFDBus(os.NewFile(uintptr(fds[0]), "a"), clk, true)
	out, _ := can.NewFDBus(os.NewFile(uintptr(fds[1]), "b"), clk, true)
	defer in.Close()
	defer out.Close()
	b.ReportAllocs()
	const burst = 64
	for n := 0; n < b.N; n += burst {
		b.StopTimer()
		for range burst {
			out.Send(can.Frame{ID: 0x7E8, Len: 8})
		}
		b.StartTimer()
		for range burst {
			in.Receive()
		}
	}
}

// TestMoreFiltersThanTheKernelTakes: a database of 508 messages and ECUs to ask
// have more; then every frame passes, as the bus has to open.
func TestMoreFiltersThanTheKernelTakes(t *testing.T) {
	if n, all := can.RawFilters(make([]can.Filter, 512)); n != 512 || all {
		t.Errorf("512 filters are %d, all %v", n, all)
	}
	if n, all := can.RawFilters(make([]can.Filter, 513)); n != 1 || !all {
		t.Errorf("513 filters are %d, all %v", n, all)
	}
}
