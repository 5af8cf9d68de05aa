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
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"obu/internal/clock"
	"obu/telemetry"
)

// Defaults of a Config.
const (
	DefaultSettle     = 5 * time.Second
	DefaultIncomplete = 3 * time.Minute
	DefaultRescan     = time.Minute
	DefaultChunkBytes = 256 << 10
)

// Bounds.
const (
	// MaxFiles is how many files of one folder are kept track of. A 512 GB
	// card of one-minute segments holds about 6,000. The newest past it wait
	// until older ones have left the folder; the log says so.
	MaxFiles = 1 << 16
	// MaxDepth is how many levels below the folder are searched: Normal/Front
	// (70mai) and SavedClips/<event> (Tesla) are two.
	MaxDepth = 3
	// MaxChunkBytes bounds ChunkBytes: one chunk is held in memory.
	MaxChunkBytes = 16 << 20
	// readAttempts is how often a file is tried that cannot be read through,
	// before it is given up as lost until it changes.
	readAttempts = 3
	// retryMin and retryMax bound the pause after a failure; it doubles.
	retryMin = time.Second
	retryMax = 5 * time.Minute
)

// Sentinels.
var (
	// ErrNoFolder is returned by Run when the folder is not there, or is no
	// longer the one it was: the card was pulled, the share is not mounted.
	// Mount it, or correct dashcam.dir; Run may then be called again.
	ErrNoFolder = errors.New("camera folder is not there")
	// ErrStopped is returned by Drain when Run ends before the folder is
	// drained; Run says why.
	ErrStopped = errors.New("dashcam source has stopped")
	// ErrConfig is returned by New; the message names the field to correct.
	ErrConfig = errors.New("dashcam configuration")
)

// Custody is where the bytes go. The key names a file for ever: it is made of
// the camera, the size, the time of modification and samples of the content,
// not of the name, so a file that the camera moves to another folder is still
// the same one. Calls come from one goroutine, in the order of the file's
// bytes.
type Custody interface {
	// Progress returns how many bytes from the start of the file are stored,
	// and whether Finish was called for it. ok is false for a file that was
	// never heard of.
	Progress(key string) (stored int64, done, ok bool)
	// StoreChunk stores the next bytes; they are durable when it returns nil.
	// It must not keep c.Data, which is used again.
	StoreChunk(ctx context.Context, key string, c telemetry.Chunk) error
	// Finish stores the manifest: the file is wholly in custody.
	Finish(ctx context.Context, key string, c telemetry.Clip) error
}

// Config says which folder is read, and how.
type Config struct {
	Camera  string              // name of the camera in every Clip; "dashcam" when empty
	Dir     string              // the folder
	Clock   *clock.Clock        // tells Clip.At
	Custody Custody             // takes the bytes
	Lost    func(telemetry.Gap) // told of every loss; may be nil
	Log     *slog.Logger        // nil: silence

	Settle      time.Duration // how long size and mtime must rest until a file is finished; 0: DefaultSettle
	Incomplete  time.Duration // the same for an MP4 whose boxes are not complete; 0: DefaultIncomplete
	Rescan      time.Duration // how often the folder is read without being told; 0: DefaultRescan
	ChunkBytes  int           // bytes per chunk; 0: DefaultChunkBytes
	Extensions  []string      // of segments, with the dot, any case; nil: DefaultExtensions
	Poll        bool          // do without inotify, which sees nothing on NFS, SMB and FUSE: rescan every Settle
	AppearWhole bool          // files are renamed into place when they are whole (as Drip does): settle nothing
}

// DefaultExtensions are the file types cameras record. Their companions
// (.thm, .gps, .3gf, .srt) are not segments.
var DefaultExtensions = []string{".mp4", ".mov", ".m4v", ".ts", ".m2ts", ".avi", ".mkv"}

// Stats counts since New.
type Stats struct {
	Clips      int64  // wholly in custody
	Bytes      int64  // stored as chunks
	Lost       int64  // segments that vanished or became unreadable before they were in custody
	Waiting    int    // segments not yet in custody
	Incomplete int64  // taken although the camera never finished them
	Restarted  int64  // changed while being read, and begun anew
	Unreadable int    // of those waiting: no permission, or the card fails
	Empty      int    // files without a byte, now in the folder
	LastName   string // of the clip finished last
}

// Source is one camera's folder.
type Source struct {
	cfg   Config
	log   *slog.Logger
	drain chan chan struct{}

	// Owned by Run.
	files   map[string]*file // by path below Dir
	root    fs.FileInfo      // of Dir
	blinded map[string]bool  // folders that cannot be read
	crowded bool             // more than MaxFiles

	mu    sync.Mutex
	stats Stats         // under mu
	ended chan struct{} // under mu; closed when Run returns
}

// New returns a Source; it touches no file.
func New(cfg Config) (*Source, error) {
	switch {
	case cfg.Dir == "":
		return nil, fmt.Errorf("%w: Dir is empty", ErrConfig)
	case cfg.Custody == nil:
		return nil, fmt.Errorf("%w: Custody is nil", ErrConfig)
	case cfg.Clock == nil:
		return nil, fmt.Errorf("%w: Clock is nil", ErrConfig)
	case cfg.Settle < 0 || cfg.Incomplete < 0 || cfg.Rescan < 0:
		return nil, fmt.Errorf("%w: Settle, Incomplete and Rescan must not be negative", ErrConfig)
	case cfg.ChunkBytes < 0 || cfg.ChunkBytes > MaxChunkBytes:
		return nil, fmt.Errorf("%w: ChunkBytes must be at most %d", ErrConfig, MaxChunkBytes)
	}
	def(&cfg.Camera, "dashcam")
	def(&cfg.Settle, DefaultSettle)
	def(&cfg.Incomplete, DefaultIncomplete)
	def(&cfg.Rescan, DefaultRescan)
	def(&cfg.ChunkBytes, DefaultChunkBytes)
	if cfg.Extensions == nil {
		cfg.Extensions = DefaultExtensions
	}
	cfg.Extensions = slices.Clone(cfg.Extensions)
	for i, e := range cfg.Extensions {
		cfg.Extensions[i] = strings.ToLower(e)
	}
	if cfg.AppearWhole {
		cfg.Settle, cfg.Incomplete = 0, 0
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Source{cfg: cfg, log: log.With("camera", cfg.Camera), drain: make(chan chan struct{}), files: make(map[string]*file), blinded: make(map[string]bool), ended: make(chan struct{})}, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
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
		f := s.ready()
		if f == nil {
			next, idle = s.plan(w)
			return next, idle, nil
		}
		// The folder is read again after each file: reading one may have
		// taken minutes.
		err = s.take(ctx, f)
		s.tally()
		if err != nil {
			return 0, false, err
		}
		if ctx.Err() != nil {
			return 0, false, nil
		}
	}
}
