package buffer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// The tail is one small bucket of telemetry.db for what came last, whatever its
// stream: a commit with a backlog of any depth then writes the tail's page, the
// root and a meta page, where the stream's own tree would cost a leaf and its
// path. When the page is full, what is still there moves into the streams'
// buckets, some fifteen seconds at once. What is acknowledged within that time
// never gets there.
const (
	tailPage = pageSize - 96 // bytes of the one page the tail may fill
	// tailRecord is the largest record worth a place in it: one that leaves no
	// room for others would be written twice for nothing.
	tailRecord = tailPage / 2
	// tailElement is what an entry takes besides its record: bbolt's leaf
	// element and the key.
	tailElement = 16 + tailKeyLen
	tailKeyLen  = 17
)

// tailKey is store, class and seq, so that the records of a stream lie together
// and in order.
func tailKey(n telemetry.Name) []byte {
	b := make([]byte, 0, tailKeyLen)
	b = append(b, n.Store[:]...)
	b = append(b, byte(n.Class))
	return binary.BigEndian.AppendUint64(b, n.Seq)
}

func parseTailKey(k []byte) (n telemetry.Name, ok bool) {
	if len(k) != tailKeyLen {
		return n, false
	}
	copy(n.Store[:], k)
	n.Class = telemetry.Class(k[8])
	n.Seq = binary.BigEndian.Uint64(k[9:])
	return n, true
}

// streamID names a stream.
type streamID struct {
	store telemetry.StoreID
	class telemetry.Class
}

// spot is where a record lies.
type spot uint8

const (
	nowhere  spot = iota
	inTail        // a value of the tail
	inStream      // a value of the stream's bucket
	inBucket      // in a sub-bucket of its own
)

// shelf is where the records of one stream lie within one transaction.
type shelf struct {
	store telemetry.StoreID
	class telemetry.Class
	tail  *bbolt.Bucket // nil: there is none
	own   *bbolt.Bucket // likewise
}

func openShelf(tx *bbolt.Tx, store telemetry.StoreID, class telemetry.Class) shelf {
	return shelf{store, class, tx.Bucket(bucketTail), tx.Bucket(streamBucket(store, class))}
}

// record returns the record of seq, valid within the transaction, and where it
// lies.
func (h shelf) record(seq uint64) ([]byte, spot) {
	if h.tail != nil {
		if rec := h.tail.Get(tailKey(telemetry.Name{Store: h.store, Class: h.class, Seq: seq})); rec != nil {
			return rec, inTail
		}
	}
	if h.own == nil {
		return nil, nowhere
	}
	key := seqKey(seq)
	if rec := h.own.Get(key); rec != nil {
		return rec, inStream
	}
	if sub := h.own.Bucket(key); sub != nil {
		return sub.Get(blobKey), inBucket
	}
	return nil, nowhere
}

// delete takes a record away from where it lies.
func (h shelf) delete(seq uint64, where spot) error {
	switch where {
	case inTail:
		return h.tail.Delete(tailKey(telemetry.Name{Store: h.store, Class: h.class, Seq: seq}))
	case inStream:
		h.own.FillPercent = 1
		return h.own.Delete(seqKey(seq))
	case inBucket:
		h.own.FillPercent = 1
		return h.own.DeleteBucket(seqKey(seq))
	}
	return nil
}

// each calls fn for every record of the stream in rising seq. A value that
// cannot be had is nil.
func (h shelf) each(fn func(seq uint64, rec []byte) error) error {
	late := h.inTail()
	before := func(seq uint64) error {
		for len(late) > 0 && late[0].seq < seq {
			if err := fn(late[0].seq, late[0].rec); err != nil {
				return err
			}
			late = late[1:]
		}
		return nil
	}
	if h.own != nil {
		cur := h.own.Cursor()
		for k, v := cur.First(); k != nil; k, v = cur.Next() {
			if len(k) != 8 {
				return fmt.Errorf("read %s %s: key of %d bytes: %w", h.store, h.class, len(k), ErrDamaged)
			}
			seq := binary.BigEndian.Uint64(k)
			if err := before(seq); err != nil {
				return err
			}
			if v == nil {
				sub := h.own.Bucket(k)
				if sub == nil {
					return fmt.Errorf("read %s %s: %w", h.store, h.class, ErrDamaged)
				}
				v = sub.Get(blobKey)
			}
			if err := fn(seq, v); err != nil {
				return err
			}
		}
	}
	return before(allSeqs + 1)
}

// tailEntry is one record in the tail.
type tailEntry struct {
	seq uint64
	rec []byte
}

// inTail returns the stream's records in the tail, by seq.
func (h shelf) inTail() []tailEntry {
	if h.tail == nil {
		return nil
	}
	prefix := tailKey(telemetry.Name{Store: h.store, Class: h.class})[:9]
	var out []tailEntry
	cur := h.tail.Cursor()
	for k, v := cur.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = cur.Next() {
		if n, ok := parseTailKey(k); ok {
			out = append(out, tailEntry{n.Seq, v})
		}
	}
	return out
}

// tailStreams lists the streams that have records in the tail.
func tailStreams(tx *bbolt.Tx) ([]streamID, error) {
	tail := tx.Bucket(bucketTail)
	if tail == nil {
		return nil, nil
	}
	var out []streamID
	err := tail.ForEach(func(k, _ []byte) error {
		n, ok := parseTailKey(k)
		if !ok {
			return fmt.Errorf("read tail: key of %d bytes: %w", len(k), ErrDamaged)
		}
		if id := (streamID{n.Store, n.Class}); !slices.Contains(out, id) {
			out = append(out, id)
		}
		return nil
	})
	return out, err
}

// keepLate puts a record into the tail if it may lie there, and reports
// whether it did. What is there moves out when the page is full.
func (t *txn) keepLate(n telemetry.Name, rec []byte) (bool, error) {
	if !t.f.tail || t.direct || len(rec) > tailRecord {
		return false, nil
	}
	tail, err := t.tx.CreateBucketIfNotExists(bucketTail)
	if err != nil {
		return false, fmt.Errorf("open tail: %w", err)
	}
	tail.FillPercent = 1
	if t.tailSize() > tailPage-tailElement-len(rec) {
		if err := t.shelve(); err != nil {
			return false, err
		}
	}
	if err := tail.Put(tailKey(n), rec); err != nil {
		return false, fmt.Errorf("store %s %s %d: %w", n.Store, n.Class, n.Seq, err)
	}
	t.late += tailElement + len(rec)
	return true, nil
}

// tailSize is what the tail's entries take.
func (t *txn) tailSize() int {
	if !t.lateKnown {
		t.lateKnown = true
		if tail := t.tx.Bucket(bucketTail); tail != nil {
			cur := tail.Cursor()
			for k, v := cur.First(); k != nil; k, v = cur.Next() {
				t.late += tailElement + len(v)
			}
		}
	}
	return t.late
}

// makeTail empties the tail when recs do not fit beside what is there; recs
// that would not fit an empty one go straight to their streams.
func (t *txn) makeTail(recs []record) error {
	if !t.f.tail {
		return nil
	}
	need := 0
	for _, r := range recs {
		if r.rec != nil && len(r.rec) <= tailRecord {
			need += tailElement + len(r.rec)
		}
	}
	t.direct = need > tailPage
	if need > 0 && t.tailSize()+need > tailPage {
		return t.shelve()
	}
	return nil
}

// shelve moves all of the tail into the streams' buckets.
func (t *txn) shelve() error {
	tail := t.tx.Bucket(bucketTail)
	if tail == nil {
		return nil
	}
	var names []telemetry.Name
	var recs [][]byte
	cur := tail.Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		if n, ok := parseTailKey(k); ok {
			names, recs = append(names, n), append(recs, bytes.Clone(v))
		}
	}
	for i, n := range names {
		if err := tail.Delete(tailKey(n)); err != nil {
			return fmt.Errorf("empty tail: %w", err)
		}
		if err := t.putStream(n, recs[i]); err != nil {
			return err
		}
	}
	t.late, t.lateKnown = 0, true
	return nil
}
