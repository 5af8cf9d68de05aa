package inside_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"obu/can"
	"obu/internal/agent"
)

// buses are the interfaces of the comparison.
var buses = [...]string{"vcan0", "vcan1", "vcan2", "vcan3"}

// stepFor is how long each rate is held.
const stepFor = 4 * time.Second

// answerEvery is how many frames there are to an OBD answer.
const answerEvery = 10

// receiver is a process that is being measured.
type receiver struct {
	pid      int
	received func() uint64 // frames since its start, once it has caught up
	share    uint64        // it hears one frame in so many
	stop     func()
}

// TestReceiving prints CPU per million frames and loss of the whole agent and
// of candump beside it, at rising rates on the same four interfaces. Both hear
// the same frames, and what else the machine does costs both the same.
func TestReceiving(t *testing.T) {
	send := make([]int, len(buses))
	for i, name := range buses {
		vcan(t, name)
		send[i] = sender(t, name)
	}
	fmt.Println("| frames/s sent | obu decodes | candump -l: CPU s per million | lost | obu: CPU s per million | lost | obu / candump |")
	fmt.Println("|---|---|---|---|---|---|---|")
	for _, dbc := range []bool{true, false} {
		for _, rate := range []int{0, 1000, 4000, 16000} {
			measure(t, send, rate, dbc)
		}
	}
}

// measure holds a rate and prints what each receiver did.
func measure(t *testing.T, send []int, rate int, dbc bool) {
	share, decodes := uint64(answerEvery), "OBD answers, kernel filters"
	if dbc {
		share, decodes = 1, "all by DBC"
	}
	both := [...]*receiver{candump(t), unit(t, dbc, share)}
	time.Sleep(2 * time.Second) // they have come up
	var base [2]uint64
	var cpu [2]time.Duration
	for i, r := range both {
		base[i] = r.received()
	}
	for i, r := range both {
		cpu[i] = -cpuOf(t, r.pid)
	}
	sent, took := flood(t, send, rate)
	time.Sleep(time.Second) // they catch up
	for i, r := range both {
		cpu[i] += cpuOf(t, r.pid)
	}
	var lost [2]uint64
	var per [2]float64
	for i, r := range both {
		lost[i] = sent/r.share - min(r.received()-base[i], sent/r.share)
		per[i] = cpu[i].Seconds() * 1e6 / float64(max(sent, 1))
		r.stop()
	}
	if sent == 0 {
		fmt.Printf("| none | %s | %.3f s in %v | - | %.3f s | - | - |\n", decodes, cpu[0].Seconds(), took.Round(time.Second), cpu[1].Seconds())
		return
	}
	fmt.Printf("| %.0f | %s | %.1f | %d | %.1f | %d | %.2f |\n", float64(sent)/took.Seconds(), decodes, per[0], lost[0], per[1], lost[1], per[1]/per[0])
}

// candump starts can-utils' logger.
func candump(t *testing.T) *receiver {
	dir := t.TempDir()
	cmd := exec.Command("/bin/candump", append([]string{"-l"}, buses[:]...)...)
	cmd.Dir = dir
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop := func() {
		_ = cmd.Process.Signal(os.Interrupt) // an error says that it has ended
		_ = cmd.Wait()                       // by the signal
	}
	lines := func() (n uint64) {
		for _, file := range glob(dir, "*.log") {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			n += uint64(bytes.Count(b, []byte{'\n'}))
		}
		return n
	}
	first := true
	return &receiver{pid: cmd.Process.Pid, share: 1, stop: func() { stop(); os.RemoveAll(dir) }, received: func() uint64 {
		if first { // the log is buffered in the process
			first = false
			return 0
		}
		stop()
		return lines()
	}}
}

func glob(dir, pattern string) []string {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		panic(err) // the pattern is ours
	}
	return found
}

// unit starts the shipped binary, which only listens.
func unit(t *testing.T, dbc bool, share uint64) *receiver {
	dir := t.TempDir()
	extra := ""
	if dbc {
		file := filepath.Join(dir, "car.dbc")
		var text strings.Builder
		for id := range 40 {
			fmt.Fprintf(&text, "BO_ %d M%d: 8 X\n", 0x100+id, id)
			for s := range 4 {
				fmt.Fprintf(&text, " SG_ S%d : %d|16@1+ (0.1,0) [0|0] \"\" X\n", s, 16*s)
			}
		}
		if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		extra = ", dbc: [" + file + "]"
	}
	sources := "can:"
	for _, b := range buses {
		sources += fmt.Sprintf("\n  - {device: %s, obd: {enabled: false}%s}", b, extra)
	}
	cmd, socket := launch(t, fmt.Sprintf("%s\nbuffer: {dir: %s}\nuplink: {broker: %q}\nlog: {level: error}\n", sources, filepath.Join(dir, "store"), noBroker))
	await(t, socket, time.Minute, func(s *agent.Status) bool {
		for i := range s.Sources {
			if s.Sources[i].State != "running" {
				return false
			}
		}
		return len(s.Sources) == len(buses)
	})
	frames := func() (n uint64) {
		await(t, socket, time.Minute, func(s *agent.Status) bool {
			for i := range s.Sources {
				b, err := json.Marshal(s.Sources[i].Stats)
				var st can.Stats
				if err != nil || json.Unmarshal(b, &st) != nil {
					t.Fatalf("statistics: %s", b)
				}
				n += st.Frames
			}
			return true
		})
		return n
	}
	return &receiver{pid: cmd.Process.Pid, share: share, received: frames, stop: func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Error("obu:", err)
		}
		os.RemoveAll(dir)
	}}
}

// cpuOf sums the run time of a process's threads, to the nanosecond.
func cpuOf(t *testing.T, pid int) (sum time.Duration) {
	for _, file := range glob(fmt.Sprintf("/proc/%d/task", pid), "*/schedstat") {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		ns, err := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// sender opens a socket that receives nothing: what it sends costs no more
// than it must.
func sender(t *testing.T, name string) int {
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	index, err := os.ReadFile("/sys/class/net/" + name + "/ifindex")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(index)))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptCanRawFilter(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: n}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// flood sends frames at a rate, one after the other on each interface.
func flood(t *testing.T, fds []int, rate int) (sent uint64, took time.Duration) {
	var p [16]byte
	p[4] = 8
	begin := time.Now()
	for took < stepFor {
		want := uint64(took.Seconds() * float64(rate))
		for ; sent < want; sent++ {
			fd := fds[sent%uint64(len(fds))]
			if n := sent / uint64(len(fds)); n%answerEvery == 0 {
				binary.NativeEndian.PutUint32(p[:], 0x7E8)
				copy(p[8:], []byte{4, 0x41, 0x0C, byte(n >> 8), byte(n), 0xAA, 0xAA, 0xAA})
			} else {
				binary.NativeEndian.PutUint32(p[:], uint32(0x100+n%40))
				binary.LittleEndian.PutUint64(p[8:], n*0x9E3779B97F4A7C15)
			}
			if _, err := unix.Write(fd, p[:]); err != nil {
				t.Fatal(err)
			}
			if sent%256 == 255 && time.Since(begin) >= stepFor {
				break
			}
		}
		time.Sleep(time.Millisecond)
		took = time.Since(begin)
	}
	return sent, took
}
