package main

import (
	"errors"
	"log/slog"
	"slices"

	"obu/can"
	"obu/can/dbc"
	"obu/internal/config"
)

// maxDatabaseWarnings bounds what is logged of one bus's DBC files.
const maxDatabaseWarnings = 20

// readDatabases reads the DBC files of each bus of the configuration. Those it
// could read are returned beside the error about the others.
func readDatabases(cfg *config.Config, log *slog.Logger) (map[string][]can.Database, error) {
	out := make(map[string][]can.Database)
	var wrong []error
	for _, c := range cfg.CAN {
		n := 0
		warn := func(w dbc.Warning) {
			if n++; n <= maxDatabaseWarnings {
				log.Warn("part of a DBC file is left out", "bus", c.Device, "problem", w.Error())
			}
		}
		if found := can.ReadDatabases(c.DBC, warn, func(err error) { wrong = append(wrong, err) }); len(found) > 0 {
			out[c.Device] = found
		}
		if n > maxDatabaseWarnings {
			log.Warn("more of the DBC files is left out; `obu decode can --dbc` lists it", "bus", c.Device, "lines", n-maxDatabaseWarnings)
		}
	}
	if len(wrong) == 0 {
		idleRules(cfg, out, log)
	}
	return out, errors.Join(wrong...)
}

// idleRules warns of entries of signals that are about no signal.
func idleRules(cfg *config.Config, all map[string][]can.Database, log *slog.Logger) {
	for i, c := range cfg.Signals {
		rule, used := can.Rule{Path: c.Path}, false
		for _, databases := range all {
			for _, d := range databases {
				for _, m := range d.Decoder.File().Messages {
					used = used || slices.ContainsFunc(m.Signals, func(s *dbc.Signal) bool { return rule.Match(s.Telemetry.Name) })
				}
			}
		}
		if !used {
			log.Warn("no signal of the DBC files has this name; obu decode can --dbc prints the names", "entry of signals", i+1, "path", c.Path)
		}
	}
}

// checkDatabase judges a DBC file as `obu run` will read it.
func checkDatabase(path string) finding {
	f, err := can.ReadDatabase(path)
	if err != nil {
		return failedWith("then restart the agent: systemctl restart obu", "%v", err)
	}
	signals := 0
	for _, m := range f.Messages {
		signals += len(m.Signals)
	}
	if n := len(f.Warnings) + f.More; n > 0 {
		return passed("%d messages, %d signals; left out in %d places, the first: %v", len(f.Messages), signals, n, f.Warnings[0])
	}
	return passed("%d messages, %d signals", len(f.Messages), signals)
}
