package main

import (
	"os"
	"slices"

	"obu/internal/config"
)

// startFile is a file that is read at the start alone, and how it was then.
type startFile struct {
	path string
	was  os.FileInfo // nil: not there
}

// startFiles returns those of an agent: its configuration with what lies over it,
// the DBC files, the zones.
func startFiles(configPath string, cfg *config.Config) (all []startFile) {
	path, err := findConfig(configPath)
	if err != nil {
		return nil
	}
	paths := config.Files(path)
	for _, c := range cfg.CAN {
		paths = append(paths, c.DBC...)
	}
	if cfg.Geofence != nil {
		paths = append(paths, cfg.Geofence.File)
	}
	for i, p := range paths {
		if slices.Contains(paths[:i], p) {
			continue // of several buses
		}
		was, _ := os.Stat(p)
		all = append(all, startFile{p, was})
	}
	return all
}

// changed names the files that are others now, each with what to do: the agent
// goes on with what it read. Times are compared for being equal, so a clock that
// was wrong does not matter.
func changed(all []startFile) (said []string) {
	for _, f := range all {
		now, err := os.Stat(f.path)
		if f.was == nil && err != nil || f.was != nil && err == nil && now.Size() == f.was.Size() && now.ModTime().Equal(f.was.ModTime()) {
			continue
		}
		what := " has changed since the agent started, which goes on with what it read then"
		if err != nil {
			what = " is not there any more; the agent goes on with what it read when it started"
		}
		said = append(said, f.path+what+"; next: systemctl restart obu takes into use what is there, nothing is lost by it; obu check looks at it before")
	}
	return said
}
