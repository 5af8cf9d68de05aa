package main

import (
	"fmt"
	"strings"
	"time"

	"obu/gps"
	"obu/internal/agent"
	"obu/telemetry"
)

// timeBy are plain words for who told the time.
var timeBy = map[string]string{
	string(telemetry.AnchorGNSS): "GPS", string(telemetry.AnchorNTP): "a time service", string(telemetry.AnchorRTC): "the battery clock",
	string(telemetry.AnchorEstimate): "an estimate", string(telemetry.AnchorReplay): "the recording",
}

// time says what time it is, who told it and how sure that is.
func (w rows) time(t *agent.TimeStatus) {
	if t.Wall == nil || t.UncertaintyS == nil {
		w.row("time", "unknown yet; it heals with the first fix")
		return
	}
	by, known := timeBy[t.By]
	if !known {
		by = orDash(t.By)
	}
	line := fmt.Sprintf("%s by %s, give or take %s", t.Wall.Format(time.RFC3339), by, seconds(*t.UncertaintyS))
	if !t.Trusted {
		line += ", too unsure to go by"
	}
	if t.AnchorAgeS != nil && t.By != string(telemetry.AnchorReplay) {
		line += ", told " + seconds(*t.AnchorAgeS) + " ago"
	}
	w.row("time", "%s", line)
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
	if s.Doubts != "" {
		line += "; it is doubtful: " + s.Doubts
	}
	w.row("", "now: %s", line)
	if s.Doubts != "" {
		w.next(doubtNext)
	}
	f := judgeSky(finding{}, s.Sky.Total(), s.Antenna)
	if f.Text != "" {
		w.row("", "%s", strings.TrimPrefix(f.Text, "; "))
	}
	if !cured {
		w.next(f.Next)
	}
}
