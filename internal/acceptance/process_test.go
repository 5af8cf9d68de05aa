package acceptance_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startLimit is how long a broker may take to accept connections: RabbitMQ
// needs ten seconds alone and more beside others.
const startLimit = 2 * time.Minute

// wanted skips the test unless it was asked for by name.
func wanted(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("OBU_BROKERS") == "" {
		t.Skipf("not asked for: run make %s", what)
	}
}

// need returns the path of a program, or skips the test and says which package
// brings it.
func need(t *testing.T, pkg string, paths ...string) string {
	t.Helper()
	for _, p := range paths {
		if found, err := exec.LookPath(p); err == nil {
			return found
		}
	}
	t.Skipf("no %s: nothing was tested against it (apt-get install %s)", paths[0], pkg)
	return ""
}

// freePort returns a port of 127.0.0.1 nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// process is a program a test started, in a process group of its own.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	said *tailBuffer
	done chan struct{}
}

// tailBuffer keeps the last part of what a program said.
type tailBuffer struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.text.Len() > 64<<10 {
		b.text.Reset()
	}
	return b.text.Write(p)
}

func (b *tailBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// launch starts a program; the end of the test ends it.
func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, said: &tailBuffer{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.said, p.said
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = time.Second // a child of it may hold the pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.done); _ = cmd.Wait() }()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said at the end:\n%s", cmd.Path, p.said)
		}
	})
	return p
}

// kill ends the program and its children as a power cut does: SIGKILL.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// ended reports whether the program is over.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// listens waits until something accepts connections on a port.
func (p *process) listens(port int) {
	p.t.Helper()
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if c, err := net.Dial("tcp", loopback(port)); err == nil {
			c.Close()
			return
		}
		if p.ended() {
			p.t.Fatalf("%s ended before it listened:\n%s", p.cmd.Path, p.said)
		}
	}
	p.t.Fatalf("%s does not listen on port %d:\n%s", p.cmd.Path, port, p.said)
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// write makes a file of lines.
func write(t *testing.T, path string, lines ...string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// await waits for a condition and reports whether it came true.
func await(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); !cond(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
