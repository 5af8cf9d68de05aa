package gps_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"obu/gps"
	"obu/internal/clock"
	"obu/telemetry"
)

// receiver is a GPS receiver on the master side of a pty: it talks at one
// speed, and what a port set to another speed sees is garbage.
type receiver struct {
	master *os.File
	path   string
	baud   atomic.Uint32 // unix.B9600
}

func newReceiver(t *testing.T, baud uint32) *receiver {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	path := slave.Name()
	slave.Close()
	t.Cleanup(func() { master.Close() })
	r := &receiver{master: master, path: path}
	r.baud.Store(baud)
	return r
}

// speed returns the speed the port is set to, as the master sees it.
func (r *receiver) speed(t *testing.T) uint32 {
	t.Helper()
	tio, err := unix.IoctlGetTermios(int(r.master.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return tio.Cflag & unix.CBAUD
}

func (r *receiver) say(t *testing.T, s string) {
	b := []byte(s)
	if r.speed(t) != r.baud.Load() {
		for i := range b {
			b[i] = b[i]<<1 ^ 0x81 | 0x80
		}
	}
	r.master.Write(b)
}

// collector takes what a Source emits.
type collector struct {
	fixes chan telemetry.Fix
	mu    sync.Mutex
	log   strings.Builder
	gaps  []telemetry.Gap
}

func (c *collector) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.Write(p)
}

func (c *collector) logged() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log.String()
}

func (c *collector) lose(g telemetry.Gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gaps = append(c.gaps, g)
}

// listed returns the bounds of the newest Gap.
func (c *collector) listed() (from, to telemetry.At) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.gaps) == 0 {
		return 0, 0
	}
	g := c.gaps[len(c.gaps)-1]
	return g.From, g.To
}

func serialSource(t *testing.T, path string, baud int) (*gps.Source, *collector) {
	t.Helper()
	c := &collector{fixes: make(chan telemetry.Fix, 100)}
	s, err := gps.New(gps.Config{
		Clock: clock.Virtual(),
		Open:  func(context.Context) (io.ReadCloser, error) { return gps.OpenSerial(path, baud) },
		Emit:  func(f telemetry.Fix) { c.fixes <- f },
		Lost:  c.lose,
		Log:   slog.New(slog.NewTextHandler(c, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// eventually waits for a condition of the outside world.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func TestSerialPort(t *testing.T) {
	r := newReceiver(t, unix.B4800)
	s, c := serialSource(t, r.path, 4800)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	eventually(t, "the port is set to 4800", func() bool { return r.speed(t) == unix.B4800 })

	tio, err := unix.IoctlGetTermios(int(r.master.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if raw := tio.Cflag&unix.CSIZE == unix.CS8 && tio.Cflag&(unix.PARENB|unix.CSTOPB|unix.CRTSCTS) == 0 && tio.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) == 0 && tio.Iflag&(unix.IXON|unix.ICRNL) == 0; !raw {
		t.Errorf("port is not raw 8N1: cflag %o lflag %o iflag %o", tio.Cflag, tio.Lflag, tio.Iflag)
	}
	r.say(t, frames(rmc("120000"), gga("120000")))
	if f := <-c.fixes; !f.Valid || f.LatDeg != 48.1173 {
		t.Errorf("fix %+v", f)
	}
	cancel() // Close must end a Read that waits for the next byte
	if err := <-done; err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
}

func TestSerialAtAnotherBaud(t *testing.T) {
	r := newReceiver(t, unix.B38400)
	s, c := serialSource(t, r.path, 9600)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	eventually(t, "the port is set to 9600", func() bool { return r.speed(t) == unix.B9600 })
	eventually(t, "the wrong rate is noticed", func() bool {
		r.say(t, frames(rmc("120000"), gga("120000")))
		return s.Stats().Garbled > 0
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run returned %v, want nil", err)
	}
	if text := c.logged(); strings.Count(text, "baud rate is wrong") != 1 || !strings.Contains(text, "baud=9600") || !strings.Contains(text, "set gps.baud to auto") {
		t.Errorf("the technician reads:\n%s", text)
	}
	if len(c.gaps) == 0 {
		t.Error("no gap for what could not be read")
	}

	// The cure.
	s, c = serialSource(t, r.path, 38400)
	ctx, cancel = context.WithCancel(t.Context())
	go func() { done <- s.Run(ctx) }()
	eventually(t, "the port is set to 38400", func() bool { return r.speed(t) == unix.B38400 })
	r.say(t, frames(rmc("120000"), gga("120000")))
	if f := <-c.fixes; !f.Valid {
		t.Errorf("fix %+v", f)
	}
	cancel()
	<-done
}

// TestSerialUnplugAndReturn: the device vanishes, Run says so, and the next Run
// finds it under the same name, which now leads to another port.
func TestSerialUnplugAndReturn(t *testing.T) {
	name := filepath.Join(t.TempDir(), "gps-by-id")
	first := newReceiver(t, unix.B9600)
	if err := os.Symlink(first.path, name); err != nil {
		t.Fatal(err)
	}
	s, c := serialSource(t, name, 9600)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	run := func() { done <- s.Run(ctx) }
	go run()
	eventually(t, "open", func() bool { return first.speed(t) == unix.B9600 })
	first.say(t, frames(rmc("120000")))
	<-c.fixes
	first.master.Close()
	if err := <-done; !errors.Is(err, gps.ErrGone) {
		t.Fatalf("Run returned %v, want ErrGone", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := s.Run(ctx); !errors.Is(err, gps.ErrNoDevice) {
		t.Fatalf("Run without device returned %v, want ErrNoDevice", err)
	}

	second := newReceiver(t, unix.B9600)
	if err := os.Symlink(second.path, name); err != nil {
		t.Fatal(err)
	}
	go run()
	eventually(t, "open again", func() bool { return second.speed(t) == unix.B9600 })
	second.say(t, frames(rmc("120010")))
	if f := <-c.fixes; f.UTC.Second() != 10 {
		t.Errorf("fix %+v", f)
	}
	cancel()
	<-done
	if len(c.gaps) != 2 || c.gaps[1].From != c.gaps[0].From || c.gaps[1].To <= c.gaps[0].To {
		t.Errorf("gaps %+v, want the loss and its whole length", c.gaps)
	}
}

func TestOpenSerialErrors(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(plain, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"/dev/no-such-port": gps.ErrNoDevice,
		plain:               gps.ErrNotSerial,
		"/dev/null":         gps.ErrNotSerial,
	} {
		p, err := gps.OpenSerial(path, 9600)
		if !errors.Is(err, want) || p != nil {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	r := newReceiver(t, unix.B9600)
	if _, err := gps.OpenSerial(r.path, -5); !errors.Is(err, gps.ErrNotSerial) {
		t.Errorf("baud -5: %v, want ErrNotSerial", err)
	}
}

// TestOpenSerialWithoutPermission drops root in a child process.
func TestOpenSerialWithoutPermission(t *testing.T) {
	if os.Getenv("GPS_TEST_NOBODY") != "" {
		_, err := gps.OpenSerial(os.Getenv("GPS_TEST_NOBODY"), 9600)
		if !errors.Is(err, gps.ErrPermission) {
			t.Errorf("%v, want ErrPermission", err)
		}
		return
	}
	r := newReceiver(t, unix.B9600)
	if err := os.Chmod(r.path, 0o600); err != nil {
		t.Skipf("cannot take permissions away: %v", err)
	}
	runAsNobody(t, "TestOpenSerialWithoutPermission", "GPS_TEST_NOBODY="+r.path)
}
