package buffer

import (
	"time"

	"obu/telemetry"
)

const (
	// gapEventRoom is kept free for the event that lists an eviction.
	gapEventRoom = 2 << 10
	// evictStep is the least an eviction frees, so that a buffer at its quota
	// does not touch its oldest pages with every commit.
	evictStep = 64 << 10
	// evictRoom is kept free below the file's bound: see maxSize.
	evictRoom = 256 << 10
	// maxSizeRetries is how often a transaction that found the file at its
	// bound is tried again, each time after 1/evictRetry of the quota was freed.
	maxSizeRetries = 4
	evictRetry     = 16
)

// evict removes what ranks lowest, oldest first, until need more bytes fit
// into the quota, and no less than atLeast bytes. clipRank overrides the rank
// of a clip's chunks.
func (t *txn) evict(need, atLeast int64, clipRank map[telemetry.ClipID]Rank) ([]removal, error) {
	free := max(t.cost()+need-t.f.quota, t.squeeze(need), atLeast)
	if free <= 0 {
		return nil, nil
	}
	free = max(free, min(evictStep, t.f.quota/32))
	var out []removal
	for free > 0 {
		s, seq := t.victim(clipRank)
		if s == nil {
			break // the newest data gets in, whatever the quota
		}
		before := len(t.removed)
		if _, ok, err := t.remove(s, seq); err != nil {
			return nil, err
		} else if !ok { // in the index, not in the file
			out = append(out, t.takeOut(removal{s: s, seq: seq}))
			continue
		}
		r := t.removed[before]
		out = append(out, r)
		free -= r.cost
	}
	t.evicted = len(out)
	return out, nil
}

// evictSay is how often the log says that a file evicts: a buffer at its quota
// does so with every other commit, for as long as the link is away.
const evictSay = time.Hour

// evictions are those of one file that the log has not told.
type evictions struct {
	batches int
	again   telemetry.At // not before
}

// sayEvicted tells of n batches evicted for want of room. The file's wr must be
// held.
func (b *Buffer) sayEvicted(f *file, n int) {
	f.gone.batches += n
	if n == 0 || b.opts.Now() < f.gone.again {
		return
	}
	what, key := "history", "buffer.telemetry_quota"
	if f == b.vid {
		what, key = "clips", "buffer.media_quota"
	}
	b.log.Warn("the quota is used up: of "+what+" the oldest is deleted undelivered and listed as lost", "file", f.path, "batches", f.gone.batches,
		"quota_bytes", f.quota, "next", "bring the link back (`obu status` says what keeps it away), or raise "+key)
	f.gone = evictions{again: b.opts.Now().Add(evictSay)}
}

// squeeze returns how many bytes to evict because the file nears its bound: its
// pages may be half empty, after acknowledgements in no order. It begins while
// there are pages left to do it with; what it frees the next transaction has.
func (t *txn) squeeze(need int64) int64 {
	page, st := int64(t.f.db.Info().PageSize), t.f.db.Stats()
	room := int64(st.FreePageN+st.PendingPageN)*page + int64(t.f.maxSize()) - t.tx.Size()
	if room >= evictRoom+need {
		return 0
	}
	return evictRoom
}

// cost is what the file's batches weigh within the transaction.
func (t *txn) cost() int64 {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	var c int64
	for _, s := range t.f.streams {
		if s.mem == nil {
			c += s.cost
		}
	}
	for _, r := range t.removed {
		c -= r.cost
	}
	for _, a := range t.added {
		c += a.cost
	}
	return c
}

func (t *txn) victim(clipRank map[telemetry.ClipID]Rank) (*stream, uint64) {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	return victim(t.f.streams, clipRank, func(s *stream) bool { return s.mem == nil })
}

// victim chooses the oldest batch of the lowest rank. Streams are in order of
// age and so are the runs of a stream.
func victim(streams []*stream, clipRank map[telemetry.ClipID]Rank, in func(*stream) bool) (*stream, uint64) {
	var best *stream
	var seq uint64
	lowest := Rank(255)
	for _, s := range streams {
		if !in(s) {
			continue
		}
		for _, r := range s.runs {
			rank := max(r.rank, clipRank[r.clip])
			if rank < lowest {
				best, seq, lowest = s, r.from, rank
			}
		}
	}
	return best, seq
}
