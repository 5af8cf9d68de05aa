package dashcam

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"time"
)

// ready returns the segments that may be taken now, oldest first.
func (s *Source) ready() []*file {
	now := time.Now()
	var out []*file
	for _, f := range s.files {
		if d, ok := s.due(f); ok && !now.Before(d) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, (*file).compare)
	return out
}

// due returns when a file is to be taken or looked into; ok is false when
// only a change of the file can make that happen.
func (s *Source) due(f *file) (time.Time, bool) {
	switch {
	case f.state == done || f.state == failed || !os.SameFile(f.root, s.root):
		return time.Time{}, false
	case f.state == unfinished || f.info.Size() == 0:
		return f.since.Add(s.cfg.Incomplete), true
	case f.state == unreadable:
		return f.retry, true
	}
	return f.since.Add(s.cfg.Settle), true
}

// compare orders segments by the start in their names, or by mtime without one.
func (f *file) compare(g *file) int {
	return cmp.Or(f.age().Compare(g.age()), strings.Compare(f.path, g.path))
}

func (f *file) age() time.Time {
	if f.name.Start.IsZero() {
		return f.info.ModTime()
	}
	return f.name.Start
}

// plan returns how long nothing needs to be looked at, and whether no readable
// segment waits.
func (s *Source) plan(w *watcher) (next time.Duration, idle bool) {
	next, idle = s.cfg.Rescan, true
	if w.polling() {
		next = min(next, max(s.cfg.Settle, retryMin))
	}
	now := time.Now()
	for _, f := range s.files {
		if d, ok := s.due(f); ok {
			idle = idle && (f.state == unreadable || f.info.Size() == 0)
			next = min(next, max(d.Sub(now), 0))
		}
	}
	s.tally()
	return next, idle
}

// tally brings the counters that say what is now in the folder up to date.
func (s *Source) tally() {
	var waits, bad, empty int
	for _, f := range s.files {
		switch {
		case f.info.Size() == 0:
			empty++
		case f.state == unreadable:
			bad++
			waits++
		case f.state != done && f.state != failed:
			waits++
		}
	}
	s.count(func(st *Stats) { st.Waiting, st.Unreadable, st.Empty = waits, bad, empty })
}
