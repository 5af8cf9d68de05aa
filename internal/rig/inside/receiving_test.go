package inside_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"obu/can"
	"obu/internal/agent"
)

// buses are the interfaces of the comparison.
var buses = [...]string{"vcan0", "vcan1", "vcan2", "vcan3"}

// A rate is held for costStep or limitStep, after a warm-up.
const (
	warmUp    = time.Second
	costStep  = 4 * time.Second
	limitStep = 2 * time.Second
)

// answerEvery is how many frames there are to an OBD answer.
const answerEvery = 10

// receiver is a process that is being measured.
type receiver struct {
	pid      int
	received func() uint64 // frames since its start, once it has caught up
	share    uint64        // it hears one frame in so many
	stop     func()
}

// senders makes the interfaces and a sender on each.
func senders(t *testing.T) []int {
	send := make([]int, len(buses))
	for i, name := range buses {
		vcan(t, name)
		send[i] = sender(t, name)
	}
	return send
}

// TestReceivingCost prints CPU and loss of the whole agent and of candump
// beside it, at rising rates on the same four interfaces. Both hear the same
// frames, and what else the machine does costs both the same.
func TestReceivingCost(t *testing.T) {
	send := senders(t)
	fmt.Println("| frames/s | obu decodes | candump -l: CPU ms/s | waits/s | lost | obu: CPU ms/s | waits/s | lost | obu / candump |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, dbc := range []bool{true, false} {
		for _, rate := range []int{0, 100, 250, 500, 1000, 4000, 16000} {
			m := measure(t, send, load{rate, costStep, false}, receivers(t, true, true, dbc))
			cost := func(i int) float64 { return m.cpu[i].Seconds() * 1000 / m.took.Seconds() }
			waits := func(i int) float64 { return float64(m.waits[i]) / m.took.Seconds() }
			ratio := "-"
			if rate > 0 {
				ratio = fmt.Sprintf("%.2f", cost(1)/cost(0))
			}
			fmt.Printf("| %.0f | %s | %.2f | %.0f | %d | %.2f | %.0f | %d | %s |\n", m.rate(), decodes(dbc),
				cost(0), waits(0), m.lost[0], cost(1), waits(1), m.lost[1], ratio)
		}
	}
}

// TestReceivingLimit prints what each receiver loses at rising rates, alone and
// beside the other.
func TestReceivingLimit(t *testing.T) {
	send := senders(t)
	fmt.Println("| frames/s | receivers, obu decodes all | candump -l: lost | obu: lost |")
	fmt.Println("|---|---|---|---|")
	for _, who := range [...]struct {
		name         string
		candump, obu bool
	}{{"candump", true, false}, {"obu", false, true}, {"both", true, true}} {
		for _, rate := range []int{36000, 48000, 64000, 96000} {
			m := measure(t, send, load{rate, limitStep, true}, receivers(t, who.candump, who.obu, true))
			lost := [2]string{"-", "-"}
			column := 0
			if !who.candump {
				column = 1
			}
			for _, n := range m.lost {
				lost[column] = strconv.FormatUint(n, 10)
				column++
			}
			fmt.Printf("| %.0f | %s | %s | %s |\n", m.rate(), who.name, lost[0], lost[1])
		}
	}
}

func decodes(dbc bool) string {
	if dbc {
		return "all by DBC"
	}
	return "OBD answers, kernel filters"
}

func receivers(t *testing.T, dump, obu, dbc bool) (all []*receiver) {
	if dump {
		all = append(all, candump(t))
	}
	if obu {
		share := uint64(answerEvery)
		if dbc {
			share = 1
		}
		all = append(all, unit(t, dbc, share))
	}
	return all
}

// measured is what each receiver did while a rate was held.
type measured struct {
	sent  uint64
	took  time.Duration
	cpu   []time.Duration
	waits []int64
	lost  []uint64
}

// rate is in frames a second.
func (m *measured) rate() float64 { return float64(m.sent) / m.took.Seconds() }

// measure holds a rate and ends the receivers.
func measure(t *testing.T, send []int, l load, all []*receiver) measured {
	m := measured{cpu: make([]time.Duration, len(all)), waits: make([]int64, len(all)), lost: make([]uint64, len(all))}
	time.Sleep(2 * time.Second) // they have come up
	base := make([]uint64, len(all))
	for i, r := range all {
		base[i] = r.received()
	}
	warm, _ := flood(t, send, load{l.rate, warmUp, l.first})
	for i, r := range all {
		m.cpu[i], m.waits[i] = -cpuOf(t, r.pid), -waitsOf(t, r.pid)
	}
	m.sent, m.took = flood(t, send, l)
	for i, r := range all {
		m.cpu[i] += cpuOf(t, r.pid)
		m.waits[i] += waitsOf(t, r.pid)
	}
	time.Sleep(time.Second) // they catch up
	for i, r := range all {
		share := warm/r.share + m.sent/r.share
		m.lost[i] = share - min(r.received()-base[i], share)
		r.stop()
	}
	return m
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

// waitsOf counts how often the threads of a process gave the processor up to
// wait: each costs a system call and two changes of process.
func waitsOf(t *testing.T, pid int) (sum int64) {
	for _, file := range glob(fmt.Sprintf("/proc/%d/task", pid), "*/status") {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(b)) {
			if word, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, err := strconv.ParseInt(strings.TrimSpace(word), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
		}
	}
	return sum
}
