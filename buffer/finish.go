package buffer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"obu/telemetry"
)

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
	s.keep = len(gaps) > 0 || s.w == nil || s.w.Faults() > 0
	return b.dispose(f, s)
}

// unsaved lists what a salvage did not find.
func (b *Buffer) unsaved(f *file, s *salvage) []telemetry.Gap {
	note := session{Files: map[string]sessionFile{f.name: {Boot: s.Boot, OldestNS: s.OldestNS}}}
	if x := b.opts.faults; x != nil && x.missingUnlisted {
		return nil
	}
	if s.w == nil {
		return b.wholeStores(f, note, s.stores(), s.File)
	}
	boot, from, to := b.span(s.Boot, s.OldestNS)
	g := telemetry.Gap{Boot: boot, From: from, To: to, Source: s.File}
	gaps := s.cut(s.w.missing(g))
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
