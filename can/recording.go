package can

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"obu/can/canlog"
)

// recording is a folder of candump logs, numbered from the oldest on, and a
// drive.yaml that says when each begins. One goroutine at a time uses it.
type recording struct {
	cfg  *RecorderConfig
	log  *slog.Logger
	done []recordedFile // oldest first
	now  recordedFile   // being written
	file *os.File       // nil: no frame since the last one ended
	lock *os.File       // of the folder
	next int

	buf      []byte // lines that are not in the file yet,
	buffered uint64 // and how many
	unsynced uint64 // lines in the file that the disk has not promised
	listed   bool   // drive.yaml knows of the file

	removed      []string // first and last
	removedFiles int
	removedBytes int64
}

type recordedFile struct {
	name  string
	first int64 // time of its first line, ns since 1970
	bytes int64
}

const (
	recordedPrefix = "can-"
	recordedSuffix = ".log"

	// maxLogFiles bounds the files of a recording: drive.yaml, which names them,
	// is written anew with each.
	maxLogFiles = 4096
)

func diskError(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrRecording, err)
}

// openRecording makes the folder, or goes on with what an earlier run left.
func openRecording(cfg *RecorderConfig) (*recording, error) {
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, diskError(err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	r := &recording{cfg: cfg, log: cfg.Log, lock: lock, next: 1}
	if err := r.takeStock(); err != nil {
		lock.Close()
		return nil, err
	}
	return r, nil
}

// takeStock looks what an earlier run left.
func (r *recording) takeStock() error {
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		return diskError(err)
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(strings.TrimSuffix(e.Name(), recordedSuffix), recordedPrefix)
		n, err := strconv.Atoi(number)
		if !ok || err != nil || !strings.HasSuffix(e.Name(), recordedSuffix) || !e.Type().IsRegular() {
			continue
		}
		r.next = max(r.next, n+1)
		info, err := e.Info()
		if err != nil {
			return diskError(err)
		}
		r.done = append(r.done, recordedFile{e.Name(), firstStamp(r.path(e.Name())), info.Size()})
	}
	sort.Slice(r.done, func(x, y int) bool {
		a, b := r.done[x].name, r.done[y].name
		return cmp.Or(len(a)-len(b), strings.Compare(a, b)) < 0
	})
	return r.bound()
}

// firstStamp returns the time of a log's first readable line, 0 without one.
func firstStamp(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	log := canlog.NewReader(f)
	for range 100 {
		if e, err := log.Next(); err == nil {
			return e.Stamp.Nanos
		}
	}
	return 0
}

func (r *recording) path(name string) string { return filepath.Join(r.cfg.Dir, name) }

// write appends a line of the given time, in a new file where the present one
// has enough.
func (r *recording) write(line []byte, at int64) error {
	if r.file != nil && (r.now.bytes+int64(len(line)) > r.cfg.FileBytes || time.Duration(at-r.now.first) >= r.cfg.FileAge) {
		if err := r.close(); err != nil {
			return err
		}
	}
	if r.file == nil {
		if err := r.begin(at); err != nil {
			return err
		}
	}
	if len(r.buf)+len(line) > recordBuffer {
		if err := r.flush(); err != nil {
			return err
		}
	}
	r.buf = append(r.buf, line...)
	r.buffered++
	r.now.bytes += int64(len(line))
	return nil
}

// recordBuffer is how many bytes are written to a file at once.
const recordBuffer = 64 << 10

// flush writes what is buffered. Of what does not fit a disk the whole lines
// stay.
func (r *recording) flush() error {
	n, err := r.file.Write(r.buf)
	if err == nil {
		r.unsynced += r.buffered
		r.buf, r.buffered = r.buf[:0], 0
		if !r.listed { // before it holds nothing that could be replayed
			err = r.list()
			r.listed = err == nil
		}
		return err
	}
	whole := bytes.LastIndexByte(r.buf[:n], '\n') + 1
	lines := uint64(bytes.Count(r.buf[:whole], []byte{'\n'}))
	r.unsynced, r.buffered = r.unsynced+lines, r.buffered-lines
	r.now.bytes -= int64(len(r.buf) - whole)
	r.buf = r.buf[:0]
	_ = r.file.Truncate(r.now.bytes) // a line cut short is told when it is read
	return diskError(err)
}

// abandon ends the present file after an error of the disk and returns how
// many lines of it are missing, or may be.
func (r *recording) abandon() uint64 {
	missing := r.buffered
	if r.file != nil {
		if r.file.Sync() != nil {
			missing += r.unsynced
		}
		_ = r.file.Close() // the disk has said what is wrong
		r.now.bytes -= int64(len(r.buf))
		if r.now.bytes > 0 {
			r.done = append(r.done, r.now)
		} else {
			_ = os.Remove(r.path(r.now.name)) // it holds nothing
			r.next--
		}
	}
	r.file, r.now, r.buf, r.buffered, r.unsynced = nil, recordedFile{}, r.buf[:0], 0, 0
	return missing
}

// begin opens the next file.
func (r *recording) begin(at int64) error {
	if err := r.bound(); err != nil {
		return err
	}
	r.now = recordedFile{name: fmt.Sprintf("%s%06d%s", recordedPrefix, r.next, recordedSuffix), first: at}
	f, err := os.OpenFile(r.path(r.now.name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return diskError(err)
	}
	r.next++
	r.file, r.listed = f, false
	return nil
}

// sync has the disk take what was written.
func (r *recording) sync() error {
	if r.file == nil {
		return nil
	}
	if err := r.flush(); err != nil {
		return err
	}
	if err := r.file.Sync(); err != nil {
		return diskError(err)
	}
	r.unsynced = 0
	return nil
}

// close ends the present file. After an error abandon has to.
func (r *recording) close() error {
	if r.file == nil {
		return nil
	}
	if err := r.sync(); err != nil {
		return err
	}
	if err := r.file.Close(); err != nil {
		return diskError(err)
	}
	r.done = append(r.done, r.now)
	r.file, r.now = nil, recordedFile{}
	return nil
}

// bound removes the oldest files until another one has room.
func (r *recording) bound() error {
	total := int64(0)
	for _, f := range r.done {
		total += f.bytes
	}
	for len(r.done) > 0 && (total+r.cfg.FileBytes > r.cfg.TotalBytes || len(r.done) >= maxLogFiles) {
		old := r.done[0]
		r.done = r.done[1:]
		lerr := r.list() // first: a replay wants every file of the list
		if err := os.Remove(r.path(old.name)); err != nil && !os.IsNotExist(err) {
			r.done = slices.Insert(r.done, 0, old)
			return diskError(err)
		}
		if lerr != nil { // a full disk, which now has room
			if err := r.list(); err != nil {
				return err
			}
		}
		total -= old.bytes
		r.removed = append(r.removed[:min(len(r.removed), 1)], old.name)
		r.removedFiles++
		r.removedBytes += old.bytes
		r.log.Warn("the oldest file of the recording was removed for the bound of all, in bytes or files", "file", old.name, "bytes", old.bytes, "began", time.Unix(0, old.first).UTC())
	}
	return nil
}

// report fills in what the folder holds.
func (r *recording) report(s *RecorderStats) {
	s.Files, s.Bytes = len(r.done), 0
	for _, f := range r.done {
		s.Bytes += f.bytes
	}
	s.Removed, s.RemovedBytes, s.Removals = r.removedFiles, r.removedBytes, strings.Join(r.removed, " to ")
}
