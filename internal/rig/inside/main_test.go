package inside_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.einride.tech/can/pkg/candevice"
)

// inMachine says that this process runs in a machine of the rig.
func inMachine() bool {
	b, err := os.ReadFile("/proc/cmdline")
	return err == nil && strings.Contains(string(b), "rig=1")
}

func TestMain(m *testing.M) {
	if !inMachine() {
		fmt.Println("skipped: these tests run in a machine of the rig (make rig)")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ip runs busybox's ip.
func ip(t testing.TB, args string) {
	t.Helper()
	if out, err := exec.Command("/bin/busybox", append([]string{"ip"}, strings.Fields(args)...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// vcan makes a virtual interface that is up, and takes it away at the end.
func vcan(t testing.TB, name string) string {
	t.Helper()
	ip(t, "link add "+name+" type vcan")
	t.Cleanup(func() { _ = exec.Command("/bin/busybox", "ip", "link", "del", name).Run() }) // the test may have removed it
	ip(t, "link set "+name+" mtu 72 up")
	return name
}

// controllers brings the two emulated controllers, which share a bus, up at
// 500 kbit/s and down again at the end.
func controllers(t testing.TB) (string, string) {
	t.Helper()
	for _, name := range [...]string{"can0", "can1"} {
		d, err := candevice.New(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.SetBitrate(500_000); err != nil {
			t.Fatal(err)
		}
		if err := d.SetUp(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.SetDown(); err != nil {
				t.Error(err)
			}
		})
	}
	return "can0", "can1"
}
