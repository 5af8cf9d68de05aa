package inside_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/can"
	"obu/can/isotp"
	"obu/telemetry"
)

// Options of the kernel's ISO-TP socket (linux/can/isotp.h).
const (
	solISOTP     = unix.SOL_CAN_BASE + unix.CAN_ISOTP
	isotpOptions = 1
	isotpFlow    = 2
	isotpRxSTmin = 4
	isotpFrames  = 5

	isotpAddress      = 0x002 // the first data byte is an address
	isotpTxPadding    = 0x004
	isotpRxPadding    = 0x008
	isotpCheckLength  = 0x010 // of padded frames; without padding, that none is longer than it must be
	isotpCheckPadding = 0x020
	isotpForceSTmin   = 0x100 // frames that come too early are dropped
	isotpRxAddress    = 0x200 // received frames have another address byte

	canfdMTU = 72 // size of struct canfd_frame
)

// Address bytes of both ends with extended addressing.
const (
	ourAddress    = 0xF1
	kernelAddress = 0x12
)

// peering is how both ends of a test speak.
type peering struct {
	name         string
	ours, theirs uint32 // identifiers each sends on
	extended     bool   // of 29 bits
	addressing   isotp.Addressing
	dl           int
	padded       bool
	block        uint8
	stmin        time.Duration
}

func (p peering) String() string {
	return fmt.Sprintf("%s, frames of %d, padded %v, block %d, STmin %v", p.name, p.dl, p.padded, p.block, p.stmin)
}

// addresses returns the first data bytes of what we and the kernel send.
func (p peering) addresses() (ours, theirs uint8) {
	switch p.addressing {
	case isotp.Extended:
		return kernelAddress, ourAddress
	case isotp.Mixed:
		return kernelAddress, kernelAddress
	}
	return 0, 0
}

// kernelSocket opens the kernel's end.
func kernelSocket(t *testing.T, device string, p peering) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_DGRAM, unix.CAN_ISOTP)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	flags := uint32(isotpCheckLength)
	if p.stmin > 0 {
		flags |= isotpForceSTmin
	}
	if p.padded {
		flags |= isotpTxPadding | isotpRxPadding | isotpCheckPadding
	}
	ours, theirs := p.addresses()
	if p.addressing == isotp.Extended || p.addressing == isotp.Mixed {
		flags |= isotpAddress | isotpRxAddress
	}
	o := binary.NativeEndian.AppendUint32(nil, flags)
	o = append(o, 0, 0, 0, 0, theirs, 0xCC, 0xCC, ours)
	must(unix.SetsockoptString(fd, solISOTP, isotpOptions, string(o)))
	fc := isotp.FlowControl{BlockSize: p.block, STmin: p.stmin}.Bytes()
	must(unix.SetsockoptString(fd, solISOTP, isotpFlow, string([]byte{fc[1], fc[2], 0})))
	must(unix.SetsockoptString(fd, solISOTP, isotpRxSTmin, string(binary.NativeEndian.AppendUint32(nil, uint32(p.stmin)))))
	mtu := byte(unix.CAN_MTU)
	if p.dl > 8 {
		mtu = canfdMTU
	}
	must(unix.SetsockoptString(fd, solISOTP, isotpFrames, string([]byte{mtu, byte(p.dl), 0})))
	must(unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}))
	i, err := net.InterfaceByName(device)
	must(err)
	wide := uint32(0)
	if p.extended {
		wide = unix.CAN_EFF_FLAG
	}
	must(unix.Bind(fd, &unix.SockaddrCAN{Ifindex: i.Index, RxID: p.ours | wide, TxID: p.theirs | wide}))
	return fd
}

// tester is our end: the Conn of a Sender, and a Receiver.
type tester struct {
	peering
	bus  can.Bus
	fcs  chan isotp.FlowControl
	got  chan []byte
	bad  chan isotp.Fault
	rx   *isotp.Receiver
	done sync.WaitGroup // hear
	pulse
}

// pulse keeps the longest time in which a test neither sent nor heard anything.
type pulse struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

func (p *pulse) beat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.last.IsZero() {
		p.longest = max(p.longest, now.Sub(p.last))
	}
	p.last = now
}

// stalled says whether the machine stood still for so long that the timers of
// ISO 15765-2 (N_Bs, N_Cr: 1 s), which the kernel holds to, may have ended.
func (p *pulse) stalled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.longest > 800*time.Millisecond
}

func newTester(bus can.Bus, p peering) *tester {
	c := &tester{peering: p, bus: bus, fcs: make(chan isotp.FlowControl, 64), got: make(chan []byte, 4), bad: make(chan isotp.Fault, 64)}
	c.rx = isotp.NewReceiver(isotp.ReceiverConfig{
		Addressing: p.addressing, BlockSize: p.block, STmin: p.stmin,
		Deliver: func(m isotp.Message) { c.got <- bytes.Clone(m.Payload) },
		Damaged: func(f isotp.Fault) { c.bad <- f },
		Permit:  func(isotp.Address, telemetry.At, []byte) bool { return true },
		Reply: func(_ isotp.Address, fc isotp.FlowControl) error {
			b := fc.Bytes()
			return c.SendFrame(append(c.front(), b[:]...))
		},
	})
	return c
}

// front is the address byte of our frames, if there is one.
func (c *tester) front() []byte {
	if c.addressing != isotp.Extended && c.addressing != isotp.Mixed {
		return nil
	}
	ours, _ := c.addresses()
	return []byte{ours}
}

func (c *tester) hear() {
	for {
		f, err := c.bus.Receive()
		if err != nil {
			return
		}
		c.beat()
		if f.ID != c.theirs || f.Extended != c.extended {
			continue
		}
		_, pdu, ok := c.addressing.Split(f.Data[:f.Len])
		if !ok {
			continue
		}
		if fc, ok := isotp.ParseFlowControl(pdu); ok {
			c.fcs <- fc
			continue
		}
		c.rx.Feed(f.At, f.ID, f.Data[:f.Len])
	}
}

func (c *tester) SendFrame(data []byte) error {
	defer c.beat()
	f := can.Frame{ID: c.ours, Extended: c.extended, FD: c.dl > 8}
	n := copy(f.Data[:], data)
	for c.padded && n < 8 { // flow control comes bare
		f.Data[n] = 0xCC
		n++
	}
	f.Len = uint8(n)
	return c.bus.Send(f)
}

func (c *tester) FlowControl(d time.Duration) (isotp.FlowControl, error) {
	select {
	case fc := <-c.fcs:
		return fc, nil
	default:
	}
	if d == 0 {
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
	select {
	case fc := <-c.fcs:
		return fc, nil
	case <-time.After(20 * time.Second): // the emulated machine is slow
		return isotp.FlowControl{}, isotp.ErrTimeout
	}
}

func (c *tester) Pause(d time.Duration) error { time.Sleep(d); return nil }

// send has our Sender send to the kernel.
func (c *tester) send(payload []byte) error {
	ours, _ := c.addresses()
	return (&isotp.Sender{Conn: c, Addressing: c.addressing, Ext: ours, TXDL: c.dl, Padding: 0xCC, NoPad: !c.padded}).Send(payload)
}

// peerings are the combinations that are tried.
func peerings() (all []peering) {
	for _, ids := range []peering{
		{name: "normal", ours: 0x7E0, theirs: 0x7E8},
		{name: "normal fixed", ours: 0x18DA10F1, theirs: 0x18DAF110, extended: true, addressing: isotp.NormalFixed},
		{name: "extended", ours: 0x6F1, theirs: 0x612, addressing: isotp.Extended},
		{name: "mixed", ours: 0x7E0, theirs: 0x7E8, addressing: isotp.Mixed},
		{name: "mixed fixed", ours: 0x18CE10F1, theirs: 0x18CEF110, extended: true, addressing: isotp.Mixed},
	} {
		for _, way := range []peering{
			{dl: 8, padded: true}, {dl: 8}, {dl: 8, padded: true, block: 1}, {dl: 8, block: 8, stmin: 300 * time.Microsecond},
			{dl: 8, padded: true, block: 3, stmin: 5 * time.Millisecond}, {dl: 12, padded: true}, {dl: 20, block: 2},
			{dl: 32, padded: true, stmin: 900 * time.Microsecond}, {dl: 64}, {dl: 64, padded: true, block: 4, stmin: time.Millisecond},
		} {
			p := ids
			p.dl, p.padded, p.block, p.stmin = way.dl, way.padded, way.block, way.stmin
			all = append(all, p)
		}
	}
	return all
}

// sizes of messages around the limits of frames, and for some long ones, which
// take seconds in the emulated machine.
func (p peering) sizes() []int {
	all := []int{1, 5, 6, 7, 8, 9, p.dl - 3, p.dl - 2, p.dl - 1, p.dl, 3*p.dl - 5, 20 * p.dl}
	long := !p.extended && p.addressing != isotp.Mixed && p.stmin == 0 && p.block == 0
	if long && (p.dl == 64 || p.padded) {
		all = append(all, 4095, 4096)
	}
	if long && p.dl == 64 && p.addressing == isotp.Normal {
		all = append(all, isotp.MaxLength)
	}
	return all
}

func numbered(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// TestKernelISOTP exchanges messages with the kernel's own ISO-TP, both ways:
// what our Sender cuts the kernel puts together, and what the kernel cuts our
// Receiver puts together. The kernel drops frames that come before their
// separation time, and checks length and content of padding.
func TestKernelISOTP(t *testing.T) {
	defer onOneProcessor(t)()
	name := vcan(t, "vcan0")
	// The kernel goes by its own stamps to tell frames that come too early, and
	// stamps nothing until somebody has asked for stamps for a while.
	exchange(t, dial(t, name, nil), dial(t, name, nil), []can.Frame{{ID: 0x123, Len: 8}})
	messages := 0
	for _, p := range peerings() {
		t.Run(p.String(), func(t *testing.T) {
			for range tries {
				n, stalled, err := p.exchange(t, name)
				messages += n
				if err == nil {
					return
				}
				if !stalled {
					t.Fatal(err)
				}
				t.Logf("again, the machine stood still: %v", err)
			}
			t.Fatalf("the machine stood still %d times", tries)
		})
	}
	t.Logf("%d messages", messages)
}

// tries is how often a test may find that the machine stood still.
const tries = 5

// exchange sends messages of all sizes both ways, and returns how many.
func (p peering) exchange(t *testing.T, device string) (messages int, stalled bool, err error) {
	fd := kernelSocket(t, device, p)
	defer unix.Close(fd)
	bus := dial(t, device, nil)
	c := newTester(bus, p)
	c.done.Go(c.hear)
	defer c.done.Wait()
	defer bus.Close()
	for _, n := range p.sizes() {
		c.beat()
		if err := c.toAndFro(fd, numbered(n)); err != nil {
			return messages, c.stalled(), fmt.Errorf("%d bytes %w", n, err)
		}
		messages += 2
	}
	if len(c.bad) > 0 {
		return messages, c.stalled(), fmt.Errorf("broke: %+v", <-c.bad)
	}
	return messages, false, nil
}

// onOneProcessor keeps the whole process on one processor until free is called. A
// virtual interface queues each frame where it was sent, so those of a sender that
// moves may overtake each other; and an answer from another processor can be there
// before the kernel's ISO-TP, interrupted after its last frame, waits for one.
func onOneProcessor(t *testing.T) (free func()) {
	var all, one unix.CPUSet
	one.Set(0)
	move := func(to *unix.CPUSet) error {
		tasks, err := os.ReadDir("/proc/self/task")
		for _, task := range tasks {
			id, _ := strconv.Atoi(task.Name())
			if e := unix.SchedSetaffinity(id, to); !errors.Is(e, unix.ESRCH) {
				err = errors.Join(err, e)
			}
		}
		return err
	}
	if err := errors.Join(unix.SchedGetaffinity(0, &all), move(&one)); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := move(&all); err != nil {
			t.Error(err)
		}
	}
}

// toAndFro sends one message to the kernel and has the kernel send it back.
func (c *tester) toAndFro(fd int, want []byte) error {
	if err := c.send(want); err != nil {
		return fmt.Errorf("to the kernel: %w", err)
	}
	buf := make([]byte, isotp.MaxLength+1)
	if k, err := unix.Read(fd, buf); err != nil || !bytes.Equal(buf[:k], want) {
		return fmt.Errorf("to the kernel: it has %d, %v", k, err)
	}
	c.beat()
	if _, err := unix.Write(fd, want); err != nil {
		return fmt.Errorf("from the kernel: %w", err)
	}
	select {
	case got := <-c.got:
		if !bytes.Equal(got, want) {
			return fmt.Errorf("from the kernel: got %d others", len(got))
		}
	case f := <-c.bad:
		return fmt.Errorf("from the kernel: %+v", f)
	case <-time.After(20 * time.Second):
		return errors.New("from the kernel: nothing arrived")
	}
	return nil
}

// TestKernelISOTPOverflow: either end refuses what it has no room for, and the
// other end understands.
func TestKernelISOTPOverflow(t *testing.T) {
	defer onOneProcessor(t)()
	name := vcan(t, "vcan0")
	for range tries {
		stalled, err := overflow(t, name)
		if err == nil {
			return
		}
		if !stalled {
			t.Fatal(err)
		}
		t.Logf("again, the machine stood still: %v", err)
	}
	t.Fatalf("the machine stood still %d times", tries)
}

func overflow(t *testing.T, name string) (stalled bool, err error) {
	p := peering{ours: 0x7E0, theirs: 0x7E8, dl: 8, padded: true}
	fd := kernelSocket(t, name, p)
	defer unix.Close(fd)
	bus := dial(t, name, nil)
	c := newTester(bus, p)
	for id := range uint32(isotp.MaxLong) { // transfers that do not end while this test lasts
		c.rx.Feed(system(t).Now().Add(time.Hour), id, []byte{0x10, 0, 0, 0, 0xFF, 0xFF, 1, 2})
	}
	c.done.Go(c.hear)
	defer c.done.Wait()
	defer bus.Close()
	c.beat()
	// A first frame of 70,000 bytes: the kernel takes 66,000.
	if err := c.SendFrame([]byte{0x10, 0, 0, 1, 0x11, 0x70, 1, 2}); err != nil {
		return c.stalled(), err
	}
	if fc, err := c.FlowControl(isotp.TimeoutBs); err != nil || fc.Status != isotp.Overflow {
		return c.stalled(), fmt.Errorf("70,000 bytes to the kernel: %+v, %v", fc, err)
	}
	c.beat()
	if _, err := unix.Write(fd, numbered(5000)); err != nil {
		return c.stalled(), err
	}
	select {
	case f := <-c.bad:
		if f.Reason != isotp.ReasonCrowded || f.ID != p.theirs {
			return c.stalled(), fmt.Errorf("%+v", f)
		}
	case <-time.After(20 * time.Second):
		return c.stalled(), errors.New("the kernel's first frame did not arrive")
	}
	said := 0
	for end := time.Now().Add(20 * time.Second); said == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if said, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil {
			return c.stalled(), err
		}
	}
	if unix.Errno(said) != unix.EMSGSIZE {
		return c.stalled(), fmt.Errorf("5,000 bytes from the kernel, and no room: %w", unix.Errno(said))
	}
	return false, nil
}
