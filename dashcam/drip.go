package dashcam

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// DripConfig says which recorded folder is replayed into which.
type DripConfig struct {
	From   string       // recorded folder, `dashcam/` of a replay
	To     string       // folder a Source with AppearWhole watches; made when missing
	Clock  *clock.Clock // whose timeline is followed
	Offset telemetry.At // when the earliest segment began

	// Placed is called after each file is in place; may be nil. Recorded time
	// stands still meanwhile, so with Source.Drain every Clip gets the
	// recorded time it was finished at, at any speed. What it waits for must
	// not itself wait for the replayed clock.
	Placed func(ctx context.Context, path string) error
}

// Drip copies a recorded folder's files, companions and folders included, each
// at the recorded time it was finished, until all are in place or ctx ends. A
// segment is finished at the start in its name plus its playing time; without
// a start in the name, at its time of modification. Files appear whole, with
// the recorded time of modification: they are copied beside and renamed. Files
// already in place are left as they are. It joins the clock's timeline.
func Drip(ctx context.Context, cfg DripConfig) error {
	s := cfg.Clock.Join()
	defer s.Leave()
	drops, err := planDrops(cfg.From)
	if err != nil {
		return fmt.Errorf("read recorded clips: %w", err)
	}
	for _, d := range drops {
		if err := s.SleepUntil(ctx, cfg.Offset.Add(d.after)); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		to := filepath.Join(cfg.To, d.path)
		if err := place(filepath.Join(cfg.From, d.path), to, d.modified); err != nil {
			return fmt.Errorf("replay clip: %w", err)
		}
		if cfg.Placed != nil {
			if err := cfg.Placed(ctx, to); err != nil && ctx.Err() == nil {
				return fmt.Errorf("replay clip %s: %w", d.path, err)
			}
		}
	}
	return nil
}

// drop is one file of the recording and its time since the first one began.
type drop struct {
	path     string
	modified time.Time
	after    time.Duration
}

// planDrops orders the recorded files by the time they were finished.
func planDrops(from string) ([]drop, error) {
	var files []recorded
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || strings.HasPrefix(e.Name(), ".") {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		files = append(files, readRecorded(path, rel, info))
		return nil
	})
	if err != nil {
		return nil, err
	}
	began := earliest(files)
	ends := make(map[string]time.Duration) // of segments, by path without its ending
	out := make([]drop, len(files))
	for i, f := range files {
		out[i] = drop{path: f.path, modified: f.modified, after: f.length}
		if !f.start.IsZero() {
			out[i].after += f.start.Sub(began)
		}
		if isMP4(f.path) {
			ends[stem(f.path)] = out[i].after
		}
	}
	for i := range out { // companions come with their segment
		if end, ok := ends[stem(out[i].path)]; ok {
			out[i].after = end
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		return cmp.Or(cmp.Compare(out[i].after, out[j].after), strings.Compare(out[i].path, out[j].path)) < 0
	})
	return out, nil
}

// recorded is one file of the recording.
type recorded struct {
	path     string
	modified time.Time
	start    time.Time // zero when unknown
	named    bool      // start is from the name
	length   time.Duration
}

func readRecorded(path, rel string, info fs.FileInfo) recorded {
	f := recorded{path: rel, modified: info.ModTime(), start: ParseName(rel).Start}
	if isMP4(path) {
		if r, err := os.Open(path); err == nil {
			m, _ := Probe(r, info.Size()) // of unknown length: finished when it began
			_ = r.Close()                 // only read
			f.length = m.Length
		}
	}
	f.named = !f.start.IsZero()
	return f
}

// earliest returns when the recording began. The names' clock is the camera's
// and mtimes are often those of a copy: they are not mixed. Where any name has
// a start, a file without one begins with the recording; where none has, all
// are placed by mtime.
func earliest(files []recorded) time.Time {
	named := slices.ContainsFunc(files, func(f recorded) bool { return f.named })
	var began time.Time
	for i := range files {
		f := &files[i]
		if !named {
			f.start = f.modified.Add(-f.length)
		}
		if !f.start.IsZero() && (began.IsZero() || f.start.Before(began)) {
			began = f.start
		}
	}
	return began
}

func stem(path string) string { return strings.TrimSuffix(path, filepath.Ext(path)) }

// place copies one file under a hidden name and renames it.
func place(from, to string, modified time.Time) (err error) {
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".drip-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o644), out.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(out.Name(), modified, modified); err != nil {
		return err
	}
	return os.Rename(out.Name(), to)
}
