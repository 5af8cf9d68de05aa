package rig_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
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

// askMark begins a line that asks the host to do something to the machine.
const askMark = "RIG ASK "

// machine is one QEMU that this test started.
type machine struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{} // closed when QEMU has ended
	qmp  string        // socket of QEMU's monitor

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
	m := &machine{t: t, done: make(chan struct{}), exit: -1, qmp: filepath.Join(t.TempDir(), "qmp")}
	m.seen = sync.NewCond(&m.mu)
	qemu := []string{
		"-machine", "pc,accel=tcg", "-cpu", "max", "-smp", "2", "-m", "768", "-nodefaults", "-no-reboot", "-display", "none",
		"-qmp", "unix:" + m.qmp + ",server=on,wait=off", "-kernel", r.kernel, "-initrd", r.initramfs, "-serial", "stdio",
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
		if words, ok := strings.CutPrefix(line, askMark); ok {
			err := m.ask(words)
			for range 50 { // what was pulled out lets go of its end of the cable a moment later
				if err == nil || !strings.Contains(err.Error(), "in use") {
					break
				}
				time.Sleep(100 * time.Millisecond)
				err = m.ask(words)
			}
			if err != nil {
				m.t.Errorf("%s%s: %v", askMark, words, err)
			}
		}
	}
	_ = m.cmd.Wait() // how the machine ended is its last line, or that it was killed
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	m.seen.Broadcast()
}

// ask gives QEMU's monitor a command: "device_del id=receiver" (QEMU Machine
// Protocol; one connection a command).
func (m *machine) ask(words string) error {
	c, err := net.Dial("unix", m.qmp)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	name, rest, _ := strings.Cut(words, " ")
	arguments := make(map[string]string)
	for w := range strings.FieldsSeq(rest) {
		k, v, _ := strings.Cut(w, "=")
		arguments[k] = v
	}
	out, in := json.NewEncoder(c), json.NewDecoder(c)
	for _, cmd := range [...]any{
		nil, // QEMU greets first
		map[string]any{"execute": "qmp_capabilities"},
		map[string]any{"execute": name, "arguments": arguments},
	} {
		if cmd != nil {
			if err := out.Encode(cmd); err != nil {
				return err
			}
		}
		var answer struct {
			Event string
			Error *struct{ Desc string }
		}
		for answer.Event = "-"; answer.Event != ""; {
			answer.Event = ""
			if err := in.Decode(&answer); err != nil {
				return err
			}
		}
		if answer.Error != nil {
			return errors.New(answer.Error.Desc)
		}
	}
	return nil
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
