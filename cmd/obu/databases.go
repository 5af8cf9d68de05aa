package main

import (
	"cmp"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"obu/can"
	"obu/can/dbc"
	"obu/can/j1939"
	"obu/can/uds"
	"obu/internal/agent"
	"obu/internal/config"
	"obu/telemetry"
)

// maxDatabaseWarnings bounds what is logged of one bus's DBC files.
const maxDatabaseWarnings = 20

// readDatabases reads the DBC files of each bus of the configuration. Those it
// could read are returned beside the error about the others.
func readDatabases(cfg *config.Config, log *slog.Logger, read func(string) (*dbc.File, error)) (map[string][]can.Database, error) {
	out, idle, err := loadDatabases(cfg, log, read)
	for i := range idle {
		log.Warn(idle[i].String(), "next", idle[i].next())
	}
	return out, err
}

// loadDatabases is readDatabases, and returns the entries that are about nothing
// when every file could be read.
func loadDatabases(cfg *config.Config, log *slog.Logger, read func(string) (*dbc.File, error)) (out map[string][]can.Database, idle []idleEntry, err error) {
	out = make(map[string][]can.Database)
	unused := make(map[int][]dbc.Name)
	var wrong []error
	for b, c := range cfg.CAN {
		n := 0
		opt := can.DatabaseOptions{Paths: c.DBC, Read: read, Warn: func(w dbc.Warning) {
			if n++; n <= maxDatabaseWarnings {
				log.Warn("part of a DBC file is left out", "bus", c.Device, "problem", w.Error())
			}
		}, Problem: func(err error) { wrong = append(wrong, err) }}
		for _, v := range c.VSS {
			opt.Names = append(opt.Names, dbc.Name{Signal: v.Signal, Path: v.Path, Unit: v.Unit, From: v.From})
		}
		found, none := can.ReadDatabases(opt)
		if unused[b] = none; len(found) > 0 {
			out[c.Device] = found
		}
		if n > maxDatabaseWarnings {
			log.Warn("more of the DBC files is left out; `obu decode can --dbc` lists it", "bus", c.Device, "lines", n-maxDatabaseWarnings)
		}
	}
	if len(wrong) > 0 {
		return out, nil, errors.Join(wrong...)
	}
	return out, slices.Concat(idleBuses(cfg), idleNames(cfg, out, unused), doubtfulPaths(cfg), idleRules(cfg, out)), nil
}

// idleEntry is an entry of a list in the configuration that is about no signal,
// or of which something else is doubtful.
type idleEntry struct {
	config.Origin
	list  string
	entry int    // counted from 1
	what  string // is said of it; "": it is about no signal
	name  string
	near  []string
	cure  string
}

func (r *idleEntry) String() string {
	what := cmp.Or(r.what, "is about no signal")
	text := "entry " + strconv.Itoa(r.entry) + " of " + r.list + " " + what + ": " + r.name
	if r.File != "" {
		text = r.File + ":" + strconv.Itoa(r.Line) + ": " + text
	}
	return text
}

func (r *idleEntry) next() string {
	if len(r.near) > 0 {
		return "if you mean " + strings.Join(r.near, " or ") + ", write that"
	}
	if r.cure != "" {
		return r.cure
	}
	return "obu decode can prints the names, with --dbc, --obd or --j1939"
}

// idleNames returns the entries of vss whose signals no DBC file has.
func idleNames(cfg *config.Config, all map[string][]can.Database, unused map[int][]dbc.Name) (idle []idleEntry) {
	for b, c := range cfg.CAN {
		for i, v := range c.VSS {
			if !slices.ContainsFunc(unused[b], func(n dbc.Name) bool { return n.Signal == v.Signal }) {
				continue
			}
			where := cfg.Origin("can." + strconv.Itoa(b) + ".vss." + strconv.Itoa(i) + ".signal")
			idle = append(idle, idleEntry{Origin: where, list: "vss", entry: i + 1, name: v.Signal, near: config.Nearest(v.Signal, fileNames(nil, all[c.Device]))})
		}
	}
	return idle
}

// idleRules returns the entries of signals that are about none.
func idleRules(cfg *config.Config, all map[string][]can.Database) (idle []idleEntry) {
	var names []string
	for i, c := range cfg.Signals {
		if names == nil {
			names = signalNames(cfg, all)
		}
		rule := can.Rule{Path: c.Path}
		if !slices.ContainsFunc(names, rule.Match) {
			where := cfg.Origin("signals." + strconv.Itoa(i) + ".path")
			idle = append(idle, idleEntry{Origin: where, list: "signals", entry: i + 1, name: c.Path, near: config.Nearest(c.Path, names)})
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
		if len(c.UDS) > 0 {
			names = append(names, uds.SignalCodes.Name, uds.SignalAppeared.Name, uds.SignalCleared.Name, uds.SignalStatus.Name, uds.SignalRest.Name, uds.SignalExtended.Name)
		}
		for _, e := range agent.ECUs(c.UDS) {
			for _, d := range e.DIDs {
				names = append(names, uds.Raw(d.ID).Name)
				for _, s := range d.Signals {
					names = append(names, s.Name)
				}
			}
		}
		names = fileNames(names, all[c.Device])
	}
	return names
}

// fileNames appends the names of signals of DBC files.
func fileNames(names []string, all []can.Database) []string {
	for _, d := range all {
		for _, m := range d.Decoder.File().Messages {
			for _, s := range m.Signals {
				names = append(names, s.Telemetry.Name)
			}
		}
	}
	return names
}

// checkDatabase judges a DBC file as `obu run` will read it behind those of its
// bus that stand before it, to which it is added.
func checkDatabase(path string, before *[]*dbc.File) finding {
	f, err := can.ReadDatabase(path)
	if err != nil {
		return failedWith("then restart the agent: systemctl restart obu", "%v", err)
	}
	for _, b := range *before {
		f.LeaveOut(b)
	}
	*before = append(*before, f)
	if len(f.Messages) == 0 {
		return failedWith("correct it, or remove it from dbc; then restart the agent: systemctl restart obu", "nothing can be decoded with it: %v", f.Warnings[0])
	}
	signals := countSignals(f)
	if n := len(f.Warnings) + f.More; n > 0 {
		some := passed("%d messages, %d signals; left out in %d places, the first: %v", len(f.Messages), signals, n, f.Warnings[0])
		some.Next = leftOutNext + "; `obu decode can --dbc " + path + " LOG` lists all of them"
		return some
	}
	return passed("%d messages, %d signals", len(f.Messages), signals)
}

// signals tells of names that do not fit, and of entries that are about none.
func (r *checkReport) signals(cfg *config.Config) {
	_, idle, err := loadDatabases(cfg, slog.New(slog.DiscardHandler), nil)
	if errors.Is(err, dbc.ErrName) {
		r.add("vss", failedWith("correct the entry of vss, then restart the agent: systemctl restart obu", "%v", err))
	}
	for i := range idle { // each DBC file that is wrong has a finding of its own
		f := passed("%s", idle[i].String())
		f.Next = idle[i].next()
		r.add(idle[i].list, f)
	}
}
