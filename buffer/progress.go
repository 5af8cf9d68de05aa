package buffer

import (
	"encoding/binary"
	"fmt"

	"obu/telemetry"
)

// progress is how far the salvage of a file got, as the store says.
type progress struct {
	file string
	done bool
	at   telemetry.Name
}

// keySalvage in the main bucket holds a progress for every file whose papers
// are in this store: it says that they are, and what else is.
var keySalvage = []byte("salvage")

func encodeProgress(list []*salvage) []byte {
	b := make([]byte, 4, 64)
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendText(b, s.File)
		b = append(b, boolByte(s.done))
		b = append(b, s.at.Store[:]...)
		b = append(b, byte(s.at.Class))
		b = binary.AppendUvarint(b, s.at.Seq)
	}
	return sealed(b)
}

// decodeProgress reads it; what is not what was written is nothing: then all is
// moved once more.
func decodeProgress(v []byte) []progress {
	r, err := unsealed(v)
	if err != nil {
		return nil
	}
	var out []progress
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		p := progress{file: r.text(), done: r.byte() == 1}
		r.fixed(p.at.Store[:])
		p.at.Class = telemetry.Class(r.byte())
		p.at.Seq = r.uvarint()
		if !r.bad {
			out = append(out, p)
		}
	}
	return out
}

// putProgress stores how far every salvage of the file is.
func (t *txn) putProgress() error {
	b, err := t.tx.CreateBucketIfNotExists(bucketMain)
	if err != nil {
		return fmt.Errorf("open main bucket: %w", err)
	}
	if err := b.Put(keySalvage, encodeProgress(t.f.saving)); err != nil {
		return fmt.Errorf("store progress of salvage: %w", err)
	}
	return nil
}
