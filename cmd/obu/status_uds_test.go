package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"obu/can"
	"obu/internal/agent"
)

// TestStatusSaysWhatECUsRefuse: what is left alone, what the ECU said, and what
// to do about it.
func TestStatusSaysWhatECUsRefuse(t *testing.T) {
	s := can.Stats{UDS: []can.ECUStats{{Name: "bms", Request: "7E4", Requests: 12, Answers: 9, Refused: 2, Timeouts: 1, Codes: 1, LeftMore: 3, PutOff: 2, PutOffS: 240,
		Left:    []can.LeftECU{{What: "DID F190", Said: "security-access-denied", Next: "remove it"}},
		Trouble: "DID 0101 has 2 bytes of data, the configuration says 6"}}}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var stats map[string]any // as it comes through the socket
	if err := json.Unmarshal(b, &stats); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	st := &agent.Status{Sources: []agent.SourceReport{{Kind: "can", Stats: stats}}}
	if err := printStatus(&out, st); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ecu bms", "at 7E4: 9 answers, 2 refused, 1 without an answer, 1 trouble code", "DID F190 is left alone in this drive, the ECU said security-access-denied",
		"next: remove it", "and 3 more", "2 questions without a value: asked again after 4 min at the latest", "2 bytes of data"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestStatusSaysWhatDBCFilesLost: how much of a bus's DBC files is left out, and
// the first of it, also while the bus is away.
func TestStatusSaysWhatDBCFilesLost(t *testing.T) {
	for _, state := range []string{"running", "waiting"} {
		s := can.Stats{LeftOut: []string{"car.dbc:12: message Engine has a signal Speed already (line 11): this one was left out", "car.dbc:14: x"}, LeftOutMore: 5}
		text := shown(t, agent.Status{Sources: []agent.SourceReport{{Kind: "can", Stats: s, SourceStatus: agent.SourceStatus{Name: "can0", State: state}}}})
		for _, want := range []string{"left out of its DBC files in 7 places, the first:\n", "car.dbc:12: message Engine has a signal Speed already",
			"next: if these are needed correct the file in the tool that wrote it; obu status --json lists more"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %q in\n%s", state, want, text)
			}
		}
	}
	if text := shown(t, agent.Status{Sources: []agent.SourceReport{{Kind: "can", Stats: can.Stats{}, SourceStatus: agent.SourceStatus{State: "running"}}}}); strings.Contains(text, "DBC") {
		t.Errorf("speaks of DBC files:\n%s", text)
	}
}
