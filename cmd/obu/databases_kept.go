package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"

	"obu/can"
	"obu/can/dbc"
	"obu/internal/config"
)

// keptDatabases reads DBC files for a service and keeps a copy of each that could
// be read, so that a file that is spoiled later does not silence a unit far away.
type keptDatabases struct {
	dir   string
	log   *slog.Logger
	wrong []error // files in whose place the copy is used
}

// read is can.ReadDatabase, or the last good copy when that fails.
func (k *keptDatabases) read(path string) (*dbc.File, error) {
	var file *dbc.File
	kept := filepath.Join(k.dir, url.PathEscape(path))
	old, oldErr := can.ReadDatabaseBytes(kept)
	data, err := can.ReadDatabaseBytes(path)
	if err == nil {
		file, err = dbc.Parse(filepath.Base(path), data)
	}
	if err != nil {
		if oldErr != nil {
			return nil, err
		}
		if file, oldErr = dbc.Parse(filepath.Base(path), old); oldErr != nil {
			return nil, err
		}
		k.wrong = append(k.wrong, fmt.Errorf("%w; as long as it is so its last good copy is used: %s", err, kept))
		return file, nil
	}
	if oldErr == nil && bytes.Equal(old, data) {
		return file, nil // spares the flash
	}
	if before, err := dbc.Parse(filepath.Base(path), old); oldErr == nil && err == nil {
		if k.changed(path, before, file, kept) {
			return file, nil
		}
	}
	if err = os.MkdirAll(k.dir, 0o700); err == nil {
		err = config.WriteBytes(kept, data)
	}
	if err != nil {
		k.log.Warn("copy of a good DBC file is not kept; a wrong one would take its place", "file", path, "error", err, "next", "check the folder's permissions")
	}
	return file, nil
}

// changed says that a file is another than at the last start. One that was cut
// short has fewer signals: the fuller copy then stays, and each start says so.
func (k *keptDatabases) changed(path string, before, now *dbc.File, kept string) (less bool) {
	was, is := countSignals(before), countSignals(now)
	say := k.log.Info
	next := "nothing: it is in use now"
	less = is < was
	if less || len(now.Warnings)+now.More > len(before.Warnings)+before.More {
		say = k.log.Warn
		next = "if that was not meant, the file may be cut short: copy it again, then systemctl restart obu"
	}
	if less {
		next += "; if it was meant, remove " + kept
	}
	say("a DBC file has changed", "file", path, "signals", is, "before", was, "left_out", len(now.Warnings)+now.More, "left_out_before", len(before.Warnings)+before.More, "next", next)
	return less
}

func countSignals(f *dbc.File) (n int) {
	for _, m := range f.Messages {
		n += len(m.Signals)
	}
	return n
}
