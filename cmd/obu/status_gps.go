package main

import (
	"fmt"
	"time"

	"obu/gps"
	"obu/internal/agent"
	"obu/telemetry"
)

// time says what time it is, who told it and how sure that is.
func (w rows) time(t *agent.TimeStatus) {
	if t.Wall == nil || t.UncertaintyS == nil {
		w.row("time", "unknown yet; it heals with the first fix")
		return
	}
	by, more := t.By, ""
	switch telemetry.AnchorBy(by) {
	case telemetry.AnchorGNSS:
		by = "GPS"
	case telemetry.AnchorNTP:
		by = "a time service"
	case telemetry.AnchorRTC:
		by = "the battery clock"
	case telemetry.AnchorReplay:
		by = "the recording"
	}
	if !t.Trusted {
		more = ", too unsure to go by"
	}
	if t.AnchorAgeS != nil && t.By != string(telemetry.AnchorReplay) {
		more += ", told " + seconds(*t.AnchorAgeS) + " ago"
	}
	w.row("time", "%s by %s, give or take %s%s", t.Wall.Format(time.RFC3339), by, seconds(*t.UncertaintyS), more)
	if wrong, next := wrongTime(t.Receiver, t.ReceiverOffS); wrong != "" {
		w.row("", "the receiver's%s", wrong[len("its"):])
		w.next(next)
	}
}

// reception says what the receiver has now and how well its antenna sees the
// sky; cured: a next step stands there already.
func (w rows) reception(src *agent.SourceReport, cured bool) {
	if src.Kind != "gps" || src.State != "running" {
		return
	}
	s := statsOf[gps.Stats](src)
	if s.Mode == "" { // no epoch yet, or an older agent
		return
	}
	line := "no fix"
	if s.Mode != telemetry.ModeNone.String() {
		line = s.Mode + " fix"
	}
	if s.Sats > 0 {
		line += ", " + times(s.Sats, "satellite") + " used"
	}
	if s.HorizontalM > 0 {
		line += fmt.Sprintf(", error about %.1f m", s.HorizontalM)
	}
	doubted := ""
	if s.Doubts != "" {
		line += "; it is doubtful: " + s.Doubts
		doubted = doubtNext
	}
	w.row("", "now: %s", line)
	w.next(doubted)
	f := judgeSky(finding{}, &s)
	if f.Text != "" {
		w.row("", "%s", f.Text[2:])
	}
	if !cured {
		w.next(f.Next)
	}
}
