package rig_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// exitMark begins the last line of a machine (guest/main.go).
const exitMark = "RIG EXIT "

// machine is one QEMU that this test started.
type machine struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when QEMU has ended

	mu    sync.Mutex
	lines []string
	exit  int // of the command inside; -1: not known
	late  bool
	over  bool // QEMU has ended
	seen  *sync.Cond
}

// boot starts a machine that runs args as its only command; words go on the
// kernel's command line, where tests inside find them.
func boot(t *testing.T, r *rig, words string, devices []string, args ...string) *machine {
	t.Helper()
	m := &machine{t: t, done: make(chan struct{}), exit: -1}
	m.seen = sync.NewCond(&m.mu)
	qemu := []string{
		"-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "768", "-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", r.kernel, "-initrd", r.initramfs, "-serial", "stdio",
		"-append", "rig=1 console=ttyS0 quiet loglevel=3 panic=-1 net.ifnames=0 mitigations=off " + words + " -- " + strings.Join(args, " "),
	}
	m.cmd = exec.Command("qemu-system-x86_64", append(qemu, devices...)...)
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.cmd.Stderr = m.cmd.Stdout
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go m.read(out)
	t.Cleanup(m.kill)
	return m
}

func (m *machine) read(r io.Reader) {
	defer close(m.done)
	s := bufio.NewScanner(r)
	for s.Scan() {
		line := strings.TrimRight(s.Text(), "\r")
		m.mu.Lock()
		m.lines = append(m.lines, line)
		if code, ok := strings.CutPrefix(line, exitMark); ok {
			if n, err := strconv.Atoi(code); err == nil {
				m.exit = n
			}
		}
		m.seen.Broadcast()
		m.mu.Unlock()
	}
	_ = m.cmd.Wait() // how the machine ended is its last line, or that it was killed
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	m.seen.Broadcast()
}

// kill takes the power away.
func (m *machine) kill() {
	_ = m.cmd.Process.Kill() // an error says that it is over already
	<-m.done
}

// await waits for a line on the console.
func (m *machine) await(line string, limit time.Duration) error {
	late := time.AfterFunc(limit, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.late = true
		m.seen.Broadcast()
	})
	defer late.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !slices.Contains(m.lines, line) {
		if m.over || m.late {
			return fmt.Errorf("no line %q on the console", line)
		}
		m.seen.Wait()
	}
	return nil
}

// wait waits for the end of the command inside and returns its exit code.
func (m *machine) wait(limit time.Duration) (int, error) {
	select {
	case <-m.done:
	case <-time.After(limit):
		m.kill()
		return -1, fmt.Errorf("no end after %v", limit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exit < 0 {
		return -1, fmt.Errorf("the machine ended without a result")
	}
	return m.exit, nil
}

// console returns what the machine printed.
func (m *machine) console() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.lines, "\n")
}

// rig is what every machine of a run is made of.
type rig struct{ kernel, initramfs string }

var newRig = sync.OnceValue(func() *rig { return new(rig) })

// need skips a test where the rig was not asked for or cannot be.
func need(t *testing.T) *rig {
	t.Helper()
	if os.Getenv("OBU_RIG") == "" {
		t.Skip("not asked for: run make rig")
	}
	for _, tool := range [...]string{"qemu-system-x86_64", "apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("skipped: no %s (apt-get install qemu-system-x86 busybox-static)", tool)
		}
	}
	r := newRig()
	if r.initramfs == "" {
		dir, err := os.MkdirTemp("", "obu-rig-*")
		if err != nil {
			t.Fatal(err)
		}
		scratch = dir
		k := unpackKernel(t)
		r.kernel, r.initramfs = k.image, writeImage(t, k, dir)
	}
	return r
}

// scratch holds the image of this run.
var scratch string

func TestMain(m *testing.M) {
	code := m.Run()
	if scratch != "" {
		os.RemoveAll(scratch)
	}
	os.Exit(code)
}

// controllers are two emulated SJA1000 on one bus: can0 and can1.
func controllers() []string {
	return []string{"-object", "can-bus,id=bus0", "-device", "kvaser_pci,canbus=bus0", "-device", "kvaser_pci,canbus=bus0"}
}

// serialCable are two serial ports of the machine with a cable between them: ttyS1
// and ttyS2.
func serialCable(t *testing.T) []string {
	path := filepath.Join(t.TempDir(), "cable")
	return []string{"-chardev", "socket,id=c0,server=on,wait=off,path=" + path, "-serial", "chardev:c0",
		"-chardev", "socket,id=c1,reconnect=1,path=" + path, "-serial", "chardev:c1"}
}

// insideTests are the tests that need nothing of the host.
const insideTests = "Kernel|Controller|Interface|Dial|Transmit|WholeUnit"

// TestInside runs the tests of package inside.
func TestInside(t *testing.T) {
	r := need(t)
	m := boot(t, r, "", append(controllers(), serialCable(t)...), "/bin/inside.test", "-test.v", "-test.timeout=5m", "-test.run="+insideTests)
	code, err := m.wait(8 * time.Minute)
	t.Log(m.console())
	if err != nil || code != 0 {
		t.Errorf("inside: exit %d, %v", code, err)
	}
}
