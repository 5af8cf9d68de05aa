package buffer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// Report is what a directory holds, read without changing it.
type Report struct {
	Clean   bool // closed in order
	Files   []FileReport
	Streams []telemetry.Stream
	Gaps    []telemetry.Gap // the table, and losses of media.db on their way into it
	Aside   []string        // files set aside earlier, for salvage
}

// FileReport is one database file.
type FileReport struct {
	Path      string
	SizeBytes int64
	Unit      string
	Hardware  string            // it is bound to, and its inode there
	Store     telemetry.StoreID // that mints names
	Boot      telemetry.BootID  // of the last use
	FlushAt   telemetry.At      // nothing older is missing, in Boot
	FlushWall time.Time         // last commit by the wall clock; zero when unknown
	Records   int
	Damaged   []telemetry.Name // batches whose value is not what was written
	Err       error            // why the file could not be read; nil: it was
}

// Batch is one held batch as Each hands it out. Blob is a copy.
type Batch struct {
	telemetry.Stored
	StoredAt telemetry.At
	Boot     telemetry.BootID
}

// Inspect reads the files in dir, which no running agent may have in use:
// ErrLocked. It checks the sum of every value and changes nothing.
func Inspect(ctx context.Context, dir string) (Report, error) {
	lock, err := lockDir(ctx, dir, unix.LOCK_SH)
	if err != nil {
		return Report{}, err
	}
	defer lock.release()
	r := Report{Clean: readSession(dir).Clean}
	for _, pattern := range [...]string{"*.damaged-*", "*.newer-*"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return r, fmt.Errorf("inspect %s: %w", dir, err)
		}
		r.Aside = append(r.Aside, found...)
	}
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return r, fmt.Errorf("inspect %s: %w", dir, err)
		}
		fr := FileReport{Path: path, SizeBytes: info.Size()}
		c, err := loadFile(path)
		if err != nil {
			fr.Err = err
		} else {
			fr.Unit, fr.Hardware, fr.Store, fr.Boot = c.state.unit, c.state.hardware, c.state.store, c.state.boot
			fr.FlushAt, fr.FlushWall, fr.Damaged = c.state.flushAt, c.state.flushWall, c.bad
			for _, s := range c.streams {
				fr.Records += s.stored
				r.Streams = append(r.Streams, s.public(s.store == c.state.store))
			}
			for _, g := range c.gaps {
				r.Gaps = append(r.Gaps, g.Gap)
			}
			for _, l := range c.owed {
				r.Gaps = append(r.Gaps, l.gap)
			}
		}
		r.Files = append(r.Files, fr)
	}
	return r, nil
}

// loadFile reads a closed file's contents without writing to it.
func loadFile(path string) (contents, error) {
	db, err := openReadOnly(path)
	if err != nil {
		return contents{}, err
	}
	f := &file{name: filepath.Base(path), path: path, db: db}
	defer f.closeDB()
	return f.load(true)
}

// Each calls fn for every held batch in dir, by store, class and seq, until it
// returns an error. One file that cannot be read does not hide the other; the
// error comes after it. Like Inspect it needs the directory to itself.
func Each(ctx context.Context, dir string, fn func(Batch) error) (err error) {
	lock, err := lockDir(ctx, dir, unix.LOCK_SH)
	if err != nil {
		return err
	}
	defer lock.release()
	var errs []error
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			continue
		}
		var stopped error
		err := eachIn(path, func(b Batch) error {
			stopped = fn(b)
			return stopped
		})
		if stopped != nil {
			return stopped
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func eachIn(path string, fn func(Batch) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guard(&err)
	db, err := openReadOnly(path)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *bbolt.Tx) error {
		var c contents
		if err := c.readState(tx); err != nil {
			return err
		}
		for _, s := range c.state.streams {
			err := openShelf(tx, s.store, s.class).each(func(seq uint64, rec []byte) error {
				if s.dropped.has(seq) {
					return nil
				}
				n := telemetry.Name{Store: s.store, Class: s.class, Seq: seq}
				h, blob, err := openRecord(n, rec)
				if err != nil {
					return err
				}
				return fn(Batch{
					Stored:   telemetry.Stored{Name: n, Values: h.values, Blob: append([]byte(nil), blob...)},
					StoredAt: h.at, Boot: h.boot,
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}
