package can_test

import (
	"errors"
	"testing"

	"obu/can"
)

// TestLinkAsksTheKernel: every machine has an interface that is no controller.
func TestLinkAsksTheKernel(t *testing.T) {
	if _, err := can.NewLink("lo").State(); !errors.Is(err, can.ErrNotCAN) {
		t.Errorf("lo: %v", err)
	}
	if _, err := can.NewLink("nocan9").State(); !errors.Is(err, can.ErrNoDevice) {
		t.Errorf("nocan9: %v", err)
	}
	if err := can.NewLink("nocan9").Set(can.LinkSettings{Bitrate: 500_000}); !errors.Is(err, can.ErrNoDevice) {
		t.Errorf("nocan9: %v", err)
	}
}
