package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"obu/internal/agent"
	"obu/internal/config"
)

// socketOf finds the running agent's socket: the flag, else the configuration.
func socketOf(flag, configPath string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	path, err := findConfig(configPath)
	if err != nil {
		return config.Default().Status.Socket, nil
	}
	cfg, err := config.Load(path)
	if err != nil {
		return "", err
	}
	return cfg.Status.Socket, nil
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
			socket, err := socketOf(socket, configPath)
			if err != nil {
				return err
			}
			if asJSON {
				body, err := agent.Ask(cmd.Context(), socket, "status")
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(body)
				return err
			}
			var s agent.Status
			if err := ask(cmd.Context(), socket, "status", &s); err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), &s)
		},
	}
	configFlag(cmd, &configPath)
	cmd.Flags().StringVar(&socket, "socket", "", "unix socket of the agent (default: as configured)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "everything, as one JSON object")
	return cmd
}

func printStatus(out io.Writer, s *agent.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(key, format string, args ...any) {
		fmt.Fprintf(w, "%s\t"+format+"\n", append([]any{key}, args...)...)
	}
	simulated := ""
	if s.Simulated {
		simulated = " (simulated)"
	}
	row("unit", "%s%s, vehicle %s", s.Unit, simulated, orDash(s.Vehicle))
	row("agent", "%s, up %s, %.1f MB, %.1f s CPU", s.Version, seconds(s.UptimeS), float64(s.Process.ResidentBytes)/1e6, s.Process.CPUS)
	if s.Time.Wall != nil {
		row("time", "%s by %s, give or take %s", s.Time.Wall.Format(time.RFC3339), s.Time.By, seconds(*s.Time.UncertaintyS))
	} else {
		row("time", "unknown yet; it heals with the first fix")
	}
	for _, src := range s.Sources {
		line := src.State
		if src.Error != "" && src.State != "running" {
			line += ": " + src.Error
		}
		if src.Restarts > 0 {
			line += fmt.Sprintf(" (%d restarts)", src.Restarts)
		}
		row(src.Kind+" "+src.Name, "%s%s", line, statsLine(src.Stats))
		if src.Next != "" && src.State != "running" {
			row("", "next: %s", src.Next)
		}
	}
	if b := s.Buffer; b != nil {
		row("stored", "%d batches, %s, oldest %s", b.Batches, bytesText(float64(b.BacklogBytes)), seconds(b.OldestS))
		if b.RunwayS > 0 {
			row("runway", "%s until the oldest history must go", seconds(b.RunwayS))
		}
		row("commits", "%d, slowest %.0f ms, every %s", b.Commits, b.SlowestCommitMS, seconds(s.Flush.EveryS))
		row("gaps", "%d listed, %d batches evicted, %d values dropped in memory", b.Gaps, b.Evicted, s.Batcher.Drops)
		if b.Volatile {
			row("DISK", "does not take data: kept in memory. Check free space and the card")
		}
	}
	if u := s.Uplink; u != nil {
		if u.Connected {
			row("uplink", "connected for %s, round trip %s, %s/s", seconds(u.SessionS), seconds(u.RTTS), bytesText(u.AckRate))
		} else {
			row("uplink", "not connected: %s", orDash(u.LastError))
			if u.LastHint != "" {
				row("", "next: %s", u.LastHint)
			}
		}
		row("sent", "%d packets, %d acknowledged, %s on the wire", u.Published, u.Acked, bytesText(float64(u.WireOut+u.WireIn)))
	}
	for _, text := range s.Warnings {
		row("WARNING", "%s", text)
	}
	return w.Flush()
}

// statsLine shows the two counters of a source that a person looks at first.
func statsLine(stats any) string {
	m, ok := stats.(map[string]any) // decoded from the socket
	if !ok {
		return ""
	}
	line := ""
	for _, key := range [...]string{"state", "frames", "samples", "epochs", "valid", "clips", "waiting"} {
		switch v := m[key].(type) {
		case string:
			if v != "" {
				line += ", " + v
			}
		case float64: // a counter
			line += fmt.Sprintf(", %s %.0f", key, v)
		}
	}
	return line
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%.0f d", d.Hours()/24)
	case d >= time.Minute:
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}

func bytesText(n float64) string {
	for _, u := range [...]struct {
		of   float64
		name string
	}{{1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= u.of {
			return fmt.Sprintf("%.1f %s", n/u.of, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", n)
}
