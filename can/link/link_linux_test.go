package link_test

import (
	"errors"
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
