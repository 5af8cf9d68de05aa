package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"obu/gps"
	"obu/internal/agent"
	"obu/internal/config"
)

// askStatus asks the agent on socket, or the one that the configuration names,
// and returns its answer as it came. What is wrong with the configuration is
// told beside it.
func askStatus(ctx context.Context, socket, configPath string, warnings io.Writer) ([]byte, error) {
	if socket != "" {
		return agent.Ask(ctx, socket, "status")
	}
	usual := config.Default()
	p, err := findPresent(configPath)
	if err != nil {
		p.Config = &usual
	}
	body, err := agent.Ask(ctx, p.Status.Socket, "status")
	if err != nil && p.mistake != nil {
		body, err = agent.Ask(ctx, usual.Status.Socket, "status")
	}
	if err == nil {
		p.warn(warnings)
	}
	return body, p.blame(err)
}

func statusCommand() *command {
	var socket, configPath string
	var asJSON bool
	cmd := &command{
		Use:     "status",
		Short:   "what the running agent says of itself",
		Example: "  obu status\n  obu status --json | jq .uplink",
		Args:    atMost(0),
		RunE: func(cmd *command, _ []string) error {
			body, err := askStatus(cmd.Context(), socket, configPath, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if asJSON {
				_, err = cmd.OutOrStdout().Write(body)
				return err
			}
			var s agent.Status
			if err := decodeAnswer(body, &s); err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), &s)
		},
	}
	configFlag(cmd, &configPath)
	cmd.Flags().StringVar(&socket, "socket", "", "unix `SOCKET` of the agent (default: as configured)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "everything, as one JSON object")
	return cmd
}

// rows writes a table of a word and a text.
type rows struct{ *tabwriter.Writer }

func (w rows) row(key, format string, args ...any) {
	fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{key}, args...)...)
}

func (w rows) next(text string) {
	if text != "" {
		w.row("", "next: %s", text)
	}
}

func printStatus(out io.Writer, s *agent.Status) error {
	w := rows{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	simulated := ""
	if s.Simulated {
		simulated = " (simulated)"
	}
	w.row("unit", "%s%s, vehicle %s, fleet %s", s.Unit, simulated, orDash(s.Vehicle), orDash(s.Fleet))
	w.row("agent", "%s, up %s, %.1f MB, %.1f s CPU", s.Version, seconds(s.UptimeS), float64(s.Process.ResidentBytes)/1e6, s.Process.CPUS)
	w.time(&s.Time)
	w.private(s.Private)
	for i := range s.Sources {
		w.source(&s.Sources[i], s.UptimeS)
	}
	w.buffer(s)
	w.uplink(s.Uplink)
	w.budget(&s.Budget)
	for _, text := range warningsOf(s) {
		w.row("WARNING", "%s", text)
	}
	return w.Flush()
}

// private says that positions are left out, and why.
func (w rows) private(p *agent.PrivateStatus) {
	if p == nil {
		return
	}
	line := "by gps.private"
	if p.By == "command" {
		line = "by command"
		if p.Since != nil {
			line = "since " + p.Since.Format(time.RFC3339)
		}
		if p.Until != nil {
			line += " until " + p.Until.Format(time.RFC3339)
		}
	}
	w.row("position", "private %s: neither stored nor sent, %s left out", line, times(int(p.Dropped), "position"))
}

func (w rows) source(src *agent.SourceReport, uptimeS float64) {
	line := src.State
	if src.Error != "" && src.State != "running" {
		line += ": " + src.Error
	}
	if src.Restarts > 0 {
		line += fmt.Sprintf(" (away %s, %s to open it again)", times(src.Restarts, "time"), times(src.Attempts, "try"))
	}
	w.row(src.Kind+" "+src.Name, "%s%s", line, statsLine(src.Stats))
	next := nextOf(src, uptimeS)
	w.next(next)
	w.reception(src, next != "")
	w.leftOut(src)
	w.ecus(src)
}

func (w rows) buffer(s *agent.Status) {
	b := s.Buffer
	if b == nil {
		return
	}
	if b.Batches == 0 {
		w.row("stored", "nothing waits")
	} else {
		w.row("stored", "%s, %s, oldest %s", times(b.Batches, "batch"), bytesText(float64(b.BacklogBytes)), seconds(b.OldestS))
	}
	if b.RunwayS > 0 {
		free := ""
		if b.DiskFree >= 0 {
			free = ", disk has " + bytesText(float64(b.DiskFree)) + " free"
		}
		until := seconds(b.RunwayS) + " until the oldest history must go"
		if usedUp(b.TelemetryUsed, b.TelemetryQuota) {
			until = "telemetry_quota is used up: the oldest history goes"
		}
		if usedUp(b.MediaUsed, b.MediaQuota) {
			until += "; media_quota is used up: the oldest clips go"
		}
		w.row("runway", "%s%s", until, free)
	}
	w.row("commits", "%d, slowest %s, every %s", b.Commits, seconds(b.SlowestCommitMS/1000), seconds(s.Flush.EveryS))
	if line := diskLine(s.Disk); line != "" {
		w.row("disk", "%s", line)
	}
	if b.Salvaged > 0 || b.Salvaging > 0 {
		more := ""
		if b.Salvaging > 0 {
			more = ", not through yet"
		}
		w.row("salvaged", "%s moved back from stores that were set aside%s", times(int(b.Salvaged), "batch"), more)
	}
	expired := ""
	if b.Expired > 0 {
		expired = fmt.Sprintf(", %d expired", b.Expired)
	}
	w.row("gaps", "%d listed since start, %d not delivered yet; %s evicted%s, %s dropped in memory", b.GapsListed, b.Gaps,
		times(int(b.Evicted), "batch"), expired, times(int(s.Batcher.Drops), "value"))
}

// usedUp reports whether so little of a quota is left that the next batches
// take the place of others.
func usedUp(used, quota int64) bool { return quota > 0 && used > quota-max(quota/32, 512<<10) }

func (w rows) uplink(u *agent.UplinkStatus) {
	if u == nil {
		return
	}
	if u.Connected {
		line := "connected for " + seconds(u.SessionS)
		if u.Acked > 0 {
			line += ", round trip " + seconds(u.RTTS)
		}
		if u.AckRate > 0 {
			line += ", link measured at " + bytesText(u.AckRate) + "/s"
		}
		w.row("uplink", "%s", line)
	} else {
		w.row("uplink", "not connected: %s", orDash(u.LastError))
		w.next(u.LastHint)
	}
	w.row("sent", "%s, %d acknowledged, %s on the wire", times(int(u.Published), "packet"), u.Acked, bytesText(float64(u.WireOut+u.WireIn)))
	if u.Awaiting > 0 {
		w.row("receipt", "%s for the cloud's receipt", waits(u.Awaiting))
	}
}

// lowDisk is the free space under which the next commit may fail: a database
// grows in steps of megabytes.
const lowDisk = 16 << 20

// diskCure is what to do about a disk that takes no data.
const diskCure = "check free space (df -h) and the card (dmesg | tail)"

// warningsOf is what a person should know and would not see in the figures,
// each with its next step.
func warningsOf(s *agent.Status) []string {
	out := append([]string(nil), s.Warnings...)
	const disk = "next: " + diskCure
	if b := s.Buffer; b != nil {
		if b.Volatile {
			out = append(out, fmt.Sprintf("the disk has taken no data for %s%s: what is read is kept in memory, bounded, and a power cut loses it; %s",
				seconds(b.VolatileS), because(b.VolatileError), disk))
		}
		if b.DiskFree >= 0 && b.DiskFree < lowDisk && !b.Volatile {
			out = append(out, fmt.Sprintf("the disk has %s free, less than the quotas want; %s", bytesText(float64(b.DiskFree)), disk))
		}
		if b.MediaFailing {
			out = append(out, fmt.Sprintf("the disk has taken no clips for %s%s: they stay on the camera's card; %s",
				seconds(b.MediaFailingS), because(b.MediaError), disk))
		}
	}
	if d := s.Disk; d != nil {
		if what := wornOut(d.LifeUsed, d.PreEOL); what != "" {
			out = append(out, what+"; next: "+wearCure)
		}
	}
	for _, t := range troublesOf(s) {
		out = append(out, t.text+"; next: "+t.next)
	}
	return out
}

// heardBy is how long after its start a receiver has been heard.
const heardBy = 15.0

// nextOf says what to do about a source: what its supervisor says while it is
// away, and what its counters show while it runs.
func nextOf(src *agent.SourceReport, uptimeS float64) string {
	if src.State != "running" {
		return src.Next
	}
	m, ok := src.Stats.(map[string]any) // decoded from the socket
	if !ok {
		return ""
	}
	if src.Kind == "can" {
		return nextOfBus(m)
	}
	count := func(key string) float64 { n, _ := m[key].(float64); return n }
	up := uptimeS
	if open := time.Since(src.Since).Seconds(); open >= 0 { // else the clock was set back meanwhile
		up = min(up, open)
	}
	silent, _ := m["silent"].(bool)
	switch {
	case src.Kind == "pps" && count("pulses") == 0 && up > heardBy:
		return "no pulse once a second: check the wire, and that the receiver has its pulse switched on (many pulse only with a fix); sudo cat /sys/class/pps/*/assert shows the last one"
	case src.Kind != "gps":
		return ""
	case silent, count("bytes") == 0 && up > heardBy:
		return "it is silent: check its power, its TX wire to our RX, and that gps.device names this receiver; where gpsd is read, `cgps` shows what it has"
	case count("garbled") > 0 && count("sentences") == 0 && statsOf[gps.Stats](src).Rejected.Bare():
		return checksumNext
	case count("garbled") > 0 && count("sentences") == 0:
		return "bytes arrive but no NMEA sentence: set gps.baud to auto, and the receiver to NMEA"
	case count("sentences") > 0 && count("epochs") == 0 && up > heardBy:
		return "it speaks, and of no position: switch on its sentences RMC and GGA; where gpsd is read, `cgps` shows whether it has a receiver"
	case count("epochs") > 0 && count("valid") == 0:
		return "no fix yet: give the antenna a free view of the sky"
	}
	return ""
}

// statsLine shows the two counters of a source that a person looks at first.
func statsLine(stats any) string {
	m, ok := stats.(map[string]any) // decoded from the socket
	if !ok {
		return ""
	}
	line := ""
	if s, ok := m["silent_s"].(float64); ok {
		line = ", silent for " + seconds(s)
	}
	for _, key := range [...]string{"state", "frames", "samples", "epochs", "valid", "pulses", "clips", "waiting"} {
		switch v := m[key].(type) {
		case string:
			if v != "" {
				line += ", " + v
			}
		case float64: // a counter
			line += fmt.Sprintf(", %s %.0f", key, v)
		}
	}
	return line + searchLine(busStats(m).SearchInS) + controllerLine(m)
}
