package buffer_test

import (
	"encoding/binary"
	"testing"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// plainStore is what one writes without thinking of wear: bbolt as it comes,
// one bucket, one plain key a batch. It is the measure of ours.
type plainStore struct {
	t    *testing.T
	db   *bbolt.DB
	file string
	next uint64
}

var plainBucket = []byte("batches")

func openPlain(t *testing.T, path string) *plainStore {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &plainStore{t: t, db: db, file: path, next: 1}
	s.update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(plainBucket)
		return err
	})
	return s
}

func (s *plainStore) update(fn func(*bbolt.Tx) error) {
	s.t.Helper()
	if err := s.db.Update(fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *plainStore) path() string { return s.file }

func (s *plainStore) commit(acks []uint64, contents ...telemetry.Content) (first uint64, payload int64) {
	s.t.Helper()
	first = s.next
	s.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(plainBucket)
		for _, seq := range acks {
			if err := b.Delete(plainKey(seq)); err != nil {
				return err
			}
		}
		for _, c := range contents {
			blob := encodeFor(s.t, c)
			payload += int64(len(blob))
			if err := b.Put(plainKey(s.next), blob); err != nil {
				return err
			}
			s.next++
		}
		return nil
	})
	return first, payload
}

// pages counts what bbolt wrote: the pages of each commit and its meta page.
func (s *plainStore) pages() int64 {
	st := s.db.Stats().TxStats
	page := int64(s.db.Info().PageSize)
	return st.GetPageAlloc()/page + int64(s.next)
}

func (s *plainStore) close() {
	if err := s.db.Close(); err != nil {
		s.t.Error(err)
	}
}

func plainKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func encodeFor(t *testing.T, c telemetry.Content) []byte {
	t.Helper()
	blob, err := telemetry.EncodeBatch(&telemetry.Batch{Unit: "sim-1", Vehicle: "car", Boot: telemetry.BootID{1}, Content: c})
	if err != nil {
		t.Fatal(err)
	}
	return blob
}
