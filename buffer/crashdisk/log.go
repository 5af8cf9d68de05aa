//go:build linux && (amd64 || arm64)

package crashdisk

import (
	"encoding/gob"
	"fmt"
	"os"
)

// Kind says what an operation does.
type Kind uint8

// The kinds of operations.
const (
	Create     Kind = iota + 1 // a file Ino under Name in Dir
	Mkdir                      // a directory Ino under Name in Dir
	Unlink                     // Name in Dir
	Rename                     // Ino from Name in Dir to NewName in Dir
	Write                      // Data at Off of Ino
	Resize                     // Ino to Size, shorter or longer
	Sync                       // of Ino, which succeeded
	SyncDir                    // of Dir, which succeeded
	SyncFailed                 // of Ino: Data is all that the disk has of it from now on
	Mark                       // Data is what the program noted
)

// Op is one operation of the log. Which fields mean something depends on Kind.
type Op struct {
	Kind          Kind
	Dir, Ino      uint64
	Name, NewName string
	Off, Size     int64
	Data          []byte
}

// Root is the inode of the mount's own directory.
const Root = 1

// Log is all that happened to a disk: what was on it at first, and then the
// operations in order.
type Log struct {
	Base Image
	Ops  []Op
}

// Save writes the log to a file.
func (l *Log) Save(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("save log: %w", err)
	}
	err = gob.NewEncoder(f).Encode(l)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("save log: %w", err)
	}
	return nil
}

// Load reads a log that Save wrote.
func Load(path string) (*Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load log: %w", err)
	}
	defer f.Close()
	var l Log
	if err := gob.NewDecoder(f).Decode(&l); err != nil {
		return nil, fmt.Errorf("load log: %w", err)
	}
	return &l, nil
}
