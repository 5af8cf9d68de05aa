package inside_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"obu/internal/agent"
	"obu/internal/clock"
	"obu/internal/virtual"
	"obu/telemetry"
	"obu/telemetry/ledger"
	"obu/uplink/brokertest"
)

// world is what is around a machine whose clock says 1970: a car that knows the
// present, its receiver on a line, a bus, a cloud.
type world struct {
	testing.TB
	clk    *clock.Clock
	car    *virtual.Car
	sky    atomic.Bool // it is visible
	line   string      // of the receiver
	broker string

	mu   sync.Mutex // guards what follows
	book ledger.Ledger
	came []telemetry.At
}

func newWorld(t testing.TB) *world {
	seconds, err := strconv.ParseInt(kernelWord(t, "now"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, clk: system(t)}
	w.car = virtual.New(virtual.Config{Seed: 7, Clock: w.clk, Start: time.Unix(seconds, 0).UTC()})
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	w.line = slave.Name()
	if out, err := exec.Command("/bin/busybox", "stty", "-F", w.line, "raw", "-echo").CombinedOutput(); err != nil {
		t.Fatalf("stty: %v\n%s", err, out)
	}
	t.Cleanup(func() { master.Close(); slave.Close() })
	go func() { // it ends with the test
		_ = w.car.WriteGPS(t.Context(), master, virtual.GPSOptions{Latency: 100 * time.Millisecond, LatencyMax: 800 * time.Millisecond,
			Visible: func(time.Duration) bool { return w.sky.Load() }})
	}()
	b := dial(t, vcan(t, "vcan0"), nil)
	go func() { _ = w.car.ServeECU(t.Context(), b, virtual.ECUOptions{Gearbox: true}) }() // likewise

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker := brokertest.New()
	broker.OnMessage(w.take)
	go func() { _ = broker.Serve(l) }() // it ends with the listener
	t.Cleanup(func() { l.Close(); broker.Close() })
	w.broker = "mqtt://" + l.Addr().String()
	return w
}

func (w *world) take(m brokertest.Message) {
	env, err := telemetry.DecodeEnvelope(m.Payload)
	if err != nil {
		return // no envelope
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh, _ := w.book.Take(env)
	for _, b := range fresh {
		for i := range b.Samples {
			w.came = append(w.came, b.Samples[i].At)
		}
		for i := range b.Fixes {
			w.came = append(w.came, b.Fixes[i].At)
		}
	}
}

// unit starts the shipped binary on a store; more is what its configuration
// says of gps and clock.
func (w *world) unit(store, more string, set bool) (*exec.Cmd, string) {
	w.Helper()
	return launch(w, fmt.Sprintf("gps: {device: %s, baud: 9600%s}\nclock: {set: %v}\n%s\nbuffer: {dir: %s, flush_every: 1s}\nuplink: {broker: %q, reconnect_max: 1s}\n",
		w.line, more, set, "can: [{device: vcan0, obd: {period: 1s, pids: [\"0C\", \"0D\"]}}]", store, w.broker))
}

// stop ends a unit in order, and what it held has come.
func (w *world) stop(cmd *exec.Cmd, socket string) {
	w.Helper()
	_ = cmd.Process.Signal(os.Interrupt) // an error says that it has ended
	if err := cmd.Wait(); err != nil {
		w.Error("obu:", err)
	}
}

// knows waits until a unit knows the time by GPS to limit.
func (w *world) knows(socket string, limit time.Duration) {
	w.Helper()
	await(w, socket, 2*time.Minute, func(s *agent.Status) bool {
		t := s.Time
		return t.By == string(telemetry.AnchorGNSS) && *t.UncertaintyS <= limit.Seconds()
	})
}

// system returns the system clock, and how far it is off.
func (w *world) system() (wall time.Time, off time.Duration) {
	wall = time.Now().Round(0)
	return wall, wall.Sub(w.car.UTC(w.clk.Now()))
}

// offset is the system clock less time since boot: it moves when somebody sets it.
func (w *world) offset() time.Duration {
	return time.Duration(time.Now().UnixNano()) - time.Duration(w.clk.Now())
}

// check holds every record that came against the truth.
func (w *world) check(from telemetry.At) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	wrong, now := 0, w.clk.Now()
	for _, at := range w.came {
		wall, u, ok := w.book.WallTime("rig", w.clk.Boot(), at)
		if off := wall.Sub(w.car.UTC(at)); !ok || off.Abs() > u+time.Millisecond || u > time.Second || at < from || at > now {
			if wrong++; wrong < 5 {
				w.Errorf("a record of %v: %v off, give or take %v, %v", at.Sub(from), off, u, ok)
			}
		}
	}
	w.Logf("%d records, %d wrong", len(w.came), wrong)
	if len(w.came) < 100 {
		w.Errorf("%d records came", len(w.came))
	}
	w.came = nil
}

// TestClockOf1970: the machine's clock is where its battery left it. Without
// clock.set the unit knows the time and touches nothing, also when it is killed
// and starts again without a fix; with it the system clock is right to what is
// stated, and is not fought over when somebody sets it back. What was recorded
// before either is healed, and frames keep their place while the clock jumps.
func TestClockOf1970(t *testing.T) {
	w := newWorld(t)
	if wall, _ := w.system(); wall.Year() != 1970 {
		t.Fatalf("the machine woke up at %v", wall)
	}
	store, from, before := filepath.Join(t.TempDir(), "a"), w.clk.Now(), w.offset()
	cmd, socket := w.unit(store, "", false)
	await(t, socket, time.Minute, func(s *agent.Status) bool { return s.Batcher.Values > 50 })
	w.sky.Store(true)
	w.knows(socket, time.Second)
	time.Sleep(15 * time.Second) // more fixes than setting the clock takes
	w.sky.Store(false)
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // by the signal
	cmd, socket = w.unit(store, "", false)
	w.knows(socket, time.Second)
	w.drained(socket)
	w.stop(cmd, socket)
	if moved := w.offset() - before; moved.Abs() > 5*time.Millisecond {
		t.Errorf("clock.set: false, and the system clock moved by %v", moved)
	}
	w.check(from)

	store, from = filepath.Join(t.TempDir(), "b"), w.clk.Now()
	cmd, socket = w.unit(store, "", true)
	await(t, socket, time.Minute, func(s *agent.Status) bool { return s.Batcher.Values > 50 })
	w.sky.Store(true)
	until(t, func() bool { wall, _ := w.system(); return wall.Year() > 2000 })
	if _, off := w.system(); off.Abs() > 750*time.Millisecond {
		t.Errorf("the system clock was set %v wrong", off)
	}
	time.Sleep(2 * time.Second)
	setClock(t, time.Now().Add(-time.Hour)) // somebody sets it back, while frames come
	time.Sleep(3 * time.Second)
	w.drained(socket)
	w.stop(cmd, socket)
	if _, off := w.system(); off > -time.Hour+time.Second {
		t.Errorf("the clock was set a second time: it is %v off", off)
	}
	w.check(from)
}

func setClock(t testing.TB, to time.Time) {
	t.Helper()
	ts := unix.NsecToTimespec(to.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		t.Fatal(err)
	}
}

// drained waits until all that a unit holds has come.
func (w *world) drained(socket string) {
	w.Helper()
	await(w, socket, 2*time.Minute, func(s *agent.Status) bool {
		held := 0
		for _, st := range s.Streams {
			if st.Class != telemetry.ClassHealth {
				held += st.Batches
			}
		}
		return s.Uplink.Connected && held < 3
	})
}

// TestClockByPulse: the kernel stamps a pulse that comes over the machine's
// parallel port, and the system clock is right to 10 ms.
func TestClockByPulse(t *testing.T) {
	if _, err := os.Stat("/dev/pps0"); err != nil {
		t.Fatal("no /dev/pps0: ", err)
	}
	w := newWorld(t)
	setClock(t, time.Unix(3600, 0))
	port, err := os.OpenFile("/dev/port", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	go func() {
		_ = w.car.Pulse(t.Context(), func() { strobe(t, port) }, virtual.PulseOptions{}) // it ends with the test
	}()
	w.sky.Store(true)
	from := w.clk.Now()
	cmd, socket := w.unit(filepath.Join(t.TempDir(), "c"), ", pps: /dev/pps0", true)
	w.knows(socket, 20*time.Millisecond)
	until(t, func() bool { wall, _ := w.system(); return wall.Year() > 2000 })
	if _, off := w.system(); off.Abs() > 20*time.Millisecond {
		t.Errorf("the system clock was set %v wrong", off)
	} else {
		t.Logf("the system clock is %v off", off)
	}
	w.drained(socket)
	w.stop(cmd, socket)
	w.check(from)
}

// strobe makes the emulated parallel port raise its interrupt: the end of a
// strobe is acknowledged (QEMU, hw/char/parallel.c).
func strobe(t testing.TB, port *os.File) {
	const status, control = 0x379, 0x37A
	const strobe, init, sel, interrupt = 1, 4, 8, 16
	for _, b := range [...]byte{init | sel | interrupt | strobe, init | sel | interrupt} {
		if _, err := port.WriteAt([]byte{b}, control); err != nil {
			t.Error(err)
		}
	}
	if _, err := port.ReadAt(make([]byte, 1), status); err != nil { // takes it back
		t.Error(err)
	}
}
