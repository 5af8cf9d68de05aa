package dashcam

import (
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// watcher wakes Run when something changed in the folders. What it says is
// only a reason to look: the folder itself is the truth, so an overflow of the
// kernel's queue or a watch that could not be added costs time, not clips.
type watcher struct {
	fs      *fsnotify.Watcher // nil: polling
	wake    chan struct{}     // capacity 1
	done    chan struct{}
	dirs    map[string]bool
	pending bool // an event came since the last look
}

// watch starts watching; without inotify (none left: the kernel allows 128
// instances a user) the folder is polled.
func (s *Source) watch() *watcher {
	w := &watcher{dirs: make(map[string]bool)}
	if s.cfg.Poll {
		return w
	}
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		s.log.Warn("folder is polled: inotify is not available; raise fs.inotify.max_user_instances", "err", err)
		return w
	}
	w.fs, w.wake, w.done = fs, make(chan struct{}, 1), make(chan struct{})
	go w.pump()
	return w
}

// pump empties fsnotify's channels, so that it never blocks while a file is
// being read, and passes on that something happened.
func (w *watcher) pump() {
	defer close(w.done)
	events, errs := w.fs.Events, w.fs.Errors
	for events != nil || errs != nil {
		select {
		case _, ok := <-events:
			if !ok {
				events = nil
				continue
			}
		case _, ok := <-errs: // an overflow is a reason to look, too
			if !ok {
				errs = nil
				continue
			}
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// events delivers a token after something happened; nil when polling.
func (w *watcher) events() <-chan struct{} { return w.wake }

// rang notes an event and reports whether there was one already.
func (w *watcher) rang() bool {
	was := w.pending
	w.pending = true
	return was
}

// quiet forgets the events: the folder is about to be read.
func (w *watcher) quiet() {
	w.pending = false
	select {
	case <-w.wake:
	default:
	}
}

// polling reports whether nothing but time tells of changes.
func (w *watcher) polling() bool { return w.fs == nil }

// follow makes the watched folders those of dirs. A folder that cannot be
// watched is left to the periodic look.
func (w *watcher) follow(root string, dirs map[string]bool) {
	if w.fs == nil {
		return
	}
	for d := range dirs {
		if !w.dirs[d] && w.fs.Add(filepath.Join(root, d)) == nil {
			w.dirs[d] = true
		}
	}
	for d := range w.dirs {
		if !dirs[d] {
			_ = w.fs.Remove(filepath.Join(root, d)) // gone with the folder
			delete(w.dirs, d)
		}
	}
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close() // nothing was written through it
		<-w.done
	}
}
