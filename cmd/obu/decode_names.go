package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"obu/can"
	"obu/can/dbc"
	"obu/internal/config"
)

// databaseNames are paths of VSS for signals of DBC files.
type databaseNames struct {
	all  []dbc.Name
	used []bool
}

// parse takes the words of --vss, and how many DBC files there are.
func (n *databaseNames) parse(words []string, files int) error {
	if len(words) > 0 && files == 0 {
		return errors.New("--vss names signals of a DBC file: add --dbc FILE")
	}
	for _, arg := range words {
		if err := n.add(arg); err != nil {
			return err
		}
	}
	return nil
}

// add takes SIGNAL[UNIT]=PATH[UNIT]; both units may be missing.
func (n *databaseNames) add(arg string) error {
	signal, path, ok := strings.Cut(arg, "=")
	signal, from := cutUnit(signal)
	path, unit := cutUnit(path)
	if err := config.CheckVSS(signal, path); !ok || err != nil {
		return fmt.Errorf("--vss %s: want SIGNAL=PATH, for example Engine.Speed=Vehicle.Powertrain.CombustionEngine.Speed, or Engine.Speed[mph]=Vehicle.Speed", arg)
	}
	for _, o := range n.all {
		switch {
		case o.Signal == signal:
			return fmt.Errorf("--vss names %s twice: a signal has one path", signal)
		case o.Path == path:
			return fmt.Errorf("--vss puts %s and %s under %s, where they would mix: give one of them another path", o.Signal, signal, path)
		}
	}
	n.all, n.used = append(n.all, dbc.Name{Signal: signal, Path: path, From: from, Unit: unit}), append(n.used, false)
	return nil
}

func cutUnit(text string) (name, unit string) {
	name, unit, _ = strings.Cut(strings.TrimSuffix(text, "]"), "[")
	return name, unit
}

// unused reports a name of a signal that no file has.
func (n *databaseNames) unused(all []can.Database) error {
	for i, name := range n.all {
		if n.used[i] {
			continue
		}
		idle := idleEntry{list: "--vss", entry: i + 1, name: name.Signal, near: config.Nearest(name.Signal, fileNames(nil, all))}
		return fmt.Errorf("%s; %s", idle.String(), idle.next())
	}
	return nil
}

// doubt tells of paths that VSS does not have and may be slips.
func (n *databaseNames) doubt(errw io.Writer) {
	for i, name := range n.all {
		if near := nearPath(name.Path); near != "" {
			e := idleEntry{list: "--vss", entry: i + 1, what: notOfVSS, name: name.Path, near: []string{near}}
			fmt.Fprintf(errw, "obu: warning: %s; %s\n", e.String(), e.next())
		}
	}
}

// apply names the signals of a file.
func (n *databaseNames) apply(f *dbc.File) error {
	for i, name := range n.all {
		found, err := f.Apply(name)
		if n.used[i] = n.used[i] || found; err != nil {
			return err
		}
	}
	return nil
}
