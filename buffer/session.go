package buffer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// sessionName is the file beside the databases that can be read without
// opening them: whether they were closed in order, and which stores are in
// them, should they prove unreadable.
const sessionName = "session.json"

type session struct {
	Clean  bool                   `json:"clean"`
	Boot   string                 `json:"boot,omitempty"`    // of the run
	FromNS telemetry.At           `json:"from_ns,omitempty"` // when the run began, in Boot
	Files  map[string]sessionFile `json:"files"`
}

type sessionFile struct {
	SizeBytes int64        `json:"size_bytes"`          // when closed in order
	Stores    []string     `json:"stores"`              // store ids, oldest first
	Boot      string       `json:"boot,omitempty"`      // of all that is in it; "" when that is more than one
	OldestNS  telemetry.At `json:"oldest_ns,omitempty"` // nothing in it is older, in Boot
}

// endOfBoot is the To of a loss that may reach to the end of a boot, should
// nobody know when that was: later than any unit runs without a restart.
const endOfBoot telemetry.At = allSeqs

// span is the time from a moment of a boot until the file was lost: now, when
// that is the running boot. It is zero when the moment is not known.
func (b *Buffer) span(boot string, from telemetry.At) (id telemetry.BootID, start, end telemetry.At) {
	id, err := telemetry.ParseBootID(boot)
	switch {
	case err != nil || id.IsZero():
		return telemetry.BootID{}, 0, 0
	case id == b.opts.Boot:
		return id, from, max(from, b.opts.Now())
	}
	return id, from, max(from, endOfBoot)
}

// uncleanGaps lists what a run that did not end in order had not stored: in
// the same boot up to now, after a power cut the stated loss.
func uncleanGaps(s state, boot telemetry.BootID, now telemetry.At) []telemetry.Gap {
	if s.clean {
		return nil
	}
	to := s.flushAt.Add(s.window)
	if s.boot == boot {
		to = max(now, s.flushAt)
	}
	return uncleanSpan(s.boot, s.flushAt, to)
}

func uncleanSpan(boot telemetry.BootID, from, to telemetry.At) []telemetry.Gap {
	var out []telemetry.Gap
	for _, class := range [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth} {
		out = append(out, telemetry.Gap{
			Class: class, Boot: boot, From: from, To: to,
			Count: telemetry.CountUnknown, Reason: telemetry.ReasonUncleanStart,
		})
	}
	return out
}

// uncleanSession is uncleanGaps when the file that knows of the last flush is
// gone or damaged: all since the run began.
func (b *Buffer) uncleanSession(s session) []telemetry.Gap {
	if s.Clean {
		return nil
	}
	boot, from, to := b.span(s.Boot, s.FromNS)
	return uncleanSpan(boot, from, to)
}

// unmarkedSession is uncleanSession when telemetry.db was closed in order, and
// the session file says that a run did not end so: that run never got as far as
// a transaction, because its disk failed all the while, or the note that the
// file was closed did not reach the disk.
func (b *Buffer) unmarkedSession(s session, last state) []telemetry.Gap {
	if s.Files == nil || !last.clean || last.commits == 0 { // no file says nothing
		return nil
	}
	if boot, err := telemetry.ParseBootID(s.Boot); err == nil && boot == last.boot {
		s.FromNS = max(s.FromNS, last.flushAt)
	}
	return b.uncleanSession(s)
}

// noted is what the session file says of a file whose stores are ids.
func (b *Buffer) noted(f *file, ids []string) sessionFile {
	s := sessionFile{Stores: ids, Boot: b.opts.Boot.String(), OldestNS: b.stats.opened}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range f.streams {
		switch {
		case t.batches == 0:
		case t.boot != b.opts.Boot:
			s.Boot, s.OldestNS = "", 0
			return s
		default:
			s.OldestNS = min(s.OldestNS, t.oldest)
		}
	}
	return s
}

// readSession returns what the last user of the directory left. Nothing
// readable counts as not closed in order.
func readSession(dir string) session {
	var s session
	raw, err := readFile(filepath.Join(dir, sessionName))
	if err != nil || json.Unmarshal(raw, &s) != nil {
		return session{}
	}
	return s
}

func (s session) stores(name string) []telemetry.StoreID {
	var out []telemetry.StoreID
	for _, t := range s.Files[name].Stores {
		if id, err := telemetry.ParseStoreID(t); err == nil {
			out = append(out, id)
		}
	}
	return out
}

// writeSession replaces the session file; it is durable when this returns.
func (b *Buffer) writeSession(clean bool) error {
	b.sessionMu.Lock()
	defer b.sessionMu.Unlock()
	s := session{Clean: clean, Boot: b.opts.Boot.String(), FromNS: b.stats.opened, Files: map[string]sessionFile{}}
	for _, f := range [...]*file{b.tele, b.vid} {
		if f.unknown() { // what was known of it still holds; what memory has was never in it
			if was, ok := b.before.Files[f.name]; ok {
				s.Files[f.name] = was
			}
			continue
		}
		if gone := f.astray(); gone != nil {
			if clean {
				return fmt.Errorf("write session: %w", gone)
			}
			s.Files[f.name] = b.noted(f, f.storeIDs()) // for the next start to list, unless they are moved
			continue
		}
		info, err := os.Stat(f.path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("write session: %w", err)
		}
		n := b.noted(f, f.storeIDs())
		n.SizeBytes = info.Size()
		s.Files[f.name] = n
	}
	return b.putSession(s)
}

// takeIntoUse marks the directory as not closed in order before a database is
// opened in this process: should that end the process, it does so once.
func (b *Buffer) takeIntoUse(s session) error {
	if !s.Clean {
		return nil
	}
	s.Clean, s.Boot, s.FromNS = false, b.opts.Boot.String(), b.stats.opened
	err := b.putSession(s)
	if isFull(err) { // there is room where the old one stands
		_ = b.overwriteSession(s)
	}
	return err
}

// overwriteSession writes into the session file itself. Should a power cut tear
// it, it is not readable, which too counts as not closed in order.
func (b *Buffer) overwriteSession(s session) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(b.opts.Dir, sessionName), os.O_WRONLY|unix.O_NONBLOCK, dbMode)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	raw = append(raw, bytes.Repeat([]byte{'\n'}, max(1, int(info.Size())-len(raw)))...)
	if _, err := f.WriteAt(raw, 0); err != nil {
		return err
	}
	return f.Sync()
}

func (b *Buffer) putSession(s session) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("write session: %w", err)
	}
	path := filepath.Join(b.opts.Dir, sessionName)
	if err := replaceFile(path, append(raw, '\n')); err != nil {
		return err
	}
	return b.opts.faults.makeDurable(b.opts.Dir)
}

// unknown reports whether nothing was read of the file in this run.
func (f *file) unknown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.file.IsZero()
}

// storeIDs lists the stores in the file, each once, oldest first.
func (f *file) storeIDs() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	seen := map[telemetry.StoreID]bool{}
	add := func(id telemetry.StoreID) {
		if !seen[id] {
			seen[id] = true
			out = append(out, id.String())
		}
	}
	for _, s := range f.streams {
		add(s.store)
	}
	if !f.state.store.IsZero() {
		add(f.state.store)
	}
	return out
}

// replaceFile writes a small file so that it has the old or the new content
// whatever happens: which one is certain once the directory is synced.
func replaceFile(path string, content []byte) error {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NONBLOCK, dbMode) // a pipe is an error at once
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
		if wrong := isFile(path); err != nil && wrong != nil {
			err = wrong // names the folder that stands there
		}
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
