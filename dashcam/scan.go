package dashcam

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"obu/telemetry"
)

// file is what is known of one segment in the folder.
type file struct {
	path  string      // below the folder
	info  fs.FileInfo // as seen last
	root  fs.FileInfo // of the folder it was seen in
	since time.Time   // when size or mtime last changed, by this process' monotonic clock
	first telemetry.At
	name  Name
	state state

	stored   int64     // bytes in custody, to count what a loss cost
	failures int       // reads that failed since it last changed
	retry    time.Time // when an unreadable one is tried again
}

// state is how far a segment has come.
type state uint8

const (
	waiting    state = iota // not finished by the camera, or not yet taken
	unfinished              // rests, but its boxes are not complete: more patience
	unreadable              // tried again at every look
	done                    // in custody
	failed                  // given up and listed as lost, until it changes
)

// findRoot looks where the folder is.
func (s *Source) findRoot() error {
	info, err := os.Stat(s.cfg.Dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("watch %s: %w", s.cfg.Dir, ErrNoFolder)
	case err != nil:
		return fmt.Errorf("watch %s: %w: %w", s.cfg.Dir, ErrNoFolder, err)
	case !info.IsDir():
		return fmt.Errorf("watch %s: %w: it is a file", s.cfg.Dir, ErrNoFolder)
	}
	s.root = info
	return nil
}

// sameRoot fails when the folder is not the one Run began with: its card was
// pulled, and the files in it are away, not deleted.
func (s *Source) sameRoot() error {
	was := s.root
	if err := s.findRoot(); err != nil {
		return err
	}
	if !os.SameFile(was, s.root) {
		return fmt.Errorf("watch %s: %w: another one was mounted over it", s.cfg.Dir, ErrNoFolder)
	}
	return nil
}

// scan reads the folder and brings s.files up to date.
func (s *Source) scan(w *watcher) error {
	if err := s.sameRoot(); err != nil {
		return err
	}
	var found map[string]fs.FileInfo
	var dots dotted
	for again := true; again; {
		found, dots = make(map[string]fs.FileInfo), dotted{}
		dirs := map[string]bool{".": true}
		if err := s.walk(".", 0, found, dirs, &dots); err != nil {
			return fmt.Errorf("read %s: %w: %w", s.cfg.Dir, ErrNoFolder, err)
		}
		again = w.follow(s.cfg.Dir, dirs)
	}
	// A card pulled while it was read looks like a folder of deleted files.
	if err := s.sameRoot(); err != nil {
		return err
	}
	s.sayDotted(dots)
	s.bound(found)
	s.update(found)
	return nil
}

// dotted counts what would be segments if their names did not begin with a dot.
type dotted struct {
	n     int
	first string
}

func (d *dotted) add(path string) {
	if d.n++; d.n == 1 {
		d.first = path
	}
}

// sayDotted counts such files, and says once that they are left alone.
func (s *Source) sayDotted(d dotted) {
	s.count(func(st *Stats) { st.Hidden = d.n })
	if d.n > 0 && !s.saidDot {
		s.saidDot = true
		s.log.Info("files whose name begins with a dot are left alone: they are hidden, temporary or made by another system; rename those that are recordings",
			"files", d.n, "first", d.first)
	}
}

// walk collects the segments of one folder and those below. Only for the
// topmost folder is it an error that it cannot be read.
func (s *Source) walk(dir string, depth int, found map[string]fs.FileInfo, dirs map[string]bool, dots *dotted) error {
	entries, err := os.ReadDir(filepath.Join(s.cfg.Dir, dir))
	if depth == 0 && err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."): // hidden, temporary, AppleDouble
			if !e.IsDir() && s.isSegment(e.Name()) {
				dots.add(path)
			}
		case e.IsDir():
			if depth >= MaxDepth {
				s.tooDeep(path)
				continue
			}
			dirs[path] = true
			_ = s.walk(path, depth+1, found, dirs, dots) // it has said so itself
		case e.Type().IsRegular() && s.isSegment(e.Name()):
			info, infoErr := e.Info()
			if infoErr == nil {
				found[path] = info
			} else if !errors.Is(infoErr, fs.ErrNotExist) {
				err = infoErr
			}
		}
	}
	s.blind(dir, err, found)
	return nil
}

// tooDeep says once that a folder is not searched.
func (s *Source) tooDeep(path string) {
	if !s.blinded[path] {
		s.blinded[path] = true
		s.say(slog.LevelWarn, "folder", path, "folder is nested too deeply and not searched; point dashcam.dir nearer to the segments", "levels", MaxDepth)
	}
}

// blind notes that a folder below cannot be read. What is known of it is
// kept: it cannot be seen, which is not gone.
func (s *Source) blind(dir string, err error, found map[string]fs.FileInfo) {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		delete(s.blinded, dir)
		return
	}
	if !s.blinded[dir] {
		s.blinded[dir] = true
		s.say(slog.LevelError, "folder", dir, "cannot read a folder of the camera; let the agent's user read and enter it (group, or the mount's umask)", "err", err)
	}
	for path, f := range s.files {
		below := filepath.Dir(path) == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
		if _, ok := found[path]; !ok && below {
			found[path] = f.info
		}
	}
}

func (s *Source) isSegment(name string) bool {
	return slices.Contains(s.cfg.Extensions, strings.ToLower(filepath.Ext(name)))
}

// bound keeps the oldest MaxFiles.
func (s *Source) bound(found map[string]fs.FileInfo) {
	if len(found) <= MaxFiles {
		s.crowded = false
		return
	}
	if !s.crowded {
		s.crowded = true
		s.log.Error("too many segments in the folder, the newest wait; empty the card", "files", len(found), "limit", MaxFiles)
	}
	paths := make([]string, 0, len(found))
	for p := range found {
		paths = append(paths, p)
	}
	slices.SortFunc(paths, func(a, b string) int {
		if known := s.files[a] != nil; known != (s.files[b] != nil) {
			if known {
				return -1
			}
			return 1
		}
		return found[a].ModTime().Compare(found[b].ModTime())
	})
	for _, p := range paths[MaxFiles:] {
		delete(found, p)
	}
}

// update compares the folder with what was known: new, changed, moved and
// vanished files.
func (s *Source) update(found map[string]fs.FileInfo) {
	now := time.Now()
	gone := make([]*file, 0)
	for path, f := range s.files {
		if _, ok := found[path]; !ok && os.SameFile(f.root, s.root) {
			gone = append(gone, f)
			delete(s.files, path)
		}
	}
	var fresh []string
	for path, info := range found {
		f := s.files[path]
		if f == nil {
			fresh = append(fresh, path)
			continue
		}
		f.root = s.root
		if !unchanged(f.info, info) {
			f.since, f.state, f.failures, f.stored = now, waiting, 0, 0
		}
		f.info = info
	}
	slices.Sort(fresh)
	for _, path := range fresh {
		info := found[path]
		f := &file{since: now, first: s.cfg.Clock.Now()}
		if i := slices.IndexFunc(gone, func(g *file) bool { return g.movedTo(info) }); i >= 0 {
			f = gone[i]
			gone = slices.Delete(gone, i, i+1)
			s.say(slog.LevelInfo, "to", path, "camera renamed a segment", "from", f.path)
		}
		f.path, f.info, f.root, f.name = path, info, s.root, ParseName(path)
		s.files[path] = f
	}
	slices.SortFunc(gone, func(a, b *file) int { return strings.Compare(a.path, b.path) })
	for _, f := range gone {
		s.vanished(f)
	}
	s.forget()
	s.tally()
}

// forget drops the segments of cards that were swapped and did not come back
// when there are too many of them.
func (s *Source) forget() {
	if len(s.files) <= MaxFiles {
		return
	}
	for path, f := range s.files {
		if !os.SameFile(f.root, s.root) {
			delete(s.files, path)
			s.vanished(f)
		}
	}
}

// unchanged reports whether a file rested between two looks.
func unchanged(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// movedTo reports whether a vanished file, not yet in custody, appeared under
// another name. One that is in custody is recognised by its content instead.
func (f *file) movedTo(info fs.FileInfo) bool {
	return f.state != done && os.SameFile(f.info, info) && unchanged(f.info, info)
}

// vanished books a file that is no longer in the folder.
func (s *Source) vanished(f *file) {
	if f.state == done || f.state == failed || f.info.Size() == 0 {
		return
	}
	s.lose(f, "segment vanished before it was in custody; the camera overwrites faster than the link or disk takes: enlarge its card, or check that the folder is not emptied by something else")
}

// lose lists a segment as lost.
func (s *Source) lose(f *file, text string, args ...any) {
	s.count(func(st *Stats) { st.Lost++ })
	left := max(f.info.Size()-f.stored, 1)
	chunk := int64(s.cfg.ChunkBytes)
	gap := telemetry.Gap{Class: telemetry.ClassMedia, Boot: s.cfg.Clock.Boot(), From: f.first, To: s.cfg.Clock.Now(),
		Count: (left + chunk - 1) / chunk, Reason: telemetry.ReasonClipLost, Source: f.name.File}
	s.say(slog.LevelError, "file", f.path, text, append([]any{"bytes", f.info.Size(), "stored", f.stored}, args...)...)
	if s.cfg.Lost != nil {
		s.cfg.Lost(gap)
	}
}
