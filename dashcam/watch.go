package dashcam

import (
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher wakes Run when something changed in the folders. What it says is
// only a reason to look: the folder itself is the truth, so an overflow of the
// kernel's queue or a watch that could not be added costs time, not clips.
type watcher struct {
	fs     *fsnotify.Watcher // nil: polling
	events <-chan fsnotify.Event
	errors <-chan error // an overflow is a reason to look, too
	dirs   map[string]bool
	rang   bool      // something happened since the last look
	at     time.Time // when it rang: the next look
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
	w.fs, w.events, w.errors = fs, fs.Events, fs.Errors
	return w
}

// polling reports whether nothing but time tells of changes.
func (w *watcher) polling() bool { return w.fs == nil }

// follow makes the watched folders those of dirs, and reports whether one was
// added: what came into it before that is announced by nobody. A folder that
// cannot be watched is left to the periodic look.
func (w *watcher) follow(root string, dirs map[string]bool) (added bool) {
	if w.fs == nil {
		return false
	}
	for d := range dirs {
		if !w.dirs[d] && w.fs.Add(filepath.Join(root, d)) == nil {
			w.dirs[d] = true
			added = true
		}
	}
	for d := range w.dirs {
		if !dirs[d] {
			_ = w.fs.Remove(filepath.Join(root, d)) // gone with the folder
			delete(w.dirs, d)
		}
	}
	return added
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close() // nothing was written through it
	}
}
