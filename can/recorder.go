package can

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"obu/internal/clock"
)

// RecorderConfig says what a Recorder records, and within which bounds.
type RecorderConfig struct {
	Buses []RecordedBus
	Dir   string // of the recording; made when it is not there
	Clock *clock.Clock

	FileBytes  int64         // a file ends when it has so many; 0: 64 MiB
	FileAge    time.Duration // or when its first frame is so old; 0: an hour
	TotalBytes int64         // the oldest files go when all would have more, or be more than 4,096; 0: 1 GiB
	SyncEvery  time.Duration // what a power cut may cost; 0: five seconds
	Log        *slog.Logger  // nil discards
}

// RecordedBus is a bus and the name it has in the log.
type RecordedBus struct {
	Name string
	Dial Dialer
}

// RecorderStats is what a Recorder did.
type RecorderStats struct {
	Frames  uint64 // written, error frames included
	Missing uint64 // that the disk did not take, or did not promise to keep
	Dropped uint64 // by the kernel or the controller, before they could be written
	Outages uint64 // times a bus was lost, or could not be opened

	Files        int // of the recording at the end
	Bytes        int64
	Removed      int    // oldest files that went
	RemovedBytes int64  // and what they held
	Removals     string // of what is gone: "can-000001.log to can-000003.log"
}

// Recorder writes what passes on buses into candump logs of bounded size, with
// a drive.yaml beside them, so that the folder can be replayed. It transmits
// nothing. A power cut costs SyncEvery at most, and perhaps a line's end. While
// the disk takes nothing, frames are counted; it goes on when there is room.
type Recorder struct {
	cfg RecorderConfig
	log *slog.Logger

	mu    sync.Mutex // guards what follows
	files *recording
	line  []byte
	stats RecorderStats
	err   error     // of the disk, which takes nothing,
	since uint64    // Missing when that began,
	again time.Time // and when it is tried again
}

// maxRecordBackoff bounds the pause between two tries to open a bus.
const maxRecordBackoff = 30 * time.Second

// ErrRecorder is wrapped by what NewRecorder refuses. Cure: other bounds.
var ErrRecorder = errors.New("a recording cannot have these bounds")

// NewRecorder checks the configuration. It opens and makes nothing.
func NewRecorder(cfg RecorderConfig) (*Recorder, error) {
	if len(cfg.Buses) == 0 || cfg.Dir == "" || cfg.Clock == nil {
		return nil, fmt.Errorf("%w: Buses, Dir and Clock are required", ErrRecorder)
	}
	set := func(v *int64, usual int64) {
		if *v == 0 {
			*v = usual
		}
	}
	set(&cfg.FileBytes, 64<<20)
	set(&cfg.TotalBytes, min(1<<30, maxLogFiles*cfg.FileBytes))
	set((*int64)(&cfg.FileAge), int64(time.Hour))
	set((*int64)(&cfg.SyncEvery), int64(5*time.Second))
	switch {
	case cfg.FileBytes < 4096:
		return nil, fmt.Errorf("%w: a file of %d bytes: the least is 4 KiB", ErrRecorder, cfg.FileBytes)
	case cfg.TotalBytes < 2*cfg.FileBytes:
		return nil, fmt.Errorf("%w: %d bytes in all hold no two files of %d: allow more in all, or smaller files", ErrRecorder, cfg.TotalBytes, cfg.FileBytes)
	case cfg.TotalBytes/cfg.FileBytes > maxLogFiles:
		return nil, fmt.Errorf("%w: %d bytes in files of %d would be more than %d files: make the files larger", ErrRecorder, cfg.TotalBytes, cfg.FileBytes, maxLogFiles)
	case cfg.FileAge < time.Second || cfg.SyncEvery < 100*time.Millisecond:
		return nil, fmt.Errorf("%w: a file lasts a second at least, and is synced each 100 ms at most", ErrRecorder)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Recorder{cfg: cfg, log: cfg.Log}, nil
}

// Run records until ctx ends. It returns an error when the folder cannot be
// used, or the disk takes nothing at the end. A bus that is lost, or is not
// there yet, is opened again.
func (r *Recorder) Run(ctx context.Context) error {
	// One step from time since boot to wall time for the whole run: within a
	// recording times never jump, whatever the system's clock does.
	var wall time.Duration
	if now := r.cfg.Clock.Wall(); now.By != "" {
		wall = time.Duration(now.Time.UnixNano()) - time.Duration(r.cfg.Clock.Now())
	} else {
		r.log.Warn("the time is unknown: the recording's times count from the boot of this machine")
	}
	files, err := openRecording(&r.cfg)
	if err != nil {
		return err
	}
	r.files = files
	defer files.lock.Close()
	var tasks sync.WaitGroup
	for _, b := range r.cfg.Buses {
		tasks.Go(func() { r.record(ctx, b, wall) })
	}
	tick := time.NewTicker(r.cfg.SyncEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
			r.mu.Lock()
			r.disk(r.files.sync())
			r.mu.Unlock()
		}
	}
	tasks.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disk(r.files.close())
	r.files.report(&r.stats)
	return r.err
}

// Stats returns what was done so far; of the files, what Run left.
func (r *Recorder) Stats() RecorderStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stats
}

// disk takes what became of a write. What is missing of the recording is
// counted; r.mu is held.
func (r *Recorder) disk(err error) {
	if err == nil {
		return
	}
	missing := r.files.abandon()
	r.stats.Frames -= missing
	r.again = time.Now().Add(r.cfg.SyncEvery)
	if r.err == nil {
		r.since = r.stats.Missing
		r.log.Warn("the disk does not take the recording: frames are only counted until it does; free space (df -h), or look at the card (dmesg | tail)", "error", err)
	}
	r.stats.Missing += missing
	r.err = err
}

// record keeps one bus open and writes what it hears.
func (r *Recorder) record(ctx context.Context, b RecordedBus, wall time.Duration) {
	said := ""
	wait := time.Second
	for ctx.Err() == nil {
		bus, err := b.Dial(ctx)
		if err == nil {
			said, wait = "", time.Second
			r.log.Info("recording", "bus", b.Name)
			stop := context.AfterFunc(ctx, func() { bus.Close() })
			err = r.hear(bus, b.Name, wall)
			stop()
			bus.Close()
		}
		if ctx.Err() != nil {
			return
		}
		if said == "" { // a try that fails like the one before is the same outage
			r.mu.Lock()
			r.stats.Outages++
			r.mu.Unlock()
		}
		if text := err.Error(); text != said {
			said = text
			r.log.Warn("bus cannot be recorded; it is opened again by itself", "bus", b.Name, "error", err)
		}
		if pause(ctx, wait) != nil {
			return
		}
		wait = min(2*wait, maxRecordBackoff)
	}
}

// hear writes the frames of an open bus.
func (r *Recorder) hear(bus Bus, name string, wall time.Duration) error {
	var drops uint64
	for {
		f, err := bus.Receive()
		if d := bus.Drops(); d != drops {
			r.log.Warn("frames were lost before they could be recorded; is the disk, or the machine, too slow?", "bus", name, "frames", d-drops)
			r.mu.Lock()
			r.stats.Dropped += d - drops
			r.mu.Unlock()
			drops = d
		}
		if err != nil {
			return err
		}
		r.write(&f, name, wall)
	}
}

func (r *Recorder) write(f *Frame, name string, wall time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil && time.Now().Before(r.again) {
		r.stats.Missing++
		return
	}
	at := int64(f.At) + int64(wall)
	r.line = appendLine(r.line[:0], f, name, at)
	if err := r.files.write(r.line, at); err != nil {
		r.disk(err)
		r.stats.Missing++
		return
	}
	r.stats.Frames++
	if r.err == nil {
		return
	}
	if err := r.files.sync(); err != nil { // a buffer takes what a full disk does not
		r.disk(err)
		return
	}
	r.err = nil
	r.log.Warn("the disk takes the recording again", "frames_missing", r.stats.Missing-r.since)
}

// appendLine appends a frame as candump -L prints it.
func appendLine(b []byte, f *Frame, name string, nanos int64) []byte {
	b = append(b, '(')
	b = strconv.AppendInt(b, nanos/1e9, 10)
	b = append(b, '.')
	micros := nanos % 1e9 / 1e3
	for div := int64(100_000); div > 0; div /= 10 {
		b = append(b, byte('0'+micros/div%10))
	}
	b = append(b, ") "...)
	b = append(b, name...)
	b = append(b, ' ')
	if f.Remote {
		b = f.Append(b)
		return append(b, '\n')
	}
	id, digits := f.ID, 3
	if f.Error {
		id |= flagError
	}
	if f.Extended || f.Error {
		digits = 8
	}
	for i := digits - 1; i >= 0; i-- {
		b = append(b, hexDigits[id>>(4*i)&0xF])
	}
	b = append(b, '#')
	if f.FD {
		b = append(b, '#', '0'+f.Flags)
	}
	for _, c := range f.Data[:f.Len] {
		b = append(b, hexDigits[c>>4], hexDigits[c&0xF])
	}
	return append(b, '\n')
}

const hexDigits = "0123456789ABCDEF"

var (
	// ErrRecording is wrapped by what the disk did to a recording.
	ErrRecording = errors.New("recording cannot be written")
	// ErrFolderInUse: another process records into the folder. Stop it, or
	// record into another one.
	ErrFolderInUse = errors.New("another obu record writes into the folder")
)
