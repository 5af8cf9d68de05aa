package dashcam

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
	Clips      int64  `json:"clips"`               // wholly in custody
	Bytes      int64  `json:"bytes"`               // stored as chunks
	Lost       int64  `json:"lost"`                // segments that vanished or became unreadable before they were in custody
	Waiting    int    `json:"waiting"`             // segments not yet in custody
	Incomplete int64  `json:"incomplete"`          // taken although the camera never finished them
	Restarted  int64  `json:"restarted"`           // changed while being read, and begun anew
	Unreadable int    `json:"unreadable"`          // of those waiting: no permission, or the card fails
	Empty      int    `json:"empty"`               // files without a byte, now in the folder
	Hidden     int    `json:"hidden"`              // files left alone because their name begins with a dot, now in the folder
	LastName   string `json:"last_name,omitempty"` // of the clip finished last
}

// complete checks a configuration and fills in what was left out.
func (cfg Config) complete() (Config, error) {
	switch {
	case cfg.Dir == "":
		return cfg, fmt.Errorf("%w: Dir is empty", ErrConfig)
	case cfg.Custody == nil:
		return cfg, fmt.Errorf("%w: Custody is nil", ErrConfig)
	case cfg.Clock == nil:
		return cfg, fmt.Errorf("%w: Clock is nil", ErrConfig)
	case cfg.Settle < 0 || cfg.Incomplete < 0 || cfg.Rescan < 0:
		return cfg, fmt.Errorf("%w: Settle, Incomplete and Rescan must not be negative", ErrConfig)
	case cfg.ChunkBytes < 0 || cfg.ChunkBytes > MaxChunkBytes:
		return cfg, fmt.Errorf("%w: ChunkBytes must be at most %d", ErrConfig, MaxChunkBytes)
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
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
