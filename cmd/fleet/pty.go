package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// serialLine is a pseudo terminal that stands for the GPS's serial port: the
// car writes into the master, the agent opens Path.
type serialLine struct {
	Path   string
	master *os.File
	slave  *os.File // held open, so that the line survives the agent closing it
}

// openSerialLine opens a line in raw mode: nothing is echoed or translated,
// as on a wire.
func openSerialLine() (*serialLine, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("open pseudo terminal: %w", err)
	}
	l := &serialLine{Path: slave.Name(), master: master, slave: slave}
	t, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err == nil {
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		err = unix.IoctlSetTermios(int(slave.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up pseudo terminal: %w", err), l.Close())
	}
	return l, nil
}

// Write writes to the line. A line nobody reads fills up and then blocks, so
// Close must be able to end it.
func (l *serialLine) Write(p []byte) (int, error) { return l.master.Write(p) }

// closeWhen closes the line when ctx ends.
func (l *serialLine) closeWhen(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { l.Close() })
}

// Close hangs up.
func (l *serialLine) Close() error { return errors.Join(l.master.Close(), l.slave.Close()) }
