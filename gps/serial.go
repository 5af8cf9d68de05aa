package gps

import (
	"errors"
	"fmt"
	"syscall"

	"go.bug.st/serial"
)

// What can be wrong with a serial port. Test with errors.Is.
var (
	// ErrNoDevice: nothing is at that path. The receiver is unplugged, or has
	// another name: ls /dev/serial/by-id shows names that stay.
	ErrNoDevice = errors.New("no such serial port")
	// ErrNothingPlugged: no port has a name that stays, which those on USB have.
	// Plug the receiver in, or name the port of one that is not on USB.
	ErrNothingPlugged = errors.New("no serial port on USB")
	// ErrPermission: the user may not open the port. Join the group that owns
	// it, usually: usermod -aG dialout USER, then start the agent again.
	ErrPermission = errors.New("no permission to open the serial port")
	// ErrBusy: another program holds the port, often gpsd or ModemManager; the
	// error names it. Read from gpsd (gpsd://localhost:2947), or stop it:
	// systemctl stop gpsd.socket gpsd ModemManager.
	ErrBusy = errors.New("serial port is used by another program")
	// ErrNotSerial: the path names something else than a serial port, or the
	// port refuses the speed. Correct gps.device or gps.baud.
	ErrNotSerial = errors.New("not a serial port of that speed")
	// ErrGone: the device vanished while it was read: unplugged, or without
	// power. Run again opens it when it is back.
	ErrGone = errors.New("receiver is gone")
	// ErrNoNMEA: the port was listened to at every usual speed, or at the only
	// one allowed, and no NMEA sentence came. Check the receiver's power and
	// its TX wire to our RX; switch it from a binary protocol to NMEA; a port
	// of a modem needs gps.init.
	ErrNoNMEA = errors.New("no NMEA sentence")
	// ErrInit: a command of gps.init failed; the error has the modem's words.
	ErrInit = errors.New("the receiver was not started")
)

// usualBauds are the speeds receivers are delivered with or set to, most
// frequent first.
var usualBauds = [...]int{9600, 115200, 4800, 38400, 57600, 19200, 230400, 460800, 921600}

// Speeds beyond these are typing errors; the driver would take some of them.
const (
	lowestBaud  = 300
	highestBaud = 4_000_000
)

// Port is an open serial port.
type Port struct {
	serial.Port
	baud  int
	found bool   // the speed was found by listening
	stop  func() // says the commands of gps.stop; nil: there are none
}

// Baud returns the speed the port was opened with, in bits per second.
func (p *Port) Baud() int { return p.baud }

// Close ends a blocked Read and closes the port, after the commands that switch
// the receiver off.
func (p *Port) Close() error {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	return p.Port.Close()
}

// OpenSerial opens a serial port at baud bits per second, 8N1, raw, without
// flow control. Reads block until bytes arrive; Close ends them. The path may
// be a symbolic link such as those in /dev/serial/by-id.
func OpenSerial(path string, baud int) (*Port, error) {
	if baud < lowestBaud || baud > highestBaud {
		return nil, fmt.Errorf("open %s at %d baud: %w", path, baud, ErrNotSerial)
	}
	p, err := serial.Open(path, &serial.Mode{BaudRate: baud, DataBits: 8, Parity: serial.NoParity, StopBits: serial.OneStopBit})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, serialError(err))
	}
	return &Port{Port: p, baud: baud}, nil
}

func serialError(err error) error {
	var pe *serial.PortError
	if errors.As(err, &pe) {
		switch pe.Code() {
		case serial.PermissionDenied:
			return fmt.Errorf("%w: %w", ErrPermission, err)
		case serial.PortBusy:
			return fmt.Errorf("%w: %w", ErrBusy, err)
		case serial.InvalidSerialPort, serial.InvalidSpeed:
			return fmt.Errorf("%w: %w", ErrNotSerial, err)
		case serial.PortNotFound:
			return fmt.Errorf("%w: %w", ErrNoDevice, err)
		}
	}
	for _, gone := range []error{syscall.ENOENT, syscall.ENXIO, syscall.ENODEV} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%w: %w", ErrNoDevice, err)
		}
	}
	return err
}
