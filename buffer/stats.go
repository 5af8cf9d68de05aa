package buffer

import (
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// Stats is what the buffer says of itself. Counters rise for the life of the
// Buffer.
type Stats struct {
	Commits            uint64   `json:"commits"` // synced transactions of Commit that stored something
	LastCommitMS       float64  `json:"last_commit_ms"`
	SlowestCommitMS    float64  `json:"slowest_commit_ms"`
	Failures           uint64   `json:"failures"`                 // transactions the disk did not take
	Volatile           bool     `json:"volatile"`                 // telemetry, event and health live in memory only
	VolatileBytes      int64    `json:"volatile_bytes"`           // held so
	VolatileS          float64  `json:"volatile_s"`               // for how long; 0: not
	VolatileError      string   `json:"volatile_error,omitempty"` // what the disk said last
	MediaFailing       bool     `json:"media_failing"`            // the media store does not take clips: they stay on the camera
	MediaFailingS      float64  `json:"media_failing_s"`          // for how long; 0: not
	MediaError         string   `json:"media_error,omitempty"`    // what the disk said last
	Batches            int      `json:"batches"`                  // held, all classes
	Values             int64    `json:"values"`
	BacklogBytes       int64    `json:"backlog_bytes"`
	ByClass            [5]int64 `json:"-"`               // BacklogBytes, indexed by telemetry.Class
	OldestS            float64  `json:"oldest_unsent_s"` // age of the oldest batch of this boot; 0 when none is held
	Evicted            uint64   `json:"evicted"`         // batches, by quota or for want of memory
	Expired            uint64   `json:"expired"`         // batches, by age
	Salvaged           uint64   `json:"salvaged"`        // batches moved back from files set aside
	Salvaging          int      `json:"salvaging"`       // files set aside that are not through
	Gaps               int      `json:"gaps"`            // rows in the Gap table: not delivered yet
	GapsListed         uint64   `json:"gaps_listed"`     // losses put into the Gap table since Open; adjoining ones count once
	TelemetryUsed      int64    `json:"telemetry_used_bytes"`
	TelemetryQuota     int64    `json:"telemetry_quota_bytes"`
	TelemetryFile      int64    `json:"telemetry_file_bytes"`
	MediaUsed          int64    `json:"media_used_bytes"`
	MediaQuota         int64    `json:"media_quota_bytes"`
	MediaFile          int64    `json:"media_file_bytes"`
	RunwayS            float64  `json:"runway_s"`             // until the telemetry quota or the disk, or while volatile memory, is full at the mean rate since Open; 0 when unknown
	DiskFree           int64    `json:"disk_free_bytes"`      // what the file system has left; -1 when unknown
	DiskBytesTelemetry int64    `json:"disk_bytes_telemetry"` // pages written by bbolt since Open
	DiskBytesMedia     int64    `json:"disk_bytes_media"`
	// Progress rises while one call works through a whole file: it copies a
	// deleted one back, or looks whether a failed one is sound. A slow card takes
	// minutes for that, and whoever waits sees that it goes on.
	Progress uint64 `json:"-"`
}

// counters are guarded by Buffer.mu.
type counters struct {
	commits  uint64
	last     time.Duration
	slowest  time.Duration
	failures uint64
	evicted  uint64
	expired  uint64
	gaps     int
	memory   int64
	volatile bool
	volSince telemetry.At
	volErr   string

	mediaErr   string // of the running outage; "": media.db works
	mediaSince telemetry.At

	listed    uint64 // rows put into the Gap table since Open
	salvaging [2]int // files set aside that are not through, of telemetry.db and media.db
	salvaged  uint64 // batches moved back from files set aside since Open
	stored    int64  // bytes put into telemetry.db since Open
	opened    telemetry.At
}

// gapsWait is how long Gaps waits for a commit that is under way.
const gapsWait = 5 * time.Second

// Gaps returns the Gap table, and losses of media.db on their way into it. It
// returns ErrDiskFailed when the disk keeps the writer for too long.
func (b *Buffer) Gaps() ([]telemetry.Gap, error) {
	for end := time.Now().Add(gapsWait); !b.tele.wr.TryLock(); time.Sleep(lockPoll) {
		if time.Now().After(end) {
			return nil, fmt.Errorf("read gaps: a commit has taken %v: %w", gapsWait, ErrDiskFailed)
		}
	}
	defer b.tele.wr.Unlock()
	var out []telemetry.Gap
	for _, r := range b.gaps.sorted() {
		out = append(out, r.Gap)
	}
	b.vid.mu.Lock()
	defer b.vid.mu.Unlock()
	for _, l := range b.owed {
		out = append(out, l.gap)
	}
	return out, nil
}

// committed counts a transaction that stored something.
func (b *Buffer) committed(d time.Duration, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.commits++
	b.stats.last = d
	b.stats.slowest = max(b.stats.slowest, d)
	b.stats.stored += bytes
}

func (b *Buffer) countEvicted(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.evicted += uint64(n)
}

func (b *Buffer) countExpired(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.expired += uint64(n)
}

// note copies what only the writer may look at. tele.wr must be held.
func (b *Buffer) note() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.gaps, b.stats.listed = len(b.gaps.rows), b.gaps.listed
	b.stats.memory, b.stats.volatile = b.fail.memory, b.fail.active
	b.stats.volSince, b.stats.volErr = b.fail.since, b.fail.last
	b.stats.salvaging[0] = len(b.tele.saving)
}

// noteMediaSaving is note for the other writer. vid.wr must be held.
func (b *Buffer) noteMediaSaving() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.salvaging[1] = len(b.vid.saving)
}

// Stats returns the figures as of now. It reads file sizes, no content.
func (b *Buffer) Stats() Stats {
	now := b.opts.Now()
	b.mu.Lock()
	c := b.stats
	b.mu.Unlock()
	s := Stats{
		Commits: c.commits, LastCommitMS: ms(c.last), SlowestCommitMS: ms(c.slowest),
		Failures: c.failures, Volatile: c.volatile, VolatileBytes: c.memory,
		Evicted: c.evicted, Expired: c.expired, Salvaged: c.salvaged, Salvaging: c.salvaging[0] + c.salvaging[1], Gaps: c.gaps, GapsListed: c.listed,
		TelemetryQuota: b.tele.quota, MediaQuota: b.vid.quota,
	}
	if c.volatile {
		s.VolatileS, s.VolatileError = now.Sub(c.volSince).Seconds(), c.volErr
	}
	if c.mediaErr != "" {
		s.MediaFailing, s.MediaError, s.MediaFailingS = true, c.mediaErr, now.Sub(c.mediaSince).Seconds()
	}
	oldest := telemetry.At(math.MaxInt64)
	for _, f := range [...]*file{b.tele, b.vid} {
		f.mu.Lock()
		for _, t := range f.streams {
			s.Batches += t.batches
			s.Values += t.values
			s.BacklogBytes += t.bytes
			if int(t.class) < len(s.ByClass) {
				s.ByClass[t.class] += t.bytes
			}
			if t.batches > 0 && t.boot == b.opts.Boot {
				oldest = min(oldest, t.oldest)
			}
		}
		f.mu.Unlock()
	}
	if oldest != math.MaxInt64 {
		s.OldestS = max(0, now.Sub(oldest).Seconds())
	}
	s.TelemetryUsed, s.TelemetryFile, s.DiskBytesTelemetry = b.tele.sizes()
	s.MediaUsed, s.MediaFile, s.DiskBytesMedia = b.vid.sizes()
	s.Progress = b.tele.progress() + b.vid.progress()
	s.DiskFree = diskFree(b.opts.Dir)
	if up := now.Sub(c.opened).Seconds(); up > 0 && c.stored > 0 {
		s.RunwayS = max(1, math.Round(float64(b.room(s))/(float64(c.stored)/up))) // 0 means unknown
	}
	return s
}

// room is how many bytes can still be stored before the oldest have to go: what
// the quota leaves, and no more than the disk has, in the file's free pages and
// outside; while the disk takes nothing, what memory leaves.
func (b *Buffer) room(s Stats) int64 {
	if s.Volatile {
		return max(0, b.opts.VolatileBytes-s.VolatileBytes)
	}
	left := max(0, s.TelemetryQuota-s.TelemetryUsed)
	if s.DiskFree >= 0 {
		left = min(left, max(0, s.TelemetryFile-s.TelemetryUsed)+s.DiskFree)
	}
	return left
}

// diskFree returns what the file system of dir has left for this user; -1 when
// it does not say.
func diskFree(dir string) int64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return -1
	}
	return int64(min(fs.Bavail*uint64(fs.Bsize), math.MaxInt64)) //nolint:unconvert // types differ between platforms
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// sizes returns the bytes of live batches, of the file, and written to it.
func (f *file) sizes() (used, size, written int64) {
	f.mu.Lock()
	for _, s := range f.streams {
		if s.mem == nil {
			used += s.cost
		}
	}
	f.mu.Unlock()
	if info, err := os.Stat(f.path); err == nil {
		size = info.Size()
	}
	f.open.RLock()
	defer f.open.RUnlock()
	return used, size, f.past + f.written()
}

// written is how much went through the open handle. open must be held.
func (f *file) written() int64 {
	if f.db == nil || f.isBroken() {
		return 0
	}
	st := f.db.Stats().TxStats
	return st.GetPageAlloc() + int64(f.commits())*int64(pageSize)
}

// commits is the number of transactions since the file was opened.
func (f *file) commits() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.commits - f.first
}
