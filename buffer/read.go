package buffer

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// Read returns held batches of a stream in rising seq, beginning with the
// first at or after from, as long as their blobs fit maxBytes; at least one if
// there is any. Acknowledged batches in between are passed over. The blobs are
// copies; nothing stays open.
func (b *Buffer) Read(store telemetry.StoreID, class telemetry.Class, from uint64, maxBytes int) ([]telemetry.Stored, error) {
	f := b.fileOf(class)
	f.mu.Lock()
	s := f.stream(store, class)
	if s == nil {
		f.mu.Unlock()
		return nil, nil
	}
	if s.mem != nil {
		defer f.mu.Unlock()
		return s.readMem(from, maxBytes)
	}
	runs := s.runsFrom(from)
	f.mu.Unlock()
	if len(runs) == 0 {
		return nil, nil
	}
	var out []telemetry.Stored
	var spoiled, faulted []telemetry.Name
	err := f.view(func(tx *bbolt.Tx) error {
		shelf := openShelf(tx, store, class)
		size := 0
		for _, r := range runs {
			for seq := max(r.from, from); seq <= r.to; seq++ {
				n := telemetry.Name{Store: store, Class: class, Seq: seq}
				h, blob, err := shelf.open(n)
				if errors.Is(err, errFault) { // the others are to be had
					if faulted = append(faulted, n); len(faulted) >= maxFaulted {
						return nil
					}
					continue
				}
				if err != nil { // acknowledged meanwhile, or gone: drop tells
					spoiled = append(spoiled, n)
					continue
				}
				if len(out) > 0 && size+len(blob) > maxBytes {
					return nil
				}
				size += len(blob)
				out = append(out, telemetry.Stored{Name: n, Values: h.values, Blob: append([]byte(nil), blob...)})
			}
		}
		return nil
	})
	if len(faulted) > 0 || err != nil {
		spoiled = append(spoiled, b.lasting(f, faulted, err)...)
	}
	for _, n := range spoiled {
		if b.drop(n, b.spoiledNow(n)) {
			b.log.Error("a stored batch is not what was written and is listed as lost; check the disk", "store", n.Store.String(), "class", n.Class.String(), "seq", n.Seq)
		}
	}
	if x := b.opts.faults; x != nil && x.deleteBeforeAck {
		for _, st := range out {
			b.Ack(st.Name)
		}
	}
	if err != nil && len(out) == 0 {
		return nil, fmt.Errorf("read %s %s %d: %w", store, class, from, err)
	}
	return out, nil
}

// A page that cannot be read, or that bbolt gives up on, may be read again
// later: a loose card comes back, a bad sector does not.
const (
	faultTries = 3               // in vain, before a batch counts as lost or a file as damaged
	faultEvery = 2 * time.Second // between tries that count
	maxFaulted = 64              // batches of one Read, each of which may wait for the disk's own retries
	maxWaiting = 4096            // batches between tries: more count as lost at once
)

// errFault says that a page under a record could not be had.
var errFault = fmt.Errorf("page cannot be read: %w", ErrDamaged)

// open returns a record that is what was written. It lives in a function of its
// own so that a fault under one record does not hide the others.
func (h shelf) open(n telemetry.Name) (hd header, blob []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errFault, fault(r))
		}
	}()
	rec, where := h.record(n.Seq)
	if where == nowhere {
		return hd, nil, ErrDamaged
	}
	return openRecord(n, rec)
}

// tries counts how often something could not be read.
type tries struct {
	n    int
	next telemetry.At // a try before does not count
}

func (t *tries) inVain(now telemetry.At) bool {
	if now >= t.next {
		t.n, t.next = t.n+1, now.Add(faultEvery)
	}
	return t.n >= faultTries
}

// lasting returns the batches that could not be read too often: they count as
// lost. When the stream itself cannot be read, the next commit gives the file up
// for damaged, unless it can be read by then.
func (b *Buffer) lasting(f *file, faulted []telemetry.Name, err error) []telemetry.Name {
	now := b.opts.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if errors.Is(err, ErrDamaged) { // a file that is closed while its disk fails says nothing about itself
		f.blind = f.blind || f.unseen.inVain(now)
	}
	var lost []telemetry.Name
	for _, n := range faulted {
		t := f.faulted[n]
		if t.inVain(now) || len(f.faulted) >= maxWaiting {
			lost = append(lost, n)
			delete(f.faulted, n)
			continue
		}
		if f.faulted == nil {
			f.faulted = map[telemetry.Name]tries{}
		}
		f.faulted[n] = t
	}
	return lost
}

// gaveUp reports, once, that a stream of the file cannot be read, and as long as
// it is open that its handle is broken.
func (f *file) gaveUp() error {
	if f.isBroken() {
		return fmt.Errorf("read %s: %w", f.name, errPanicked)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.blind {
		return nil
	}
	f.blind, f.unseen = false, tries{}
	return fmt.Errorf("read %s: %w", f.name, errFault)
}

// maxReadRuns bounds the ranges one Read looks at.
const maxReadRuns = 64

// runsFrom copies the ranges that end at or after from.
func (s *stream) runsFrom(from uint64) []run {
	i, _ := s.find(from)
	return append([]run(nil), s.runs[i:min(len(s.runs), i+maxReadRuns)]...)
}

func (s *stream) readMem(from uint64, maxBytes int) ([]telemetry.Stored, error) {
	var out []telemetry.Stored
	size := 0
	for _, r := range s.runsFrom(from) {
		for seq := max(r.from, from); seq <= r.to; seq++ {
			h, blob, err := openRecord(s.name(seq), s.mem[seq])
			if err != nil {
				return out, err
			}
			if len(out) > 0 && size+len(blob) > maxBytes {
				return out, nil
			}
			size += len(blob)
			out = append(out, telemetry.Stored{Name: s.name(seq), Values: h.values, Blob: append([]byte(nil), blob...)})
		}
	}
	return out, nil
}

// Refuse takes a batch out of the backlog that can never be delivered and
// lists it for that reason.
func (b *Buffer) Refuse(n telemetry.Name, why telemetry.Reason) {
	b.log.Error("a batch was refused for good and is listed as lost", "store", n.Store.String(), "class", n.Class.String(), "seq", n.Seq, "why", string(why))
	g := spoiledGap(n)
	if h, ok := b.headerOf(n); ok {
		g = evictedGap(n, h, why)
	}
	g.Reason = why
	b.drop(n, g)
}

// spoiledNow lists a batch of a running store; its time is known if all the
// stream holds is of this boot.
func (b *Buffer) spoiledNow(n telemetry.Name) telemetry.Gap {
	g := spoiledGap(n)
	f := b.fileOf(n.Class)
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.stream(n.Store, n.Class); s != nil && s.boot == b.opts.Boot {
		g.Boot, g.From, g.To = s.boot, s.oldest, b.opts.Now()
	}
	return g
}

// drop takes a batch out undelivered, if it was held. The transaction that
// deletes it lists the loss.
func (b *Buffer) drop(n telemetry.Name, g telemetry.Gap) bool {
	f := b.fileOf(n.Class)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settle(n) {
		return false
	}
	f.undelivered[n] = g
	return true
}

// headerOf reads what a held batch says of itself.
func (b *Buffer) headerOf(n telemetry.Name) (h header, ok bool) {
	f := b.fileOf(n.Class)
	f.mu.Lock()
	if s := f.stream(n.Store, n.Class); s != nil && s.mem != nil {
		defer f.mu.Unlock()
		h, _, err := openRecord(n, s.mem[n.Seq])
		return h, err == nil
	}
	f.mu.Unlock()
	err := f.view(func(tx *bbolt.Tx) (err error) {
		rec, _ := openShelf(tx, n.Store, n.Class).record(n.Seq)
		h, _, err = openRecord(n, rec)
		return err
	})
	return h, err == nil
}
