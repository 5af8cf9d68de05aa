package inside_test

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"obu/internal/agent"
	"obu/internal/virtual"
)

// ask has the host do something to the machine (QMP).
func ask(words string) { fmt.Println("\nRIG ASK " + words) }

// TestInterfaceOfUnitGoesAway takes the bus of a running unit down and away: the
// unit says so, and reads on when it is back.
func TestInterfaceOfUnitGoesAway(t *testing.T) {
	name := vcan(t, "vcan0")
	drive(t, name)
	socket := startUnit(t, canSource(name), noBroker, t.TempDir())
	await(t, socket, time.Minute, running)
	for _, step := range []struct{ away, back []string }{
		{[]string{"link set vcan0 down"}, []string{"link set vcan0 up"}},
		{[]string{"link del vcan0"}, []string{"link add vcan0 type vcan", "link set vcan0 mtu 72 up"}},
	} {
		for _, c := range step.away {
			ip(t, c)
		}
		await(t, socket, time.Minute, waits)
		for _, c := range step.back {
			ip(t, c)
		}
		drive(t, name) // the car's own socket went with the interface
		await(t, socket, time.Minute, running)
		before := values(t, socket)
		await(t, socket, time.Minute, func(s *agent.Status) bool { return s.Batcher.Values > before })
	}
}

// TestUSBReceiverUnplugged pulls the GPS out and plugs it in again.
func TestUSBReceiverUnplugged(t *testing.T) {
	const car, unit = "/dev/ttyS1", "/dev/ttyUSB0"
	if out, err := exec.Command("/bin/busybox", "stty", "-F", car, "raw", "9600").CombinedOutput(); err != nil {
		t.Fatalf("stty: %v\n%s", err, out)
	}
	line, err := os.OpenFile(car, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	v := virtual.New(virtual.Config{Seed: 7, Clock: system(t), Start: time.Now().UTC()})
	go func() { _ = v.WriteGPS(t.Context(), line, virtual.GPSOptions{Latency: 80 * time.Millisecond}) }() // ends with the test
	socket := startUnit(t, "gps: {device: "+unit+", baud: 9600}", noBroker, t.TempDir())
	reads := func() {
		t.Helper()
		await(t, socket, time.Minute, running)
		before := values(t, socket)
		await(t, socket, time.Minute, func(s *agent.Status) bool { return s.Batcher.Values > before })
	}
	reads()
	for range 2 {
		ask("device_del id=receiver")
		await(t, socket, time.Minute, waits)
		ask("device_add driver=usb-serial id=receiver bus=usb.0 chardev=c0")
		reads()
	}
}
