package can

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// waiter waits for input on a socket that the runtime's poller does not know.
// The poller would wake a thread for each frame of a bus, also while nobody
// waits; this one is armed for one frame, when there is none to read.
type waiter struct {
	file  *os.File // an epoll instance that watches the socket: the runtime's poller waits for it
	raw   syscall.RawConn
	ready func(fd uintptr) bool
}

func newWaiter(socket int) (*waiter, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("watch bus: %w", err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLONESHOT} // armed by wait
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, socket, &event); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch bus: %w", err)
	}
	_ = unix.SetNonblock(fd, true) // cannot fail; it tells os.NewFile to wait by the poller
	w := &waiter{file: os.NewFile(uintptr(fd), "bus")}
	if w.raw, err = w.file.SyscallConn(); err != nil {
		w.file.Close()
		return nil, fmt.Errorf("watch bus: %w", err)
	}
	w.ready = func(fd uintptr) bool {
		var events [1]unix.EpollEvent
		n, err := unix.EpollWait(int(fd), events[:], 0)
		return n > 0 || err == unix.EINTR // looking once too often does no harm
	}
	return w, nil
}

// arm has wait return with the next input of the socket, or at once when there
// is some.
func (w *waiter) arm(socket uintptr) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT}
	var err error
	if cerr := w.raw.Control(func(fd uintptr) { err = unix.EpollCtl(int(fd), unix.EPOLL_CTL_MOD, int(socket), &event) }); cerr != nil {
		return cerr
	}
	return err
}

// wait blocks until the socket has input or is broken, or close.
func (w *waiter) wait() error { return w.raw.Read(w.ready) }

func (w *waiter) close() { w.file.Close() }

// unpolled takes dev over and returns its socket as a file that the runtime's
// poller does not know.
func unpolled(dev device) (*os.File, error) {
	defer dev.Close()
	raw, err := dev.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd := -1
	if cerr := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, false); err != nil { // each call says that it does not block
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "bus"), nil
}
