package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"obu/can"
	"obu/internal/virtual"
)

// ends are the two ends of a real wire: a bus with two controllers, or two
// serial ports with a cable between them.
type ends struct{ Car, Unit string }

// Set reads "CAR,UNIT".
func (e *ends) Set(s string) error {
	car, unit, ok := strings.Cut(s, ",")
	if !ok || car == "" || unit == "" || car == unit {
		return fmt.Errorf("%q: want the car's end and the unit's end of one wire, as in can1,can0", s)
	}
	*e = ends{car, unit}
	return nil
}

func (e *ends) String() string {
	if e.Car == "" {
		return ""
	}
	return e.Car + "," + e.Unit
}

// Type names the value in the help text.
func (e *ends) Type() string { return "CAR,UNIT" }

// demoECU is how the demo's car answers.
var demoECU = virtual.ECUOptions{Gearbox: true, Latency: 8 * time.Millisecond, Chatter: 100 * time.Millisecond, Faults: fault}

// plugCAN lets the car answer on its end of the bus and returns the unit's: a
// unix socket, or the other controller when a real bus was named.
func (d *demo) plugCAN(plugged context.Context, parts *sync.WaitGroup) (string, error) {
	if d.CAN.Car != "" {
		b, err := can.DialSocketCAN(plugged, d.CAN.Car, can.SocketOptions{Clock: d.clk})
		if err != nil {
			return "", fmt.Errorf("the car's end of --can: %w", err)
		}
		parts.Go(func() { d.answer(plugged, b) })
		return d.CAN.Unit, nil
	}
	path := filepath.Join(d.short, "can0")
	bus, err := can.ListenUnix(path, d.clk)
	if err != nil {
		return "", err
	}
	context.AfterFunc(plugged, func() { bus.Close() })
	parts.Go(func() {
		for {
			b, err := bus.Accept()
			if err != nil {
				return
			}
			parts.Go(func() { d.answer(plugged, b) })
		}
	})
	return "unix:" + path, nil
}

// answer is the car on one bus, until that ends.
func (d *demo) answer(plugged context.Context, b can.Bus) {
	if err := d.car.ServeECU(plugged, b, demoECU); err != nil && d.CAN.Car != "" {
		d.line(red, "%s: %v", d.CAN.Car, err)
	}
}

// plugGPS returns the car's end of the receiver's line and the path of the
// unit's: a pseudo terminal, or two real ports.
func (d *demo) plugGPS(plugged context.Context) (io.Writer, string, error) {
	if d.GPS.Car != "" {
		f, err := openPort(d.GPS.Car)
		if err != nil {
			return nil, "", fmt.Errorf("the car's end of --gps: %w", err)
		}
		context.AfterFunc(plugged, func() { f.Close() })
		return f, d.GPS.Unit, nil
	}
	line, err := openSerialLine()
	if err != nil {
		return nil, "", err
	}
	line.closeWhen(plugged)
	return line, line.Path, nil
}

// openPort opens a serial port for writing, raw, at 9600 Bd.
func openPort(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err == nil {
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cflag = unix.CS8 | unix.CLOCAL | unix.CREAD | unix.B9600
		t.Ispeed, t.Ospeed = unix.B9600, unix.B9600
		err = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("set up %s: %w", path, err)
	}
	return f, nil
}
