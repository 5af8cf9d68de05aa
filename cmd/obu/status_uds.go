package main

import (
	"fmt"

	"obu/internal/agent"
)

// ecus shows how ECUs take being asked by UDS: what they refused, and what to do.
func (w rows) ecus(src *agent.SourceReport) {
	m, ok := src.Stats.(map[string]any) // decoded from the socket
	if !ok || src.Kind != "can" {
		return
	}
	for _, e := range busStats(m).UDS {
		line := fmt.Sprintf("asked by UDS at %s: %d answers, %d refused, %d without an answer", e.Request, e.Answers, e.Refused, e.Timeouts)
		if e.Codes > 0 {
			line += ", " + times(e.Codes, "trouble code")
		}
		w.row("ecu "+e.Name, "%s", line)
		for _, l := range e.Left {
			w.row("", "%s is left alone in this drive, the ECU said %s", l.What, l.Said)
			w.next(l.Next)
		}
		if e.LeftMore > 0 {
			w.row("", "and %d more", e.LeftMore)
		}
		if e.PutOff > 0 {
			w.row("", "%s without a value: asked again after %s at the latest", times(e.PutOff, "question"), seconds(e.PutOffS))
		}
		if e.Trouble != "" {
			w.row("", "%s", e.Trouble)
		}
	}
}
