package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"obu/internal/config"
)

// stateDir is where a service keeps its last good configuration.
func stateDir() string {
	if d := os.Getenv("STATE_DIRECTORY"); d != "" {
		d, _, _ = strings.Cut(d, ":")
		return d
	}
	return config.Default().Buffer.Dir
}

// loadConfig reads the configuration. As a service a wrong one is replaced by
// the last good one, since a remote unit must stay reachable; why is returned.
func (o *runOptions) loadConfig() (cfg *config.Config, why string, err error) {
	path, err := findConfig(o.config)
	if err == nil {
		cfg, err = config.Load(path)
	}
	if err == nil || !o.service {
		return cfg, "", err
	}
	last, lastErr := config.LoadLastGood(stateDir())
	if lastErr != nil {
		return nil, "", err
	}
	if named := plainUnit(path); named != "" && named != strings.TrimPrefix(last.Unit, simulatedPrefix) {
		return nil, "", fmt.Errorf("%w\n\nthe last good configuration, in %s, is not run in its place: it is of unit %s, and this file names %s",
			err, stateDir(), last.Unit, named)
	}
	return last, fmt.Sprintf("running the last good configuration, of unit %s, from %s, because the present one is wrong: %s",
		last.Unit, filepath.Join(stateDir(), "last-good.yaml"), oneLine(err, path)), nil
}

// present is the configuration by which a running agent and its store are found.
type present struct {
	*config.Config
	path    string
	mistake error // what is wrong with the file at path: it is not the one in force
}

// findPresent returns the configuration at path, or at the usual places when
// that is "". While it is wrong a running agent goes by the last good one: as a
// service, or because it was started before the edit.
func findPresent(path string) (present, error) {
	path, err := findConfig(path)
	if err != nil {
		return present{}, err
	}
	cfg, err := config.Load(path)
	if err == nil {
		return present{cfg, path, nil}, nil
	}
	if last, lastErr := config.LoadLastGood(stateDir()); lastErr == nil {
		return present{last, path, err}, nil
	}
	usual := config.Default()
	return present{&usual, path, err}, nil
}

// warn tells of the mistake beside an answer that came in spite of it.
func (p *present) warn(out io.Writer) {
	if p.mistake != nil {
		fmt.Fprintf(out, "obu: warning: %s\n", oneLine(p.mistake, p.path))
	}
}

// blame returns the mistake in place of err, which may come of it.
func (p *present) blame(err error) error {
	if err != nil && p.mistake != nil {
		return p.mistake
	}
	return err
}

// oneLine says the first mistake of a configuration in one line, and where the
// others are shown.
func oneLine(err error, path string) string {
	var all config.Errors
	if !errors.As(err, &all) || len(all) == 0 {
		return err.Error()
	}
	first := all[0]
	text := first.File
	if first.Line > 0 {
		text += fmt.Sprintf(":%d", first.Line)
	}
	text += ": " + first.Problem
	if len(all) > 1 {
		text += fmt.Sprintf(", and %d more", len(all)-1)
	}
	return text + "; next: correct it (obu check -c " + path + " shows each mistake with its cure) and restart"
}

// plainUnit returns the unit that a wrong configuration names all the same, ""
// when it does not say so plainly. A card put into another vehicle must not
// speak as the unit it was made for.
func plainUnit(path string) string {
	text, err := config.ReadBytes(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(line, "unit:")
		if !ok {
			continue
		}
		name, _, _ = strings.Cut(name, " #")
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		if strings.ContainsAny(name, "$ \t") {
			return ""
		}
		return strings.TrimPrefix(name, simulatedPrefix)
	}
	return ""
}
