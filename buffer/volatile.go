package buffer

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// How long to leave a failing disk alone: doubled with each failure.
const (
	minBackoff = time.Second
	maxBackoff = time.Minute
	// calmAfter is how long a disk has to work before its next failure counts
	// as the first: one that comes and goes would retire a store each second.
	calmAfter = 30 * time.Second
)

// failure is the state of telemetry.db while its disk does not take data.
type failure struct {
	active  bool
	suspect bool // the file itself may be damaged: verify before writing on
	retryAt telemetry.At
	backoff time.Duration
	calmAt  telemetry.At // a failure from then on is the first again
	memory  int64        // bytes held in volatile streams
	since   telemetry.At // when it began
	last    string       // what the disk said last
}

// diskHint is for the technician.
const diskHint = "check free space (df -h) and the disk's health (dmesg | tail)"

// failed retires the store after a transaction that may or may not be on disk
// and lets a volatile store take over. Nothing is minted under the old id
// again.
func (b *Buffer) failed(err error) {
	if errors.Is(err, errPanicked) {
		_ = b.tele.closeDB()
	}
	b.fail.suspect = b.fail.suspect || !isFull(err)
	b.backOff()
	b.mu.Lock()
	b.stats.failures++
	b.mu.Unlock()
	b.fail.last = err.Error()
	if b.fail.active {
		return
	}
	b.fail.active, b.fail.since = true, b.opts.Now()
	b.tele.mintUnder(newStoreID())
	if errors.Is(err, ErrGone) {
		b.log.Error("the buffer's store was deleted, moved or replaced while obu runs: keeping a bounded amount in memory and moving the rest",
			"file", b.tele.path, "err", err, "next", goneHint)
		return
	}
	b.log.Error("the buffer's disk does not take data: keeping a bounded amount in memory and trying again",
		"file", b.tele.path, "err", err, "next", diskHint)
}

func (b *Buffer) backOff() {
	if !b.fail.active && b.opts.Now() >= b.fail.calmAt {
		b.fail.backoff = 0
	}
	b.fail.backoff = min(max(2*b.fail.backoff, minBackoff), maxBackoff)
	b.fail.retryAt = b.opts.Now().Add(b.fail.backoff)
}

// isFull reports whether an error came before anything was written: the tree
// on disk is as it was.
func isFull(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// commitVolatile keeps recs in memory.
func (b *Buffer) commitVolatile(recs []record) []telemetry.Name {
	f := b.tele
	b.gaps.begin()
	f.mu.Lock()
	acked := append([]telemetry.Name(nil), f.acked...)
	f.mu.Unlock()
	b.settleGaps(acked)
	f.mu.Lock()
	var onDisk []telemetry.Name
	for _, n := range acked {
		delete(f.undelivered, n) // it is in the Gap table now
		if s := f.stream(n.Store, n.Class); s != nil && s.mem == nil {
			onDisk = append(onDisk, n)
		}
	}
	f.acked = append(onDisk, f.acked[len(acked):]...)
	f.mu.Unlock()
	for _, g := range b.takeLost() {
		b.gaps.add(g)
	}
	var need int64
	for _, r := range recs {
		need += int64(len(r.rec))
	}
	evicted := b.evictVolatile(need)
	b.countEvicted(len(evicted))
	b.listEvicted(evicted, telemetry.ReasonDiskFailed)
	_ = b.emitGaps(func(r record) (telemetry.Name, error) { return b.keep(r), nil })
	names := make([]telemetry.Name, len(recs))
	for i, r := range recs {
		if r.rec != nil {
			names[i] = b.keep(r)
		}
	}
	b.gaps.undo, b.gaps.undoing = nil, false // rows stay touched until a disk takes them
	return names
}

// keep puts one record into the volatile stream of its class.
func (b *Buffer) keep(r record) telemetry.Name {
	f := b.tele
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.mint(r.class)
	if s.mem == nil {
		s.mem = map[uint64][]byte{}
	}
	n := s.name(s.next)
	s.next++
	sealRecord(n, r.rec)
	s.mem[n.Seq] = r.rec
	s.add(n.Seq, r.h.rank, r.h.clip)
	_, blob, _ := decodeHeader(r.rec)
	s.account(1, r.h, len(blob), int64(len(r.rec)))
	s.refreshMem()
	b.fail.memory += int64(len(r.rec))
	return n
}

// refreshMem renews the age of a volatile stream's oldest batch.
func (s *stream) refreshMem() {
	if s.dirty && len(s.runs) > 0 {
		h, _, _ := decodeHeader(s.mem[s.runs[0].from])
		s.oldest, s.boot, s.dirty = h.at, h.boot, false
	}
}

// forget drops a record of a volatile stream and returns what it was.
func (s *stream) forget(seq uint64) removal {
	rec := s.mem[seq]
	h, blob, _ := decodeHeader(rec)
	s.account(-1, h, len(blob), int64(len(rec)))
	delete(s.mem, seq)
	return removal{s: s, seq: seq, h: h, blob: len(blob), cost: int64(len(rec))}
}

// evictVolatile makes room for need bytes in memory.
func (b *Buffer) evictVolatile(need int64) []removal {
	f := b.tele
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []removal
	for {
		var held int64
		for _, s := range f.streams {
			if s.mem != nil {
				held += s.cost
			}
		}
		b.fail.memory = held
		if held+need <= b.opts.VolatileBytes {
			return out
		}
		s, seq := victim(f.streams, nil, func(s *stream) bool { return s.mem != nil })
		if s == nil {
			return out
		}
		s.remove(seq)
		out = append(out, s.forget(seq))
		s.refreshMem()
	}
}
