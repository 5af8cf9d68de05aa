package buffer

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	berrors "go.etcd.io/bbolt/errors"

	"obu/buffer/wreck"
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
	w     *search  // nil: the file is gone
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
	h, err := openFile(s.path(dir))
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
	f, _ := wreck.Open(s.h, size) // a root that cannot be read is none
	s.w = newSearch(f, s.into.classes, s.stores())
	s.w.lax = s.into.faults != nil && s.into.faults.believeAll
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
	return s.w != nil && slices.ContainsFunc(s.w.streams, func(t *sought) bool { return t.store == store && t.class == class })
}

// salvageSome goes a bounded way on. f.wr must be held and the disk be taking
// data.
func (b *Buffer) salvageSome(f *file) {
	if len(f.saving) == 0 || !f.writable() {
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
	case !s.ended: // as much was read as may be at once
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

// gather reads on until enough is held for a transaction, or enough was read.
func (s *salvage) gather() {
	if s.next == nil {
		s.ended = true
		return
	}
	from, size := s.w.BytesRead(), 0
	for _, m := range s.held {
		size += len(m.rec)
	}
	for !s.ended && size < salvageMove && s.w.BytesRead()-from < salvageRead {
		fd, more := s.next()
		switch {
		case !more && s.skip.Seq != 0: // the batch where it stopped is not to be found any more
			size := s.w.Size()
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

// oweSaving has the next transaction of the file store the papers of what was
// set aside, and how far every salvage is.
func (b *Buffer) oweSaving(f *file) {
	if f == b.tele {
		b.papersDue = true
	} else {
		b.vidPapersDue = true
	}
}
