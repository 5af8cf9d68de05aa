package inside_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"obu/can"
	"obu/can/frame"
)

// TestKernelRecordedAsCandumpDoes: `obu record`, ended with SIGTERM, and
// `candump -l` beside it write the same lines but for their times: classic
// frames, remote ones, CAN FD with its flags, error frames.
func TestKernelRecordedAsCandumpDoes(t *testing.T) {
	name, dir := vcan(t, "vcan0"), t.TempDir()
	theirs := exec.Command("/bin/candump", "-l", "-r", "4000000", name+",0:0,#FFFFFFFF") // its own buffer holds 270 frames
	theirs.Dir = dir
	ours := exec.Command("/bin/obu", "record", "--device", name, "--out", filepath.Join(dir, "rec"))
	var said lockedBuffer
	ours.Stderr = &said
	for _, c := range []*exec.Cmd{theirs, ours} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer c.Process.Kill() // it has ended unless the test fails
	}
	until(t, func() bool { return strings.Contains(said.String(), "msg=recording") && len(glob(dir, "*.log")) == 1 })
	time.Sleep(2 * time.Second) // candump makes its file before it binds

	frames := shapes(true)
	broken := can.Frame{ID: 0x0C, Error: true, Len: 8}
	broken.Data = [64]byte{0, 0x10, 2, 0, 0, 0, 96, 8}
	frames = append(frames, broken, can.Frame{ID: 0x321, FD: true, Flags: frame.FlagBRS}, can.Frame{ID: 0x321, FD: true, Flags: frame.FlagESI, Len: 8})
	bus := dial(t, name, nil)
	defer onOneProcessor(t)()
	for i := range 500 {
		f := frames[i%len(frames)]
		if f.Len > 0 {
			f.Data[0] = byte(i)
		}
		if err := bus.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second) // both have read them
	for c, s := range map[*exec.Cmd]os.Signal{theirs: os.Interrupt, ours: syscall.SIGTERM} {
		if err := c.Process.Signal(s); err != nil {
			t.Error(err)
		}
		_ = c.Wait() // candump ends by the signal
	}
	if !ours.ProcessState.Success() {
		t.Errorf("obu record: %v\n%s", ours.ProcessState, said.String())
	}
	want, got := logged(t, glob(dir, "*.log")), logged(t, glob(dir, "rec/can-*.log"))
	if len(want) != 500 || !slices.Equal(got, want) {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Errorf("line %d: %s, candump has %s", i+1, got[i], want[i])
				break
			}
		}
		t.Errorf("%d lines, candump has %d\n%s", len(got), len(want), said.String())
	}
	t.Logf("%d lines are equal; %s", len(got), strings.TrimSpace(said.String()))
}

// logged returns the lines of logs without their times. Kernels differ in
// whether they mark a CAN FD frame as one in its flags (4), too.
func logged(t *testing.T, files []string) (lines []string) {
	slices.Sort(files)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			_, line, _ = strings.Cut(strings.TrimSpace(line), ") ")
			if i := strings.Index(line, "##"); i >= 0 {
				line = line[:i+2] + string(line[i+2]&^4) + line[i+3:]
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// until waits for what a process does.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within a minute")
		}
	}
}

// lockedBuffer is what a process writes while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
