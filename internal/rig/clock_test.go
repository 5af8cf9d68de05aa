package rig_test

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestSystemClock runs a machine whose battery's clock says 1970, and which has
// a parallel port for pulses. Its time is a count of instructions: waiting
// costs nothing, and what else the host does moves no pulse.
func TestSystemClock(t *testing.T) {
	devices := slices.Concat(counted, []string{"-rtc", "base=1970-01-01T00:00:00,clock=vm",
		"-chardev", "null,id=p0", "-device", "isa-parallel,chardev=p0"})
	m := boot(t, need(t), "now="+strconv.FormatInt(time.Now().Unix(), 10), devices, "/bin/inside.test", "-test.v", "-test.timeout=10m", "-test.run=^TestClock")
	code, err := m.wait(8 * time.Minute)
	t.Log(m.console())
	if err != nil || code != 0 {
		t.Errorf("inside: exit %d, %v", code, err)
	}
}
