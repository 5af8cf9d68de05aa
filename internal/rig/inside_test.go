package rig_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// controllers are two emulated SJA1000 on one bus: can0 and can1.
func controllers() []string {
	return []string{"-object", "can-bus,id=bus0", "-device", "kvaser_pci,canbus=bus0", "-device", "kvaser_pci,canbus=bus0"}
}

// usbReceiver is a serial port, ttyS1, whose cable ends in a USB adapter that can be
// pulled out.
func usbReceiver(t *testing.T) []string {
	return append(cable(t, "c0", "c1"), "-serial", "chardev:c1",
		"-device", "qemu-xhci,id=usb", "-device", "usb-serial,id=receiver,bus=usb.0,chardev=c0")
}

// serialCable is a cable between two serial ports, ttyS2 and ttyS3.
func serialCable(t *testing.T) []string {
	return append(cable(t, "c2", "c3"), "-serial", "chardev:c2", "-serial", "chardev:c3")
}

// cable connects two character devices of the machine.
func cable(t *testing.T, a, b string) []string {
	path := filepath.Join(t.TempDir(), "cable")
	return []string{"-chardev", "socket,id=" + a + ",server=on,wait=off,path=" + path, "-chardev", "socket,id=" + b + ",reconnect=1,path=" + path}
}

// insideTests are the tests that need nothing of the host.
const insideTests = "Kernel|Controller|Interface|Dial|Transmit|WholeUnit|USB"

// TestInside runs the tests of package inside.
func TestInside(t *testing.T) {
	r := need(t)
	m := boot(t, r, "", slices.Concat(controllers(), usbReceiver(t), serialCable(t)), "/bin/inside.test", "-test.v", "-test.timeout=5m", "-test.run="+insideTests)
	code, err := m.wait(8 * time.Minute)
	console := m.console()
	t.Log(console)
	if err != nil || code != 0 {
		t.Errorf("inside: exit %d, %v\n%s", code, err, failures(console))
	}
}

// failures returns the lines of a test's output that say what failed: the end of
// a long output is what is looked at first.
func failures(console string) string {
	var out []string
	for _, line := range strings.Split(console, "\n") {
		if strings.Contains(line, "--- FAIL") || strings.Contains(line, "panic: ") || strings.Contains(line, "_test.go:") && !strings.Contains(line, "level=") {
			out = append(out, line)
		}
	}
	return strings.Join(out[max(0, len(out)-40):], "\n")
}

// counted makes the machine's time a count of its instructions, one each
// nanosecond on one processor: what else the host does changes no figure. Time
// in which the machine has nothing to do passes at once.
var counted = []string{"-icount", "shift=0,sleep=off", "-smp", "1"}

// TestReceiving compares the agent with candump on the same four interfaces;
// OBU_RIG_TIME=emulated measures time as the emulator takes it.
func TestReceiving(t *testing.T) {
	if os.Getenv("OBU_RIG") != "bench" {
		t.Skip("not asked for: run make rigbench")
	}
	if _, err := exec.LookPath("candump"); err != nil {
		t.Skip("skipped: no candump (apt-get install can-utils)")
	}
	devices := counted
	if os.Getenv("OBU_RIG_TIME") == "emulated" {
		devices = nil
	}
	for _, name := range [...]string{"Cost", "Limit"} {
		t.Run(name, func(t *testing.T) {
			m := boot(t, need(t), "", devices, "/bin/inside.test", "-test.v", "-test.timeout=30m", "-test.run=^TestReceiving"+name+"$")
			code, err := m.wait(30 * time.Minute)
			t.Log(m.console())
			if err != nil || code != 0 {
				t.Errorf("inside: exit %d, %v", code, err)
			}
		})
	}
}
