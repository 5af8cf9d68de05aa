package buffer

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"obu/telemetry"
)

// txn is one synced transaction of a file. Batches taken out leave the index
// at once and come back if it fails; batches put in enter it when it is done.
type txn struct {
	f       *file
	tx      *bbolt.Tx
	state   state // as it will be
	added   []addition
	removed []removal
	gone    []*stream          // retired streams that have nothing left
	moved   []*stream          // volatile streams now in the file
	before  map[*stream]uint64 // next of streams, to be undone
	acks    []telemetry.Name   // of the queue, dealt with
	evicted int                // of removed: undelivered, for want of room
	expired int                // of removed: undelivered, too old
	told    int                // commands noted as told
	lost    []removal          // of removed: undelivered, whatever the reason
	dropped map[*stream]spans  // of streams, to be undone

	late      int  // what the tail's entries take
	lateKnown bool // late was counted
	direct    bool // this transaction is too large for the tail
}

type addition struct {
	s    *stream
	seq  uint64
	h    header
	blob int
	cost int64
}

type removal struct {
	s    *stream
	seq  uint64
	run  run // as it stood in the index; zero when Ack had taken it out
	h    header
	blob int
	cost int64
	why  telemetry.Reason // it went undelivered; "": by quota
	// stays says that the record stays in the file for now: see dropped.go.
	stays bool
}

// update runs fn in a write transaction and commits it. Whatever the error,
// the index is as before, and the file holds either all of it or nothing:
// which of the two is unknown after a failed sync, so the caller must not mint
// another name under the same store id.
func (f *file) update(fn func(*txn) error) (err error) {
	f.open.RLock()
	defer f.open.RUnlock()
	if f.db == nil || f.stale {
		return ErrDiskFailed
	}
	t := &txn{f: f, state: f.state, before: map[*stream]uint64{}}
	done := false
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanicked, fault(r))
			f.endPanicked(t.tx)
		}
		if !done {
			t.undo()
		}
	}()
	if t.tx, err = f.begin(true); err != nil {
		return fmt.Errorf("begin in %s: %w", f.name, err)
	}
	if err = fn(t); err != nil {
		_ = t.tx.Rollback()
		return err
	}
	if err = t.putState(); err != nil {
		_ = t.tx.Rollback()
		return err
	}
	if err = f.faults.before(f.name); err != nil {
		_ = t.tx.Rollback()
		return fmt.Errorf("commit to %s: %w", f.name, err)
	}
	if err = f.undo.commit(t.tx); err == nil {
		err = f.faults.after(f.name)
	}
	if err != nil {
		return fmt.Errorf("commit to %s: %w", f.name, err)
	}
	done = true
	t.apply()
	return nil
}

// errPanicked marks a transaction that bbolt gave up in the middle: its handle is
// not to be used on.
var errPanicked = errors.New("database gave up on a damaged page")

// bucket returns the bucket of a stream, made on first use.
func (t *txn) bucket(store telemetry.StoreID, class telemetry.Class) (*bbolt.Bucket, error) {
	b, err := t.tx.CreateBucketIfNotExists(streamBucket(store, class))
	if err != nil {
		return nil, fmt.Errorf("open bucket of %s %s: %w", store, class, err)
	}
	b.FillPercent = 1 // batches only ever come at the end
	return b, nil
}

// append stores a record under the next name of the class.
func (t *txn) append(class telemetry.Class, h header, rec []byte) (telemetry.Name, error) {
	t.f.mu.Lock()
	s := t.f.mint(class)
	if _, seen := t.before[s]; !seen {
		t.before[s] = s.next
	}
	n := s.name(s.next)
	s.next++
	s.minted++
	t.f.mu.Unlock()
	return n, t.put(s, n.Seq, h, rec, true)
}

// put stores a record under a given name: in the tail if it may lie there,
// else in its stream's bucket.
func (t *txn) put(s *stream, seq uint64, h header, rec []byte, mayWait bool) (err error) {
	n := s.name(seq)
	sealRecord(n, rec)
	late := false
	if x := t.f.faults; x != nil && x.dropEvery > 0 && seq%uint64(x.dropEvery) == 0 {
		late = true // on no shelf at all
	} else if mayWait {
		late, err = t.keepLate(n, rec)
	}
	if err == nil && !late {
		err = t.putStream(n, rec)
	}
	if err != nil {
		return err
	}
	_, blob, _ := decodeHeader(rec)
	t.added = append(t.added, addition{s, seq, h, len(blob), diskCost(len(rec))})
	return nil
}

// putStream stores a sealed record in its stream's bucket.
func (t *txn) putStream(n telemetry.Name, rec []byte) error {
	b, err := t.bucket(n.Store, n.Class)
	if err != nil {
		return err
	}
	key := seqKey(n.Seq)
	if len(rec) <= smallRecord {
		err = b.Put(key, rec)
	} else {
		var sub *bbolt.Bucket
		if sub, err = b.CreateBucket(key); err == nil {
			sub.FillPercent = 1
			err = sub.Put(blobKey, rec)
		}
	}
	if err != nil {
		return fmt.Errorf("store %s %s %d: %w", n.Store, n.Class, n.Seq, err)
	}
	return nil
}

// remove deletes a batch from the file; it reports what it was. A batch that
// is not there is not an error.
func (t *txn) remove(s *stream, seq uint64) (header, bool, error) {
	shelf := openShelf(t.tx, s.store, s.class)
	rec, where := shelf.record(seq)
	if where == nowhere {
		return header{}, false, nil
	}
	h, blob, _ := decodeHeader(rec) // damaged ones may go too
	r := removal{s: s, seq: seq, h: h, blob: len(blob), cost: diskCost(len(rec))}
	if where == inTail && t.lateKnown {
		t.late -= tailElement + len(rec)
	}
	if err := shelf.delete(seq, where); err != nil {
		return h, false, deleteError(s.name(seq), err)
	}
	t.takeOut(r)
	return h, true, nil
}

func deleteError(n telemetry.Name, err error) error {
	return fmt.Errorf("delete %s %s %d: %w", n.Store, n.Class, n.Seq, err)
}

// takeOut takes a batch out of the index until the transaction is undone.
func (t *txn) takeOut(r removal) removal {
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	floor, held := r.s.floor(), false
	if r.run, held = r.s.remove(r.seq); held {
		r.s.pinned = floor
	}
	t.removed = append(t.removed, r)
	return r
}

// removeAcked deletes what was acknowledged since the last transaction.
func (t *txn) removeAcked() error {
	t.f.mu.Lock()
	names := t.f.acked
	t.f.mu.Unlock()
	t.acks = names
	for _, n := range names {
		t.f.mu.Lock()
		s := t.f.stream(n.Store, n.Class)
		t.f.mu.Unlock()
		if s == nil || s.mem != nil {
			continue
		}
		if err := t.settleAcked(s, n.Seq); err != nil {
			return err
		}
	}
	return t.dropDrained()
}

// dropDrained deletes the buckets of retired streams with nothing left.
func (t *txn) dropDrained() error {
	t.f.mu.Lock()
	var empty []*stream
	for _, s := range t.f.streams {
		if s.store != t.state.store && s.mem == nil && len(s.runs) == 0 {
			empty = append(empty, s)
		}
	}
	t.f.mu.Unlock()
	for _, s := range empty {
		shelf := openShelf(t.tx, s.store, s.class)
		for _, late := range shelf.inTail() { // of no use: the index does not know them
			if err := shelf.delete(late.seq, inTail); err != nil {
				return deleteError(s.name(late.seq), err)
			}
			t.lateKnown, t.late = false, 0
		}
		err := t.tx.DeleteBucket(streamBucket(s.store, s.class))
		if err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
			return fmt.Errorf("delete bucket of %s %s: %w", s.store, s.class, err)
		}
	}
	t.gone = empty
	return nil
}
