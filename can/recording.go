package can

import (
	"bufio"
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
)

// recording is a folder of candump logs, numbered from the oldest on, and a
// drive.yaml that says when each begins. One goroutine at a time uses it.
type recording struct {
	cfg  *RecorderConfig
	log  *slog.Logger
	done []recordedFile // oldest first
	now  recordedFile   // being written
	file *os.File       // nil: no frame since the last one ended
	out  *bufio.Writer
	next int

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
	r := &recording{cfg: cfg, log: cfg.Log, next: 1}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, diskError(err)
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
			return nil, diskError(err)
		}
		r.done = append(r.done, recordedFile{e.Name(), firstStamp(r.path(e.Name())), info.Size()})
	}
	sort.Slice(r.done, func(x, y int) bool {
		a, b := r.done[x].name, r.done[y].name
		return cmp.Or(len(a)-len(b), strings.Compare(a, b)) < 0
	})
	return r, r.bound()
}

// firstStamp returns the time of a log's first readable line, 0 without one.
func firstStamp(path string) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	log := ReadLog(f)
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
	n, err := r.out.Write(line)
	r.now.bytes += int64(n)
	return diskError(err)
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
	r.file, r.out = f, bufio.NewWriterSize(f, 64<<10)
	return r.list()
}

// sync has the disk take what was written.
func (r *recording) sync() error {
	if r.file == nil {
		return nil
	}
	if err := r.out.Flush(); err != nil {
		return diskError(err)
	}
	return diskError(r.file.Sync())
}

// close ends the present file.
func (r *recording) close() error {
	if r.file == nil {
		return nil
	}
	err := r.sync()
	if cerr := r.file.Close(); err == nil {
		err = diskError(cerr)
	}
	r.done = append(r.done, r.now)
	r.file, r.out, r.now = nil, nil, recordedFile{}
	return err
}

// bound removes the oldest files until another one has room.
func (r *recording) bound() error {
	total := int64(0)
	for _, f := range r.done {
		total += f.bytes
	}
	for len(r.done) > 0 && total+r.cfg.FileBytes > r.cfg.TotalBytes {
		old := r.done[0]
		r.done = r.done[1:]
		if err := r.list(); err != nil { // first: a replay wants every file of the list
			return err
		}
		if err := os.Remove(r.path(old.name)); err != nil && !os.IsNotExist(err) {
			return diskError(err)
		}
		total -= old.bytes
		r.removed = append(r.removed[:min(len(r.removed), 1)], old.name)
		r.removedFiles++
		r.removedBytes += old.bytes
		r.log.Warn("the oldest file of the recording was removed for its total bound", "file", old.name, "bytes", old.bytes, "began", time.Unix(0, old.first).UTC())
	}
	return nil
}

// list writes drive.yaml. A file that begins before the one in front of it, as
// the clock was set meanwhile, is played from where that begins.
func (r *recording) list() error {
	files := r.done
	if r.file != nil {
		files = append(slices.Clone(files), r.now)
	}
	var b strings.Builder
	b.WriteString("# written by obu record; replay: obu run -c obu.yaml --replay of this folder\n")
	offset := time.Duration(0)
	for i, f := range files {
		if i == 0 {
			fmt.Fprintf(&b, "start: %s\ncan:\n", time.Unix(0, f.first).UTC().Format(time.RFC3339Nano))
		}
		offset = max(offset, time.Duration(f.first-files[0].first))
		fmt.Fprintf(&b, "  - {file: %s, offset: %v}\n", f.name, offset)
	}
	tmp := r.path("drive.yaml.new")
	if err := os.WriteFile(tmp, []byte(b.String()), 0o644); err != nil {
		return diskError(err)
	}
	return diskError(os.Rename(tmp, r.path("drive.yaml")))
}

// report fills in what the folder holds.
func (r *recording) report(s *RecorderStats) {
	s.Files, s.Bytes = len(r.done), 0
	for _, f := range r.done {
		s.Bytes += f.bytes
	}
	s.Removed, s.RemovedBytes, s.Removals = r.removedFiles, r.removedBytes, strings.Join(r.removed, " to ")
}
