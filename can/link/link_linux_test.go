package link_test

import (
	"errors"
	"net"
	"testing"

	"obu/can/link"
)

// TestAsksTheKernel: every machine has an interface that is no controller.
func TestAsksTheKernel(t *testing.T) {
	if _, err := link.New("lo").State(); !errors.Is(err, link.ErrNotCAN) {
		t.Errorf("lo: %v", err)
	}
	if _, err := link.New("nocan9").State(); !errors.Is(err, link.ErrNoDevice) {
		t.Errorf("nocan9: %v", err)
	}
	if err := link.New("nocan9").Set(link.Settings{Bitrate: 500_000}); !errors.Is(err, link.ErrNoDevice) {
		t.Errorf("nocan9: %v", err)
	}
}

// TestCountsFrames: what an interface receives is counted, whoever reads it.
func TestCountsFrames(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil || lo.Flags&net.FlagUp == 0 {
		t.Skipf("lo: %v, %v", lo, err)
	}
	before, _ := link.StateOf(lo.Index) // ErrNotCAN, and what it has received
	c, err := net.Dial("udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 10 {
		c.Write(make([]byte, 100)) // nobody takes them
	}
	after, _ := link.StateOf(lo.Index)
	if after.Frames < before.Frames+5 || after.Bytes < before.Bytes+1000 {
		t.Errorf("%+v, then %+v", before, after)
	}
}
