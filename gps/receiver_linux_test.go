package gps_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/gps"
	"obu/internal/clock"
	"obu/telemetry"
)

// setSpeed sets the speed of the port as nobody who opens it would.
func (r *receiver) setSpeed(t *testing.T, baud uint32) {
	t.Helper()
	tio, err := unix.IoctlGetTermios(int(r.master.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	tio.Cflag = tio.Cflag&^unix.CBAUD | baud
	if err := unix.IoctlSetTermios(int(r.master.Fd()), unix.TCSETS, tio); err != nil {
		t.Fatal(err)
	}
}

func saying(text string) func() *string { return func() *string { return &text } }

// talk says text again and again until the test ends.
func (r *receiver) talk(t *testing.T, text func() *string) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				r.say(t, *text())
			}
		}
	})
	t.Cleanup(func() { close(stop); done.Wait() })
}

func receiverSource(t *testing.T, r *gps.Receiver) (*gps.Source, *collector) {
	t.Helper()
	c := &collector{fixes: make(chan telemetry.Fix, 10_000)}
	r.Log = slog.New(slog.NewTextHandler(c, nil))
	s, err := gps.New(gps.Config{Clock: clock.Virtual(), Open: r.Open, Emit: func(f telemetry.Fix) { c.fixes <- f }, Lost: c.lose, Log: r.Log})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// TestBaudIsFound: the speed at which checksums are right is found, told and
// tried first the next time.
func TestBaudIsFound(t *testing.T) {
	for _, baud := range []struct{ bits, number uint32 }{{unix.B9600, 9600}, {unix.B115200, 115200}, {unix.B4800, 4800}, {unix.B230400, 230400}} {
		t.Run(fmt.Sprint(baud.number), func(t *testing.T) {
			r := newReceiver(t, baud.bits)
			r.talk(t, saying(frames(rmc("120000"), gga("120000"))))
			where := &gps.Receiver{Device: r.path}
			s, c := receiverSource(t, where)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			if f := <-c.fixes; !f.Valid {
				t.Errorf("fix %+v", f)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run returned %v", err)
			}
			if want := fmt.Sprintf("%s at %d baud", r.path, baud.number); where.Found() != want {
				t.Errorf("found %q, want %q", where.Found(), want)
			}
			if text := c.logged(); !strings.Contains(text, fmt.Sprintf("baud=%d", baud.number)) {
				t.Errorf("the technician reads:\n%s", text)
			}

			r.baud.Store(0) // it says nothing that can be read any more
			r.setSpeed(t, unix.B300)
			ctx, cancel = context.WithCancel(t.Context())
			opened := make(chan struct{})
			go func() { where.Open(ctx); close(opened) }()
			eventually(t, "opened again", func() bool { return r.speed(t) != unix.B300 })
			if got := r.speed(t); got != baud.bits {
				t.Errorf("tried first: %o, want %o", got, baud.bits)
			}
			cancel()
			<-opened
		})
	}
}

// TestBaudChanges: a receiver that is reset to another speed while it is read
// is opened again and found, and what it said meanwhile is listed.
func TestBaudChanges(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, unix.B115200)
	s, c := receiverSource(t, &gps.Receiver{Device: r.path})
	go func() { // until its first fix
		for len(c.fixes) == 0 {
			r.say(t, frames(rmc("120000"), gga("120000")))
			time.Sleep(5 * time.Millisecond)
		}
		r.baud.Store(unix.B9600)
	}()
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	eventually(t, "a fix", func() bool { return len(c.fixes) > 0 })
	time.Sleep(20 * time.Millisecond)
	r.talk(t, saying(frames(rmc("120001"), gga("120001"))))
	if err := <-done; !errors.Is(err, gps.ErrNoNMEA) {
		t.Fatalf("Run returned %v, want ErrNoNMEA", err)
	}
	if text := c.logged(); strings.Contains(text, "set gps.baud to auto") {
		t.Errorf("it is auto, and the technician reads:\n%s", text)
	}
	_, until := c.listed() // the garbage
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- s.Run(ctx) }()
	var back telemetry.Fix
	eventually(t, "a fix at the new speed", func() bool {
		for {
			select {
			case back = <-c.fixes:
				if back.UTC.Second() == 1 {
					return true
				}
			default:
				return false
			}
		}
	})
	cancel()
	<-done
	if from, to := c.listed(); from > until || to < back.At {
		t.Errorf("listed last: lost from %v to %v; it was not read from %v to %v", from, to, until, back.At)
	}
}

// TestBaudIsNotThatOfWhatWaited: what the port held from before, read well at
// another speed, says nothing of the present one.
func TestBaudIsNotThatOfWhatWaited(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, unix.B115200)
	held, err := os.OpenFile(r.path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	r.setSpeed(t, unix.B115200)
	r.say(t, strings.Repeat(frames(rmc("120000"), gga("120000")), 10))
	where := &gps.Receiver{Device: r.path}
	opened := make(chan error, 1)
	go func() {
		p, err := where.Open(t.Context())
		if err == nil {
			p.Close()
		}
		opened <- err
	}()
	eventually(t, "opened", func() bool { return r.speed(t) == unix.B9600 })
	r.talk(t, saying(frames(rmc("120001"), gga("120001"))))
	if err := <-opened; err != nil || where.Found() != r.path+" at 115200 baud" {
		t.Errorf("found %q %v", where.Found(), err)
	}
}

// TestNoNMEAAtAnySpeed: what speaks something else is told apart from silence.
func TestNoNMEAAtAnySpeed(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, unix.B9600)
	r.talk(t, saying(strings.Repeat("temperature 21.5, door open\r\n", 20)))
	_, err := (&gps.Receiver{Device: r.path}).Open(t.Context())
	if !errors.Is(err, gps.ErrNoNMEA) || !strings.Contains(err.Error(), "no NMEA sentence at any usual speed, among") {
		t.Errorf("talks of something else: %v", err)
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	_ = os.Remove(name)
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

// TestSearchOpensOthersOnce: of the ports on USB the one that speaks NMEA is
// taken; another is opened once, and again only after it was plugged in anew.
func TestSearchOpensOthersOnce(t *testing.T) {
	names := t.TempDir()
	other, r := newReceiver(t, unix.B9600), newReceiver(t, unix.B115200)
	other.talk(t, saying(strings.Repeat("temperature 21.5, door open\r\n", 20)))
	link(t, other.path, filepath.Join(names, "usb-Arduino_Uno-if00"))
	where := &gps.Receiver{Device: gps.AutoDevice, Baud: 9600, Names: names}
	if _, err := where.Open(t.Context()); !errors.Is(err, gps.ErrNoNMEA) {
		t.Fatalf("another device alone: %v", err)
	}
	other.setSpeed(t, unix.B300)
	if _, err := where.Open(t.Context()); !errors.Is(err, gps.ErrNoDevice) {
		t.Errorf("searched again: %v, want ErrNoDevice", err)
	}
	if got := other.speed(t); got != unix.B300 {
		t.Errorf("the other device was opened again: its speed is %o", got)
	}

	r.talk(t, saying(frames(rmc("120000"), gga("120000"))))
	link(t, r.path, filepath.Join(names, "usb-Prolific_Technology-if00-port0"))
	p, err := where.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if !strings.HasPrefix(where.Found(), names+"/usb-Prolific") || other.speed(t) != unix.B300 {
		t.Errorf("found %q", where.Found())
	}

	// Both are pulled out, the other comes back.
	for _, n := range []string{"usb-Arduino_Uno-if00", "usb-Prolific_Technology-if00-port0"} {
		if err := os.Remove(filepath.Join(names, n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := where.Open(t.Context()); !errors.Is(err, gps.ErrNoDevice) {
		t.Errorf("nothing there: %v, want ErrNoDevice", err)
	}
	link(t, other.path, filepath.Join(names, "usb-Arduino_Uno-if00"))
	if _, err := where.Open(t.Context()); !errors.Is(err, gps.ErrNoNMEA) || other.speed(t) == unix.B300 {
		t.Errorf("plugged in anew: %v, want one more try", err)
	}
}

// TestSearchKnowsWhatSpokeNMEA: a receiver that was found is not taken for
// something else when it speaks no NMEA for a while.
func TestSearchKnowsWhatSpokeNMEA(t *testing.T) {
	names := t.TempDir()
	r := newReceiver(t, unix.B9600)
	var text atomic.Pointer[string]
	nmea, boot := frames(rmc("120000")), strings.Repeat("bootloader, waiting\r\n", 20)
	text.Store(&nmea)
	r.talk(t, text.Load)
	link(t, r.path, filepath.Join(names, "usb-Prolific_Technology-if00-port0"))
	where := &gps.Receiver{Device: gps.AutoDevice, Names: names}
	for i, says := range []*string{&nmea, &boot, &nmea} {
		text.Store(says)
		p, err := where.Open(t.Context())
		if says == &boot {
			if !errors.Is(err, gps.ErrNoNMEA) {
				t.Errorf("in its boot loader: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
		p.Close()
	}
}

// TestReceiverReturnsUnderAnotherName: the number of a port is not the
// receiver's; after an unplugging another device may have it.
func TestReceiverReturnsUnderAnotherName(t *testing.T) {
	dev, names := t.TempDir(), t.TempDir()
	usb0, usb1, name := filepath.Join(dev, "ttyUSB0"), filepath.Join(dev, "ttyUSB1"), filepath.Join(names, "usb-u-blox-if00")
	first, modem, again := newReceiver(t, unix.B9600), newReceiver(t, unix.B9600), newReceiver(t, unix.B9600)
	link(t, first.path, usb0)
	link(t, usb0, name)
	where := &gps.Receiver{Device: usb0, Baud: 9600, Names: names}
	p, err := where.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p.Close()

	link(t, modem.path, usb0)
	link(t, again.path, usb1)
	link(t, usb1, name)
	if p, err = where.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	modem.say(t, "modem")
	again.say(t, "again")
	buf := make([]byte, 64)
	if n, err := p.Read(buf); string(buf[:n]) != "again" {
		t.Errorf("reads %q %v, want the receiver under its new number", buf[:n], err)
	}
}

// TestPortReadByGpsdIsNamed: two readers would each get half.
func TestPortReadByGpsdIsNamed(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep here")
	}
	program := filepath.Join(t.TempDir(), "gpsd")
	body, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, body, 0o755); err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, unix.B9600)
	slave, err := os.OpenFile(r.path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(sleep, "60") // keeps the port open beside it, with a lower pid
	other.Stdin = slave
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	reader := exec.Command(program, "60")
	reader.Args[0], reader.Stdin = "sleep", slave
	err = reader.Start()
	slave.Close()
	if err != nil {
		t.Skipf("cannot run a copy of sleep: %v", err)
	}
	defer func() { reader.Process.Kill(); reader.Wait() }()
	want := fmt.Sprintf("it is gpsd (pid %d)", reader.Process.Pid)
	_, err = (&gps.Receiver{Device: r.path, Baud: 9600}).Open(t.Context())
	if !errors.Is(err, gps.ErrBusy) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want ErrBusy, %s", err, want)
	}
}
