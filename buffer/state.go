package buffer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"obu/telemetry"
)

// formatVersion is the version of the file layout. It stands in a key of its
// own that never moves, so that an older obu can tell a newer file.
const formatVersion = 2 // 2: the tail, and dropped records in the state

// The buckets and keys of both files. Streams have a bucket each, named by
// streamBucket.
var (
	bucketMain     = []byte("obu")      // format, state
	bucketTail     = []byte("tail")     // telemetry.db: name → record
	bucketGaps     = []byte("gaps")     // telemetry.db: id → gap row
	bucketCommands = []byte("commands") // telemetry.db: order → executed command
	bucketClips    = []byte("clips")    // media.db: key → progress of an unfinished clip
	bucketDone     = []byte("done")     // media.db: order → finished clip
	bucketOwed     = []byte("owed")     // media.db: order → loss not yet in telemetry.db

	keyFormat = []byte("format")
	keyState  = []byte("state")
	blobKey   = []byte("b") // in the sub-bucket of a large record
)

// streamBucket names the top-level bucket of a stream: 's', store id, class.
func streamBucket(store telemetry.StoreID, class telemetry.Class) []byte {
	b := make([]byte, 0, 10)
	b = append(b, 's')
	b = append(b, store[:]...)
	return append(b, byte(class))
}

func parseStreamBucket(b []byte) (store telemetry.StoreID, class telemetry.Class, ok bool) {
	if len(b) != 10 || b[0] != 's' {
		return store, 0, false
	}
	copy(store[:], b[1:9])
	return store, telemetry.Class(b[9]), true
}

// isBucket reports whether a top-level bucket of this name is one that obu
// makes.
func isBucket(name []byte) bool {
	for _, known := range [...][]byte{bucketMain, bucketTail, bucketGaps, bucketCommands, bucketClips, bucketDone, bucketOwed} {
		if bytes.Equal(name, known) {
			return true
		}
	}
	_, _, ok := parseStreamBucket(name)
	return ok
}

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// state is what a file knows of itself. It is one value, rewritten by every
// commit; lying inline in the root page it costs no page of its own.
type state struct {
	store     telemetry.StoreID // current: mints names
	file      telemetry.StoreID // of this file, for ever
	unit      string
	hardware  string
	boot      telemetry.BootID  // of the last use
	clean     bool              // closed in order
	commits   uint64            // rises with each transaction
	flushAt   telemetry.At      // of the last commit, in boot, or of the oldest datum that it left in memory
	flushWall time.Time         // of the last commit by the wall clock; zero when unknown
	window    time.Duration     // from flushAt to a flush interval plus the slowest commit after it: the stated loss
	nextGap   uint64            // id of the next gap row
	owedFile  telemetry.StoreID // telemetry.db: the media.db whose losses
	owedDone  uint64            // up to this order are in the Gap table
	streams   []streamState
}

// streamState repeats what the stream's bucket should hold, so that records
// that vanished in a damaged file are noticed.
type streamState struct {
	store   telemetry.StoreID
	class   telemetry.Class
	next    uint64
	batches uint64 // records in the file, dropped ones included
	dropped spans  // of those: acknowledged
}

func (s *state) encode() []byte {
	b := make([]byte, 4, 192+24*len(s.streams))
	b = append(b, s.store[:]...)
	b = append(b, s.file[:]...)
	b = appendText(b, s.unit)
	b = appendText(b, s.hardware)
	b = append(b, s.boot[:]...)
	b = append(b, boolByte(s.clean))
	b = binary.AppendUvarint(b, s.commits)
	b = binary.AppendVarint(b, int64(s.flushAt))
	b = binary.AppendVarint(b, unixNano(s.flushWall))
	b = binary.AppendVarint(b, int64(s.window))
	b = binary.AppendUvarint(b, s.nextGap)
	b = append(b, s.owedFile[:]...)
	b = binary.AppendUvarint(b, s.owedDone)
	b = binary.AppendUvarint(b, uint64(len(s.streams)))
	for _, t := range s.streams {
		b = append(b, t.store[:]...)
		b = append(b, byte(t.class))
		b = binary.AppendUvarint(b, t.next)
		b = binary.AppendUvarint(b, t.batches)
		b = t.dropped.encode(b)
	}
	return sealed(b)
}

func decodeState(version uint32, b []byte) (state, error) {
	var s state
	r, err := unsealed(b)
	if err != nil {
		return s, fmt.Errorf("decode state: %w", err)
	}
	r.fixed(s.store[:])
	r.fixed(s.file[:])
	s.unit = r.text()
	s.hardware = r.text()
	r.fixed(s.boot[:])
	s.clean = r.byte() == 1
	s.commits = r.uvarint()
	s.flushAt = telemetry.At(r.varint())
	s.flushWall = wallTime(r.varint())
	s.window = time.Duration(r.varint())
	s.nextGap = r.uvarint()
	r.fixed(s.owedFile[:])
	s.owedDone = r.uvarint()
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		var t streamState
		r.fixed(t.store[:])
		t.class = telemetry.Class(r.byte())
		t.next = r.uvarint()
		t.batches = r.uvarint()
		if version >= 2 {
			t.dropped = r.spans()
		}
		s.streams = append(s.streams, t)
	}
	if r.bad {
		return s, fmt.Errorf("decode state: %w", ErrDamaged)
	}
	return s, nil
}

// sealed fills the checksum of all that follows it into the first four bytes.
func sealed(b []byte) []byte {
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

// unsealed checks the sum and returns a reader of what follows it.
func unsealed(b []byte) (*reader, error) {
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != crc32.Checksum(b[4:], castagnoli) {
		return nil, ErrDamaged
	}
	return &reader{b: b[4:]}, nil
}

// reader takes fields off a byte slice; after the first that does not fit,
// bad is set and everything reads as zero.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) fixed(dst []byte) { copy(dst, r.take(len(dst))) }

func (r *reader) byte() byte {
	if b := r.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.take(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.take(n)
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return append([]byte(nil), r.take(int(n))...)
}

func (r *reader) text() string { return string(r.bytes()) }

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func wallTime(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
