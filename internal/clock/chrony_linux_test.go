package clock_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"obu/internal/clock"
)

// TestSockSample holds the bytes against chrony's struct sock_sample of a
// machine with a 64-bit time_t.
func TestSockSample(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log, _ := logged()
	clock.Chrony(path, log)(clock.Sample{System: time.Unix(1_800_000_000, 123_456_789), Offset: -1500 * time.Millisecond})
	b := make([]byte, 100)
	n, err := l.Read(b)
	if err != nil || n != 40 {
		t.Fatalf("%d bytes, %v", n, err)
	}
	var s struct {
		Sec, USec                 int64
		Offset                    float64
		Pulse, Leap, Padding, End int32
	}
	if err := binary.Read(bytes.NewReader(b[:n]), binary.NativeEndian, &s); err != nil {
		t.Fatal(err)
	}
	if s.Sec != 1_800_000_000 || s.USec != 123_456 || s.Offset != -1.5 || s.Pulse != 0 || s.Leap != 0 || s.End != 0x534f434b {
		t.Errorf("sent %+v", s)
	}
}

// TestChronyThatIsAwayIsSaidOnce: with what to do about it, and when it is back.
func TestChronyThatIsAwayIsSaidOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	log, said := logged()
	offer := clock.Chrony(path, log)
	for range 5 {
		offer(clock.Sample{System: time.Unix(1_800_000_000, 0)})
	}
	wantLog(t, said, "refclock SOCK "+path, 1)
	for range 2 { // chronyd restarts
		l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		offer(clock.Sample{System: time.Unix(1_800_000_000, 0)})
		offer(clock.Sample{System: time.Unix(1_800_000_001, 0)})
		if n, err := l.Read(make([]byte, 100)); n != 40 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		l.Close()
		os.Remove(path)
	}
	wantLog(t, said, "takes the time again", 1)
}

// TestChronydTakesTheTime shows it to a real chronyd, in a network of its own,
// which is told never to set the clock.
func TestChronydTakesTheTime(t *testing.T) {
	chronyd, err := exec.LookPath("chronyd")
	switch {
	case err != nil:
		t.Skip("skipped: chronyd is not installed (apt-get install chrony)")
	case os.Geteuid() != 0:
		t.Skip("skipped: chronyd starts as root only")
	}
	dir := t.TempDir()
	sock, logs := filepath.Join(dir, "obu.sock"), filepath.Join(dir, "refclocks.log")
	conf := filepath.Join(dir, "chrony.conf")
	text := fmt.Sprintf("refclock SOCK %s refid OBU precision 0.5 delay 1 poll 0\nlog refclocks\nlogdir %s\npidfile %s\ncmdport 0\nbindcmdaddress /\n",
		sock, dir, filepath.Join(dir, "pid"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(chronyd, "-x", "-d", "-u", "root", "-F", "0", "-f", conf)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Skipf("skipped: chronyd cannot be started in a network namespace: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { cmd.Process.Kill(); <-ended }()
	log, said := logged()
	offer := clock.Chrony(sock, log)
	const offset = 1250 * time.Millisecond
	for tries := 0; ; tries++ {
		time.Sleep(100 * time.Millisecond)
		if _, err := os.Stat(sock); err == nil {
			offer(clock.Sample{System: time.Now(), Offset: offset})
		}
		if raw, ok := rawOffset(logs); ok {
			if math.Abs(raw-offset.Seconds()) > 0.001 { // positive: the system clock is slow
				t.Errorf("chronyd took the offset as %v s, it is %v", raw, offset)
			}
			break
		}
		if tries == 300 {
			t.Fatalf("chronyd took nothing in 30 s; we said %q, it said:\n%s", said, out.String())
		}
	}
}

// rawOffset returns the raw offset of the first sample in chronyd's
// refclocks.log.
func rawOffset(path string) (float64, bool) {
	text, _ := os.ReadFile(path)
	for _, l := range strings.Split(string(text), "\n") {
		if f := strings.Fields(l); len(f) >= 8 && f[2] == "OBU" && f[6] != "-" {
			if raw, err := strconv.ParseFloat(f[6], 64); err == nil {
				return raw, true
			}
		}
	}
	return 0, false
}
