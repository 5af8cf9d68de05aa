// Package dashcam takes the finished segments of a camera's folder into
// custody: it notices new files (fsnotify, plus a periodic look that also
// serves network shares), waits until the camera has finished them, indexes
// them (camera, name, start, length, size, SHA-256, cause), and hands them on
// in chunks, followed by the manifest. After a restart it carries on at the
// last stored byte.
//
// It knows nothing of where custody leads, decodes no video, and never
// changes or deletes a file of the camera. Sizes are bytes, times durations;
// the start in a Clip is the camera's own clock, which knows no time zone and
// is labelled UTC. Box structure is that of ISO/IEC 14496-12.
//
// New starts nothing. Run owns its goroutines (its own and, through fsnotify,
// one that reads inotify) and ends them before it returns. One chunk is in
// memory at a time, whatever the size of a file.
package dashcam

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// Source is one camera's folder.
type Source struct {
	cfg   Config
	log   *slog.Logger
	drain chan chan struct{}

	// Owned by Run.
	files   map[string]*file      // by path below Dir
	root    fs.FileInfo           // of Dir
	blinded map[string]bool       // folders that cannot be read
	crowded bool                  // more than MaxFiles
	said    map[string]*complaint // by text
	saidDot bool                  // of files whose name begins with a dot

	mu    sync.Mutex
	stats Stats         // under mu
	ended chan struct{} // under mu; closed when Run returns
}

// New returns a Source; it touches no file.
func New(cfg Config) (*Source, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	return &Source{cfg: cfg, log: cfg.Log.With("camera", cfg.Camera), drain: make(chan chan struct{}),
		files: make(map[string]*file), blinded: make(map[string]bool), said: make(map[string]*complaint), ended: make(chan struct{})}, nil
}

// Stats returns the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Source) count(f func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.stats)
}

// Drain returns when every segment that was in the folder is in custody, or
// cannot be read. It is how a replay ends without losing its last clip. It
// waits for the first Run to begin, in another goroutine; when the last Run
// has ended, or ends before, it returns ErrStopped.
func (s *Source) Drain(ctx context.Context) error {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	done := make(chan struct{})
	select {
	case s.drain <- done:
	case <-ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin and end tell Drain whether there is a Run to wait for.
func (s *Source) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		s.ended = make(chan struct{})
	default:
	}
}

func (s *Source) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.ended)
}

// Run watches the folder until ctx ends, and returns nil then. When the
// folder is missing or goes away it returns ErrNoFolder; Run may be called
// again, and what it knew of the files is kept.
func (s *Source) Run(ctx context.Context) error {
	s.begin()
	defer s.end()
	if err := s.findRoot(); err != nil {
		return err
	}
	w := s.watch()
	defer w.close()
	var (
		drains []chan struct{}
		pause  = retryMin
		hold   time.Time // after a failure: no look before
		looked time.Time
		timer  = time.NewTimer(0)
	)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-s.drain:
			drains = append(drains, d)
		case <-w.events:
			timer.Reset(s.ring(w, looked, hold))
			continue
		case <-w.errors:
			timer.Reset(s.ring(w, looked, hold))
			continue
		case <-timer.C:
		}
		w.rang = false
		next, idle, err := s.look(ctx, w)
		s.sum()
		looked = time.Now()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrNoFolder):
			return err
		case err != nil:
			next = pause/2 + rand.N(pause/2)
			pause = min(2*pause, retryMax)
			hold = looked.Add(next)
			s.log.Error("cannot store a clip, it is tried again; see the buffer's own messages", "in", next.Round(time.Second), "err", err)
		default:
			pause = retryMin
		}
		if idle {
			for _, d := range drains {
				close(d)
			}
			drains = nil
		}
		timer.Reset(next)
	}
}

// Forget has the next Run ask custody anew for every segment: what was stored
// may have been deleted. It must not be called while Run runs.
func (s *Source) Forget() {
	for _, f := range s.files {
		f.state, f.stored, f.failures = waiting, 0, 0
	}
}

// ring notes that something changed in the folder and returns how long to wait
// until it is read. A camera that records writes all the time: the folder is
// read at most twice per Settle, and the next event does not push that away.
func (s *Source) ring(w *watcher, looked, hold time.Time) time.Duration {
	if !w.rang {
		w.rang = true
		w.at = time.Now().Add(max(time.Until(looked.Add(s.cfg.Settle/2)), time.Until(hold), 0))
	}
	return time.Until(w.at)
}

// look reads the folder, takes what is finished, oldest first, and returns
// when to look again, and whether nothing readable is left waiting.
func (s *Source) look(ctx context.Context, w *watcher) (next time.Duration, idle bool, err error) {
	for {
		if err := s.scan(w); err != nil {
			return 0, false, err
		}
		ready := s.ready()
		if len(ready) == 0 {
			next, idle = s.plan(w)
			return next, idle, nil
		}
		err = s.takeSome(ctx, ready)
		s.tally()
		if err != nil {
			return 0, false, err
		}
		if ctx.Err() != nil {
			return 0, false, nil
		}
	}
}

// readAgain is after how long the folder is read again before the next file:
// what was seen of it has aged. Most files of a start are already in custody,
// and reading the folder for each of them would take minutes.
const readAgain = time.Second

// takeSome takes files, oldest first, until the folder wants to be read again.
func (s *Source) takeSome(ctx context.Context, files []*file) error {
	began := time.Now()
	for _, f := range files {
		if err := s.take(ctx, f); err != nil {
			return err
		}
		if ctx.Err() != nil || time.Since(began) >= readAgain {
			return nil
		}
	}
	return nil
}
