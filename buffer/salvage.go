package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"obu/telemetry"
)

// What one step of a salvage may take of the caller of Commit, who waits for
// it, and how long a salvage rests when the store has no room for more.
const (
	salvageRead = 2 << 20 // bytes read from the file set aside
	salvageMove = 1 << 20 // bytes of batches moved, and written in one transaction
	salvageRest = 30 * time.Second
)

// salvage moves what is left in one file set aside into the store, as a retired
// store that drains, under the names it has. How far it got stands in the store
// itself, written by the transaction that moved the batches: a restart goes on
// from there. It belongs to the writer of its file.
type salvage struct {
	pending
	into  *file
	h     *os.File // nil: the file is gone
	w     *wreck   // nil: the file is gone
	next  func() (find, bool)
	stop  func()
	at    telemetry.Name // the batch moved last; zero: none yet
	skip  telemetry.Name // batches up to this one were moved before a restart
	held  []moved        // read, not moved yet
	ended bool           // all was read
	done  bool           // what is missing is in the Gap table
	torn  bool           // gap rows may be missing
	keep  bool           // something of it is missing: kept for inspection
	rest  telemetry.At   // nothing is tried before
	count int            // batches moved
}

// moved is one batch on its way.
type moved struct {
	store telemetry.StoreID
	class telemetry.Class
	seq   uint64
	rec   []byte
}

// progress is how far the salvage of a file got, as the store says.
type progress struct {
	file string
	done bool
	at   telemetry.Name
}

// keySalvage in the main bucket holds a progress for every file whose papers
// are in this store: it says that they are, and what else is.
var keySalvage = []byte("salvage")

func encodeProgress(list []*salvage) []byte {
	b := make([]byte, 4, 64)
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s.File)
		b = append(b, boolByte(s.done))
		b = append(b, s.at.Store[:]...)
		b = append(b, byte(s.at.Class))
		b = binary.AppendUvarint(b, s.at.Seq)
	}
	return sealed(b)
}

// decodeProgress reads it; what is not what was written is nothing: then all is
// moved once more.
func decodeProgress(v []byte) []progress {
	r, err := unsealed(v)
	if err != nil {
		return nil
	}
	var out []progress
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		p := progress{file: r.text(), done: r.byte() == 1}
		r.fixed(p.at.Store[:])
		p.at.Class = telemetry.Class(r.byte())
		p.at.Seq = r.uvarint()
		if !r.bad {
			out = append(out, p)
		}
	}
	return out
}

// takeUp begins or goes on with the salvage of what was set aside of f, and
// puts into c what is found besides batches. It reads little: batches come with
// later commits.
func (b *Buffer) takeUp(f *file, c *contents) {
	waiting := append(b.newer(f), readPending(b.opts.Dir)...)
	for _, p := range waiting {
		going := slices.ContainsFunc(f.saving, func(s *salvage) bool { return s.File == p.File })
		if !p.of(f) || going {
			continue
		}
		s := &salvage{pending: p, into: f}
		i := slices.IndexFunc(c.progress, func(g progress) bool { return g.file == p.File })
		if i >= 0 {
			s.at, s.done = c.progress[i].at, c.progress[i].done
			s.skip, s.keep = s.at, s.done
		}
		if err := s.open(b.opts.Dir); err != nil && !s.done {
			if s.inPlace(c) {
				b.forget(s)
				continue
			}
			b.log.Error("a store that was set aside cannot be read; what it held is lost and listed", "file", s.path(b.opts.Dir), "err", err)
		}
		if s.w != nil && s.w.newer {
			s.close()
			continue // for a later obu
		}
		if i < 0 && s.w != nil {
			papers, torn := s.w.papers()
			s.torn = torn
			c.saved = append(c.saved, papers)
		}
		b.oweSaving(f)
		b.log.Info("what is left in a store that was set aside is being moved back", "file", s.path(b.opts.Dir), "again", i >= 0)
		f.saving = append(f.saving, s)
	}
	f.pin(c.streams)
}

// anyAside reports whether something set aside of f waits to be salvaged.
func (b *Buffer) anyAside(f *file) bool {
	waiting := append(b.newer(f), readPending(b.opts.Dir)...)
	return slices.ContainsFunc(waiting, func(p pending) bool { return p.of(f) })
}

func (s *salvage) path(dir string) string { return filepath.Join(dir, s.File) }

// open prepares the passes over the file.
func (s *salvage) open(dir string) error {
	h, err := os.Open(s.path(dir))
	if err != nil {
		return err
	}
	info, err := h.Stat()
	if err != nil {
		h.Close()
		return err
	}
	s.h = h
	s.begin(info.Size())
	return nil
}

func (s *salvage) begin(size int64) {
	p, _ := newPager(s.h, size) // a root that cannot be read is none
	s.w = newWreck(p, s.into.classes, s.stores())
	s.next, s.stop = iter.Pull(iter.Seq[find](s.w.finds))
}

func (s *salvage) close() {
	if s.stop != nil {
		s.stop()
	}
	if s.h != nil {
		_ = s.h.Close()
	}
	s.h, s.next, s.stop = nil, nil, nil
}

// inPlace reports whether the file of the salvage was never set aside: the
// power went before it was.
func (s *salvage) inPlace(c *contents) bool {
	ids := s.stores()
	return slices.Contains(ids, c.state.store) || slices.ContainsFunc(c.streams, func(t *stream) bool { return slices.Contains(ids, t.store) })
}

// pin keeps the floor of streams that are being salvaged: what is still to come
// is owed.
func (f *file) pin(streams []*stream) {
	for _, t := range streams {
		t.owing = slices.ContainsFunc(f.saving, func(s *salvage) bool { return s.holds(t.store, t.class) })
	}
}

func (s *salvage) holds(store telemetry.StoreID, class telemetry.Class) bool {
	return s.w != nil && slices.ContainsFunc(s.w.streams, func(t *wreckStream) bool { return t.store == store && t.class == class })
}

// salvageSome goes a bounded way on. f.wr must be held and the disk be taking
// data.
func (b *Buffer) salvageSome(f *file) {
	if len(f.saving) == 0 || f.db == nil || f.db.IsReadOnly() {
		return
	}
	s := f.saving[0]
	if b.opts.Now() < s.rest {
		return
	}
	if !s.done {
		s.gather()
	}
	var err error
	switch {
	case len(s.held) > 0:
		err = b.moveBack(f, s)
	case s.done:
		err = b.dispose(f, s)
	default:
		err = b.finish(f, s)
	}
	switch {
	case err == nil:
	case s.done:
		s.rest = b.opts.Now().Add(salvageRest)
		b.log.Warn("a store whose salvage is done cannot be put away; trying again", "file", s.path(b.opts.Dir), "err", err)
	case isFull(err) || errors.Is(err, errNoRoom) || errors.Is(err, berrors.ErrMaxSizeReached):
		s.rest = b.opts.Now().Add(salvageRest)
	case f == b.tele:
		b.failed(err)
	default:
		_ = b.mediaFailed(err) // logged
	}
}

// errNoRoom says that what is left would take room from newer data: it stays
// where it is until some of that is delivered.
var errNoRoom = errors.New("no room below the quota")

// gather reads on until enough is held for a transaction, or enough was read.
func (s *salvage) gather() {
	if s.next == nil {
		s.ended = true
		return
	}
	from, size := s.w.bytes, 0
	for _, m := range s.held {
		size += len(m.rec)
	}
	for !s.ended && size < salvageMove && s.w.bytes-from < salvageRead {
		fd, more := s.next()
		switch {
		case !more && s.skip.Seq != 0: // the batch where it stopped is not to be found any more
			size := s.w.size
			s.stop()
			s.skip = telemetry.Name{}
			s.begin(size)
		case !more:
			s.ended = true
		case fd.stream == nil:
		case s.skip.Seq != 0:
			if n := (telemetry.Name{Store: fd.stream.store, Class: fd.stream.class, Seq: fd.seq}); n == s.skip {
				s.skip = telemetry.Name{}
			}
		case s.given(fd):
			s.held = append(s.held, moved{fd.stream.store, fd.stream.class, fd.seq, slices.Clone(fd.rec)})
			size += len(fd.rec)
		}
	}
}

// given reports whether a batch's name was given out: one that a failed
// transaction left in the file has another name by now.
func (s *salvage) given(fd find) bool {
	next, known := s.Next[streamText(fd.stream.store, fd.stream.class)]
	return !known || fd.seq < next
}

// moveBack stores what is held, in one transaction with how far that is.
func (b *Buffer) moveBack(f *file, s *salvage) error {
	var need int64
	for _, m := range s.held {
		need += diskCost(len(m.rec))
	}
	n, last := 0, s.held[len(s.held)-1]
	was := s.at
	s.at = telemetry.Name{Store: last.store, Class: last.class, Seq: last.seq}
	err := f.update(func(t *txn) error {
		if t.cost()+need > f.quota-min(evictStep, f.quota/8) || t.squeeze(need) > 0 {
			return errNoRoom
		}
		if err := t.reserve(need); err != nil {
			return err
		}
		n = 0
		for _, m := range s.held {
			f.mu.Lock()
			to := f.revive(s, m)
			held := to == nil || to.held(m.seq)
			f.mu.Unlock()
			if held {
				continue
			}
			h, _, err := decodeHeader(m.rec)
			if err != nil {
				return err
			}
			if err := t.put(to, m.seq, h, m.rec, false); err != nil {
				return err
			}
			n++
		}
		return t.putProgress()
	})
	if err != nil {
		s.at = was
		return fmt.Errorf("move back from %s: %w", s.File, err)
	}
	s.held, s.count = nil, s.count+n
	b.mu.Lock()
	b.stats.salvaged += uint64(n)
	b.mu.Unlock()
	return nil
}

// revive returns the stream a batch goes to, made on first use: older than all
// that mints, and never one that does. mu must be held.
func (f *file) revive(s *salvage, m moved) *stream {
	if m.store == f.state.store {
		return nil
	}
	to := f.stream(m.store, m.class)
	if to == nil {
		to = newStream(m.store, m.class)
		at := slices.IndexFunc(f.streams, func(o *stream) bool { return o.store == f.state.store || o.mem != nil || !s.holds(o.store, o.class) })
		if at < 0 {
			at = len(f.streams)
		}
		f.streams = slices.Insert(f.streams, at, to)
	}
	to.owing = true
	for _, t := range s.w.streams {
		if t.store == m.store && t.class == m.class {
			to.next = max(to.next, t.next)
		}
	}
	to.next = max(to.next, m.seq+1)
	return to
}

// putProgress stores how far every salvage of the file is.
func (t *txn) putProgress() error {
	b, err := t.tx.CreateBucketIfNotExists(bucketMain)
	if err != nil {
		return fmt.Errorf("open main bucket: %w", err)
	}
	if err := b.Put(keySalvage, encodeProgress(t.f.saving)); err != nil {
		return fmt.Errorf("store progress of salvage: %w", err)
	}
	return nil
}

// finish lists what was not found, in one transaction with the note that this
// is done.
func (b *Buffer) finish(f *file, s *salvage) error {
	gaps := b.unsaved(f, s)
	s.done = true
	b.oweSaving(f)
	var err error
	owed := 0
	if f == b.tele {
		err = b.update(func(t *txn) error {
			for _, g := range gaps {
				b.gaps.add(g)
			}
			_, err := b.transact(t, nil, 0)
			return err
		})
	} else {
		owed = len(gaps)
		b.vidLost = append(b.vidLost, gaps...)
		_, err = b.updateMedia(nil, nil, 0)
	}
	if err != nil {
		s.done = false
		b.vidLost = b.vidLost[:len(b.vidLost)-owed]
		return err
	}
	args := []any{"file", s.path(b.opts.Dir), "batches", s.count, "missing_ranges", len(gaps)}
	if len(gaps) > 0 {
		b.log.Warn("what was left in a store that was set aside is moved back; what is missing is listed", args...)
	} else {
		b.log.Info("all that a store held which was set aside is moved back", args...)
	}
	s.keep = len(gaps) > 0 || s.w == nil || s.w.faults > 0
	return b.dispose(f, s)
}

// unsaved lists what a salvage did not find.
func (b *Buffer) unsaved(f *file, s *salvage) []telemetry.Gap {
	note := session{Files: map[string]sessionFile{f.name: {Boot: s.Boot, OldestNS: s.OldestNS}}}
	if s.w == nil {
		return b.wholeStores(f, note, s.stores(), s.File)
	}
	boot, from, to := b.span(s.Boot, s.OldestNS)
	g := telemetry.Gap{Boot: boot, From: from, To: to, Source: s.File}
	var gaps []telemetry.Gap
	for _, m := range s.w.missing(g) {
		if next, known := s.Next[streamText(m.Store, m.Class)]; known {
			m.ToSeq = min(m.ToSeq, next-1)
		}
		if m.FromSeq <= m.ToSeq {
			gaps = append(gaps, m)
		}
	}
	if s.torn || !s.w.told && len(s.w.streams) == 0 {
		gaps = append(gaps, b.wholeStores(f, note, nil, s.File)...)
	}
	return gaps
}

// dispose lets go of a file whose salvage is done: one with nothing more in it
// is removed, a damaged one of which something is missing kept for inspection.
func (b *Buffer) dispose(f *file, s *salvage) error {
	path := s.path(b.opts.Dir)
	s.close()
	err := error(nil)
	if !s.keep {
		err = os.Remove(path)
	} else if strings.Contains(s.File, ".newer-") { // not to be salvaged again
		var aside string
		if aside, err = b.asideName(f, "damaged"); err == nil {
			err = os.Rename(path, aside)
		}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("put away %s: %w", s.File, err)
	}
	b.forget(s)
	if err := b.pruneAside(f, maxAside); err != nil {
		b.log.Warn("old damaged stores stay on the disk", "dir", b.opts.Dir, "err", err)
	}
	f.saving = f.saving[1:]
	f.mu.Lock()
	f.pin(f.streams)
	f.mu.Unlock()
	return nil
}

// forget takes a file off the list of those that wait.
func (b *Buffer) forget(s *salvage) {
	err := b.changePending(func(l []pending) []pending {
		return slices.DeleteFunc(l, func(p pending) bool { return p.File == s.File })
	})
	if err != nil {
		b.log.Warn("the list of stores to be salvaged is not written; the next start looks at the file again", "file", s.File, "err", err)
	}
}

// oweSaving has the next transaction of the file store the papers of what was
// set aside, and how far every salvage is.
func (b *Buffer) oweSaving(f *file) {
	if f == b.tele {
		b.papersDue = true
	} else {
		b.vidPapersDue = true
	}
}
