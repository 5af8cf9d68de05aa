package buffer

import (
	"errors"
	"fmt"
	"slices"

	"obu/telemetry"
)

// errNoRoom says that what is left would take room from newer data: it stays
// where it is until some of that is delivered.
var errNoRoom = errors.New("no room below the quota")

// moved is one batch on its way.
type moved struct {
	store telemetry.StoreID
	class telemetry.Class
	seq   uint64
	rec   []byte
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
	if x := f.faults; x != nil && x.notedBeforeMove && was != s.at {
		return f.update((*txn).putProgress)
	}
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
