package can

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"obu/can/link"
	"obu/internal/clock"
)

const (
	// rxBatch frames are fetched with one recvmmsg: system calls, not
	// decoding, are what receiving costs.
	rxBatch = 64
	// sendWait is how long a full transmit queue may hold Send up.
	sendWait = 250 * time.Millisecond

	sizeOOB = 64 // timestamp and drop counter
)

// ErrBusy is returned by Send when the transmit queue stays full: nobody on
// the bus acknowledges, or the bit rate is wrong.
var ErrBusy = errors.New("transmit queue of the bus is full")

// device is an open socket.
type device interface {
	SyscallConn() (syscall.RawConn, error)
	Close() error
}

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// fdBus reads and writes struct can_frame and canfd_frame on a packet socket:
// SocketCAN's, or one that carries the same.
type fdBus struct {
	dev    *os.File // blocking; every call on it says MSG_DONTWAIT
	raw    syscall.RawConn
	input  *waiter
	clk    *clock.Clock
	ends   bool // an empty packet is the peer's farewell
	index  int  // of the interface; 0: there is none
	buffer int  // bytes the kernel holds for the receiver; 0: not known
	closed atomic.Bool
	drops  atomic.Uint64

	// of the receiving goroutine
	msgs     [rxBatch]mmsghdr
	iovs     [rxBatch]unix.Iovec
	bufs     [rxBatch][sizeFrameFD + 8]byte
	oobs     [rxBatch][sizeOOB]byte
	n, next  int
	look     clock.Look    // at both clocks, after the last recvmmsg
	read     time.Duration // when that was, by pace
	overflow uint32        // the kernel's counter as last seen
	tryRecv  func(fd uintptr)
	got      int
	errno    syscall.Errno
	arming   error // of the waiter, when errno is EAGAIN

	sent    atomic.Int64 // when something was sent last, by pace
	sendMu  sync.Mutex
	sendBuf [sizeFrameFD]byte // guarded by sendMu
}

// newFDBus takes dev over. ends says that the socket is connected to one peer
// that can go away.
func newFDBus(dev device, clk *clock.Clock, ends bool) (*fdBus, error) {
	file, err := unpolled(dev)
	if err != nil {
		return nil, fmt.Errorf("open bus: %w", err)
	}
	b := &fdBus{dev: file, clk: clk, ends: ends}
	if b.raw, err = file.SyscallConn(); err == nil {
		cerr := b.raw.Control(func(fd uintptr) {
			// Each is a bonus: without it frames are stamped when read, or losses
			// stay uncounted, as on kernels and sockets that do not know it.
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1)
			b.input, err = newWaiter(int(fd))
		})
		err = errors.Join(err, cerr)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open bus: %w", err)
	}
	for i := range b.msgs {
		b.iovs[i].Base = &b.bufs[i][0]
		b.iovs[i].SetLen(len(b.bufs[i]))
		b.msgs[i].hdr.Iov = &b.iovs[i]
		b.msgs[i].hdr.SetIovlen(1)
		b.msgs[i].hdr.Control = &b.oobs[i][0]
	}
	b.tryRecv = b.recv
	return b, nil
}

// recv is one recvmmsg. Where it finds nothing it arms the waiter.
func (b *fdBus) recv(fd uintptr) {
	for i := range b.msgs {
		b.msgs[i].hdr.SetControllen(sizeOOB)
		b.msgs[i].hdr.Flags = 0
	}
	for {
		n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[0])), rxBatch, unix.MSG_DONTWAIT, 0, 0)
		if e == unix.EINTR {
			continue
		}
		b.got, b.errno = int(n), e
		if e == unix.EAGAIN {
			b.arming = b.input.arm(fd)
		}
		return
	}
}

func (b *fdBus) Receive() (Frame, error) {
	for {
		for b.next < b.n {
			i := b.next
			b.next++
			size := b.msgs[i].len
			if size == 0 && b.ends {
				return Frame{}, fmt.Errorf("%w: the other side went away", ErrClosed)
			}
			stamp := b.control(i)
			f, ok := parseFrame(b.bufs[i][:size])
			if !ok {
				b.drops.Add(1)
				continue
			}
			b.stamp(&f, stamp)
			return f, nil
		}
		if err := b.fill(); err != nil {
			return Frame{}, err
		}
	}
}

// fill waits for frames and reads as many as there are.
func (b *fdBus) fill() error {
	if b.n < rxBatch { // the last read left nothing behind
		every := gatherAfter(b.read - time.Duration(b.sent.Load()))
		if now := pace(); now/every == b.read/every {
			time.Sleep(every - now%every)
		}
	}
	b.n, b.next = 0, 0
	for {
		if err := b.raw.Control(b.tryRecv); err != nil {
			return b.gone(err)
		}
		if b.errno != unix.EAGAIN {
			break
		}
		if b.arming != nil {
			return b.gone(b.arming)
		}
		if err := b.input.wait(); err != nil {
			return b.gone(err)
		}
	}
	if b.errno != 0 {
		return b.gone(b.errno)
	}
	b.n, b.look, b.read = b.got, b.clk.Look(), pace()
	return nil
}

// stamp turns the kernel's wall-clock stamp into time since boot.
func (b *fdBus) stamp(f *Frame, stamp unix.Timespec) {
	f.At, f.ReadTime = b.look.Now, true
	if stamp.Sec != 0 {
		at, ok := b.look.FromKernel(stamp.Nano())
		f.At, f.ReadTime = at, !ok
	}
}

// control reads the control messages of packet i: its receive stamp, and the
// kernel's count of packets dropped so far, which is 32 bits and wraps.
func (b *fdBus) control(i int) (stamp unix.Timespec) {
	oob := b.oobs[i][:b.msgs[i].hdr.Controllen]
	for len(oob) >= unix.SizeofCmsghdr {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
		size := int(h.Len)
		if size < unix.SizeofCmsghdr || size > len(oob) {
			return stamp
		}
		data := oob[unix.CmsgLen(0):size]
		if h.Level == unix.SOL_SOCKET {
			switch {
			case h.Type == unix.SCM_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(stamp)):
				stamp = *(*unix.Timespec)(unsafe.Pointer(&data[0]))
			case h.Type == unix.SO_RXQ_OVFL && len(data) >= 4:
				n := binary.NativeEndian.Uint32(data)
				b.drops.Add(uint64(n - b.overflow))
				b.overflow = n
			}
		}
		oob = oob[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(oob)):]
	}
	return stamp
}

// gone translates what ended the bus.
func (b *fdBus) gone(err error) error {
	switch {
	case b.closed.Load() || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed):
		return ErrClosed
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("%w: %w", ErrClosed, ErrDown)
	}
	return fmt.Errorf("%w: %w", ErrClosed, err)
}

func (b *fdBus) Send(f Frame) error {
	if err := f.Validate(); err != nil {
		return err
	}
	b.sendMu.Lock()
	defer b.sendMu.Unlock()
	b.sent.Store(int64(pace()))
	p := b.sendBuf[:formatFrame(&b.sendBuf, &f)]
	err := b.write(p, false)
	if errors.Is(err, unix.EAGAIN) {
		err = b.write(p, true)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("send %v: %w", f, ErrBusy)
	}
	return fmt.Errorf("send %v: %w", f, b.gone(err))
}

// write is one sendmsg; with wait it gives a full queue sendWait to drain.
func (b *fdBus) write(p []byte, wait bool) error {
	var err error
	cerr := b.raw.Control(func(fd uintptr) {
		until := time.Now().Add(sendWait)
		for {
			_, err = unix.SendmsgN(int(fd), p, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			left := time.Until(until)
			if err == unix.EAGAIN && wait && left > 0 {
				queue := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
				_, _ = unix.Poll(queue, int(left/time.Millisecond)+1) // the next try says how it ended
				continue
			}
			if err != unix.EINTR {
				return
			}
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// ReceiveBuffer returns how many bytes of frames, as the kernel accounts them,
// wait for a slow reader before further ones are dropped; 0: not known.
func (b *fdBus) ReceiveBuffer() int { return b.buffer }

// LinkState asks the driver of the interface, if there is one.
func (b *fdBus) LinkState() (link.State, error) {
	if b.index == 0 {
		return link.State{}, link.ErrNotCAN
	}
	return link.StateOf(b.index)
}

func (b *fdBus) Drops() uint64 { return b.drops.Load() }

func (b *fdBus) Close() error {
	if b.closed.Swap(true) {
		return nil
	}
	b.input.close()
	return b.dev.Close()
}
