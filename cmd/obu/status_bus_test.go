package main

import (
	"strings"
	"testing"

	"obu/can"
	"obu/internal/agent"
)

// TestStatusOfABus: what is wrong with a bus is said with its next step, and
// nothing where all is well or not known.
func TestStatusOfABus(t *testing.T) {
	off := can.Controller{State: can.ControllerBusOff, ForS: 12}
	passive := can.Controller{State: can.ControllerPassive, ForS: 70, TXErrors: 136, RXErrors: 4}
	deaf := can.Controller{Errors: can.ErrorCounts{NoACKs: 3}}
	for name, tt := range map[string]struct {
		stats can.Stats
		want  []string // each of them; none: no next step
	}{
		"well":          {can.Stats{Frames: 9, BacklogS: 2.3}, nil},
		"unknown":       {can.Stats{Frames: 9}, nil},
		"bus-off":       {can.Stats{Controller: off}, []string{"controller bus-off for 12 s", "next:", "restart-ms 1000"}},
		"passive":       {can.Stats{Controller: passive}, []string{"controller passive for 1 min 10 s", "sending 136, receiving 4", "next:", "120 ohm"}},
		"nobody there":  {can.Stats{Controller: deaf}, []string{"next:", "acknowledges"}},
		"someone there": {can.Stats{Controller: deaf, Responses: 1}, []string{"since start: not acknowledged 3×\n"}},
		"recovered": {can.Stats{Controller: can.Controller{Errors: can.ErrorCounts{BusOffs: 2, Restarts: 2, Passives: 1, Overruns: 7}}},
			[]string{"since start: bus-off 2×, restarted 2×, error-passive 1×, overrun 7×\n"}},
		"asleep":       {can.Stats{State: "asleep", SearchInS: 2520}, []string{"asleep", "asked again in 42 min, sooner when the bus speaks"}},
		"small buffer": {can.Stats{BacklogS: 0.12}, []string{"next:", "0.1 s of a full bus", "net.core.rmem_max=8388608"}},
	} {
		got := shown(t, agent.Status{Sources: []agent.SourceReport{source("can", tt.stats, agent.SourceStatus{})}})
		for _, w := range tt.want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: no %q in\n%s", name, w, got)
			}
		}
		if tt.want == nil && (strings.Contains(got, "next:") || strings.Contains(got, "controller")) {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}
