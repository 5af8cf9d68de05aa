package inside_test

import (
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sender opens a socket that receives nothing: what it sends costs no more
// than it must.
func sender(t *testing.T, name string) int {
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	index, err := os.ReadFile("/sys/class/net/" + name + "/ifindex")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(index)))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptCanRawFilter(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: n}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// burst is how many frames are sent on an interface with one system call.
const burst = 32

// batch is what waits to be sent on one interface.
type batch struct {
	fd     int
	n      int
	frames [burst][16]byte
	iovs   [burst]unix.Iovec
	msgs   [burst]mmsghdr
}

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// send sends what waits with sendmmsg.
func (b *batch) send(t *testing.T) {
	for at := 0; at < b.n; {
		n, _, e := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.msgs[at])), uintptr(b.n-at), 0, 0, 0)
		if e != 0 && e != unix.EINTR {
			t.Fatal("send:", e)
		}
		if e == 0 {
			at += int(n)
		}
	}
	b.n = 0
}

// first has the thread of this goroutine run whenever it can: a bus does not
// wait for those that listen.
func first(t *testing.T) (done func()) {
	runtime.LockOSThread()
	set := func(policy, priority uint32) {
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}, 0); err != nil {
			t.Fatal("set scheduling:", err)
		}
	}
	set(unix.SCHED_FIFO, 1)
	return func() {
		set(unix.SCHED_NORMAL, 0)
		runtime.UnlockOSThread()
	}
}

// load is what is sent.
type load struct {
	rate  int // frames a second
	long  time.Duration
	first bool // the sender runs before all others
}

// flood sends a load, each frame on the next interface: those that are due each
// millisecond, with as few system calls as that takes.
func flood(t *testing.T, fds []int, l load) (sent uint64, took time.Duration) {
	batches := make([]batch, len(fds))
	for i := range batches {
		b := &batches[i]
		b.fd = fds[i]
		for k := range b.msgs {
			b.iovs[k].Base = &b.frames[k][0]
			b.iovs[k].SetLen(len(b.frames[k]))
			b.msgs[k].hdr.Iov = &b.iovs[k]
			b.msgs[k].hdr.SetIovlen(1)
		}
	}
	if l.first {
		defer first(t)()
	}
	begin := time.Now()
	for took < l.long {
		want := uint64(took.Seconds() * float64(l.rate))
		for ; sent < want; sent++ {
			b := &batches[sent%uint64(len(fds))]
			fill(&b.frames[b.n], sent/uint64(len(fds)))
			if b.n++; b.n == burst {
				b.send(t)
				if time.Since(begin) >= l.long { // the machine does not keep up
					want = sent
				}
			}
		}
		for i := range batches {
			batches[i].send(t)
		}
		time.Sleep(time.Millisecond)
		took = time.Since(begin)
	}
	return sent, took
}

// fill makes the n-th struct can_frame of an interface.
func fill(p *[16]byte, n uint64) {
	p[4] = 8
	if n%answerEvery == 0 {
		binary.NativeEndian.PutUint32(p[:], 0x7E8)
		copy(p[8:], []byte{4, 0x41, 0x0C, byte(n >> 8), byte(n), 0xAA, 0xAA, 0xAA})
		return
	}
	binary.NativeEndian.PutUint32(p[:], uint32(0x100+n%40))
	binary.LittleEndian.PutUint64(p[8:], n*0x9E3779B97F4A7C15)
}
