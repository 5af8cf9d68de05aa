package buffer

import (
	"time"

	"obu/telemetry"
)

// What one transaction expires, and how often to look.
const (
	expireEvery   = time.Minute
	expireRecords = 4096
	expireBytes   = 8 << 20
)

// expiry is one look for what is too old, in one file.
type expiry struct {
	before time.Time // what was stored before it goes
	dated  map[telemetry.BootID]bootTime
}

// expiryDue returns what to look for in f, and whether it is time: an age is
// configured, the wall clock is trusted now, and some stream begins with
// records that are too old. f.wr must be held.
func (b *Buffer) expiryDue(f *file, c cut) (expiry, bool) {
	if b.opts.MaxAge == 0 || c.wall.IsZero() || c.at < f.expireAt {
		return expiry{}, false
	}
	e := expiry{c.wall.Add(-b.opts.MaxAge), b.when()}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.streams {
		if s.mem == nil && len(s.runs) > 0 && (e.old(s.boot, s.oldest) || e.undated(s.boot)) {
			return e, true
		}
	}
	f.expireAt = c.at.Add(expireEvery)
	return expiry{}, false
}

// expireOld takes out of the transaction's file what is too old, if it is time
// to look for it.
func (b *Buffer) expireOld(t *txn, c cut) ([]removal, error) {
	e, due := b.expiryDue(t.f, c)
	if !due {
		return nil, nil
	}
	out, more, err := t.expire(e)
	if !more {
		t.f.expireAt = c.at.Add(expireEvery)
	}
	t.expired = len(out)
	return out, err
}

// old reports whether a record is known to be from before the limit.
func (e expiry) old(boot telemetry.BootID, at telemetry.At) bool {
	t, ok := e.dated[boot]
	return ok && t.wall(at).Before(e.before)
}

// undated reports whether it cannot be known how old a record is.
func (e expiry) undated(boot telemetry.BootID) bool {
	_, ok := e.dated[boot]
	return !ok
}

// expire takes out what is too old, the oldest first, and returns it. Records
// of a boot whose wall time nobody knows stay, and are passed over. An event
// that lists losses goes like others, and its rows, which never expire, get a
// new one: left in place it would cut the range that lists its neighbours, and
// each piece would want an event again. It is done when more is false.
func (t *txn) expire(e expiry) (out []removal, more bool, err error) {
	bytes := int64(0)
	for _, s := range t.streamsOnDisk() {
		for seq := t.nextHeld(s, s.passed); seq != 0; seq = t.nextHeld(s, seq+1) {
			if len(out) >= expireRecords || bytes >= expireBytes {
				return out, true, nil
			}
			rec, where := openShelf(t.tx, s.store, s.class).record(seq)
			if where == nowhere {
				continue // Read lists it
			}
			h, _, err := openRecord(s.name(seq), rec)
			if err != nil {
				continue // likewise
			}
			if e.undated(h.boot) {
				s.passed = seq + 1
				continue
			}
			if !e.old(h.boot, h.at) {
				break
			}
			before := len(t.removed)
			if _, ok, err := t.remove(s, seq); err != nil {
				return nil, false, err
			} else if ok {
				r := &t.removed[before]
				r.why = telemetry.ReasonExpired
				out, bytes = append(out, *r), bytes+r.cost
			}
		}
	}
	return out, false, nil
}

func (t *txn) streamsOnDisk() []*stream {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	var out []*stream
	for _, s := range t.f.streams {
		if s.mem == nil {
			out = append(out, s)
		}
	}
	return out
}

// nextHeld returns the first held seq of a stream from seq on, or 0.
func (t *txn) nextHeld(s *stream, seq uint64) uint64 {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	i, held := s.find(seq)
	switch {
	case held:
		return seq
	case i < len(s.runs):
		return s.runs[i].from
	}
	return 0
}
