package main

import (
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"obu/can"
	"obu/can/dbc"
	"obu/can/j1939"
	"obu/internal/config"
	"obu/telemetry"
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
		for _, r := range idleRules(cfg, out) {
			log.Warn(r.String(), "next", r.next())
		}
	}
	return out, errors.Join(wrong...)
}

// idleRule is an entry of signals that is about no signal.
type idleRule struct {
	config.Origin
	entry int // counted from 1
	path  string
	near  []string
}

func (r *idleRule) String() string {
	text := "entry " + strconv.Itoa(r.entry) + " of signals is about no signal: " + r.path
	if r.File != "" {
		text = r.File + ":" + strconv.Itoa(r.Line) + ": " + text
	}
	return text
}

func (r *idleRule) next() string {
	if len(r.near) > 0 {
		return "if you mean " + strings.Join(r.near, " or ") + ", write that"
	}
	return "obu decode can prints the names, with --dbc, --obd or --j1939"
}

// idleRules returns the entries of signals that are about no signal.
func idleRules(cfg *config.Config, all map[string][]can.Database) (idle []idleRule) {
	var names []string
	for i, c := range cfg.Signals {
		if names == nil {
			names = signalNames(cfg, all)
		}
		rule := can.Rule{Path: c.Path}
		if !slices.ContainsFunc(names, rule.Match) {
			idle = append(idle, idleRule{cfg.SignalOrigin(i), i + 1, c.Path, config.Nearest(c.Path, names)})
		}
	}
	return idle
}

// signalNames returns the names of the signals that the buses of a
// configuration may bring. Any of them may bring answers of OBD.
func signalNames(cfg *config.Config, all map[string][]can.Database) (names []string) {
	for _, s := range telemetry.Signals() {
		names = append(names, s.Name)
	}
	for _, c := range cfg.CAN {
		for i := 0; c.J1939.Enabled && i < j1939.Parameters; i++ {
			names = append(names, j1939.Signal(i).Name)
		}
		for i := range c.UDS {
			for _, d := range c.UDS[i].DIDs {
				for _, s := range d.Signals {
					names = append(names, s.Name)
				}
			}
		}
		for _, d := range all[c.Device] {
			for _, m := range d.Decoder.File().Messages {
				for _, s := range m.Signals {
					names = append(names, s.Telemetry.Name)
				}
			}
		}
	}
	return names
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

// signals warns of entries of signals that are about none.
func (r *checkReport) signals(cfg *config.Config) {
	quiet := slog.New(slog.DiscardHandler)
	all, err := readDatabases(cfg, quiet)
	if err != nil || len(cfg.Signals) == 0 {
		return // each DBC file has a finding of its own
	}
	idle := idleRules(cfg, all)
	for i := range idle {
		f := passed("%s", idle[i].String())
		f.Next = idle[i].next()
		r.add("signals", f)
	}
}
