package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"obu/gps"
	"obu/internal/agent"
	"obu/internal/config"
)

// TestCheckPPS: a device that is not there and one that does not pulse are said
// with what to do, of a running agent by its count.
func TestCheckPPS(t *testing.T) {
	g := &config.GPS{Name: "gps", PPS: filepath.Join(t.TempDir(), "pps0"), PPSEdge: "auto"}
	if f := checkPPS(t.Context(), nil, g); f.OK || !strings.Contains(f.Text, gps.ErrNoPPS.Error()) || !strings.Contains(f.Next, "ldattach") {
		t.Errorf("without a device: %+v", f)
	}
	status := func(up float64, pulses int) *agent.Status {
		return &agent.Status{UptimeS: up, Sources: []agent.SourceReport{{Kind: "pps",
			SourceStatus: agent.SourceStatus{Name: g.PPS, State: "running", Since: time.Now()}, Stats: agent.PPSStats{Pulses: pulses}}}}
	}
	if f := checkPPS(t.Context(), &watched{status(100, 50), status(103, 53)}, g); !f.OK || !strings.Contains(f.Text, "3 pulses in 3s") {
		t.Errorf("an agent that counts: %+v", f)
	}
	if f := checkPPS(t.Context(), &watched{status(100, 50), status(103, 50)}, g); f.OK || !strings.Contains(f.Next, "fix") {
		t.Errorf("an agent that counts none: %+v", f)
	}
}
