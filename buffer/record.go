package buffer

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"obu/telemetry"
)

// A record is one batch as it lies in the file:
//
//	crc32c 4 | version 1 | rank 1 | flags 1 | 0 1 | values 4 | at 8 | boot 16 | [clip 16] | blob
//
// integers little endian. The checksum covers the name and everything after
// itself, so a value found under another key is damage too: bbolt itself
// checksums only its two meta pages.
const (
	recordVersion  = 1
	recordHeader   = 36
	recordClip     = 16
	recordFlagClip = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is what the index needs to know of a record.
type header struct {
	rank   Rank
	values int
	at     telemetry.At
	boot   telemetry.BootID
	clip   telemetry.ClipID // media only
}

// encodeRecord lays out a record with room for the checksum, which sealRecord
// fills in once the name is known.
func encodeRecord(h header, blob []byte) []byte {
	n := recordHeader
	if h.clip != (telemetry.ClipID{}) {
		n += recordClip
	}
	rec := make([]byte, n, n+len(blob))
	rec[4], rec[5] = recordVersion, byte(h.rank)
	binary.LittleEndian.PutUint32(rec[8:], uint32(h.values))
	binary.LittleEndian.PutUint64(rec[12:], uint64(h.at))
	copy(rec[20:36], h.boot[:])
	if n > recordHeader {
		rec[6] = recordFlagClip
		copy(rec[recordHeader:], h.clip[:])
	}
	return append(rec, blob...)
}

func sealRecord(n telemetry.Name, rec []byte) {
	binary.LittleEndian.PutUint32(rec, recordSum(n, rec))
}

func recordSum(n telemetry.Name, rec []byte) uint32 {
	var key [17]byte
	copy(key[:], n.Store[:])
	key[8] = byte(n.Class)
	binary.BigEndian.PutUint64(key[9:], n.Seq)
	return crc32.Update(crc32.Checksum(key[:], castagnoli), castagnoli, rec[4:])
}

// decodeHeader reads the header without checking the sum.
func decodeHeader(rec []byte) (h header, blob []byte, err error) {
	if len(rec) < recordHeader || rec[4] != recordVersion {
		return h, nil, fmt.Errorf("decode record of %d bytes: %w", len(rec), ErrDamaged)
	}
	h.rank = Rank(rec[5])
	h.values = int(binary.LittleEndian.Uint32(rec[8:]))
	h.at = telemetry.At(binary.LittleEndian.Uint64(rec[12:]))
	copy(h.boot[:], rec[20:36])
	blob = rec[recordHeader:]
	if rec[6]&recordFlagClip != 0 {
		if len(blob) < recordClip {
			return h, nil, fmt.Errorf("decode record of %d bytes: %w", len(rec), ErrDamaged)
		}
		copy(h.clip[:], blob)
		blob = blob[recordClip:]
	}
	return h, blob, nil
}

// openRecord reads a record and checks its sum.
func openRecord(n telemetry.Name, rec []byte) (header, []byte, error) {
	h, blob, err := decodeHeader(rec)
	if err == nil && binary.LittleEndian.Uint32(rec) != recordSum(n, rec) {
		err = fmt.Errorf("check sum of %s %s %d: %w", n.Store, n.Class, n.Seq, ErrDamaged)
	}
	return h, blob, err
}

// smallRecord is the largest record kept as a plain value in its stream's
// leaf pages. A larger one gets a sub-bucket, whose pages are never rewritten
// when neighbours come and go. bbolt inlines buckets up to a quarter page, so
// below that a stream with little backlog lies inside the root page itself.
const smallRecord = 1024

// pageSize is bbolt's, whatever the machine's: a commit writes whole pages.
const pageSize = 4096

// diskCost estimates the bytes a record takes in the file.
func diskCost(recLen int) int64 {
	const leafElement, key, pageHeader, bucketHeader = 16, 8, 16, 16
	if recLen <= smallRecord {
		return int64(recLen + leafElement + key)
	}
	pages := (recLen + pageHeader + leafElement + len(blobKey) + pageSize - 1) / pageSize
	return int64(pages*pageSize + leafElement + key + bucketHeader)
}
