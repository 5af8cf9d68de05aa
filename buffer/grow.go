package buffer

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// How the file grows: an eighth of itself, within these bounds.
const (
	growMin   = 256 << 10
	growMax   = 16 << 20
	growSlack = 64 << 10 // pages a transaction needs beside its batches
	// zeroMax bounds what is written with zeros in one commit, which waits for
	// it: a tenth of a second of a slow card, and an hour of a car's telemetry.
	zeroMax = 1 << 20
	// zeroBlock is what is written at once.
	zeroBlock = 64 << 10
)

// reserve allocates room for need bytes ahead of the write, so that a full
// disk shows before anything is written and later commits change no file
// system metadata. Where the file system cannot allocate, bbolt extends the
// file itself.
func (t *txn) reserve(need int64) error {
	f := t.f
	page := int64(f.db.Info().PageSize)
	info, err := f.os.Stat()
	if err != nil {
		return fmt.Errorf("grow %s: %w", f.name, err)
	}
	need += growSlack
	free := int64(f.db.Stats().FreePageN)*page/2 + max(0, info.Size()-t.tx.Size())
	if free >= need {
		return nil
	}
	most := int64(growMax)
	if f.zeroed {
		most = zeroMax
	}
	step := max(need, min(max(info.Size()/8, growMin), most))
	step = min(step, int64(f.maxSize())-info.Size()) / page * page
	for ; step >= page; step /= 2 {
		err = f.extend(info.Size(), step/page*page)
		if err == nil {
			return nil
		}
		if step < need {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("grow %s: %w", f.name, err)
	}
	return nil
}

// extend allocates n bytes at the end of the file. What is only allocated has
// to be marked as written by the commit that uses it first, which costs three
// blocks of the file system's journal each: next to nothing beside a chunk of
// video, more than the batch itself beside a second of telemetry. There zeros
// are written ahead, once, and later commits leave the journal alone (measured:
// docs/decisions/0005-wear.md).
func (f *file) extend(from, n int64) error {
	err := unix.Fallocate(int(f.os.Fd()), 0, from, n)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	if err != nil || !f.zeroed {
		return err
	}
	zeros := make([]byte, min(n, zeroBlock))
	for at := from; at < from+n; at += int64(len(zeros)) {
		if _, err := f.os.WriteAt(zeros[:min(int64(len(zeros)), from+n-at)], at); err != nil {
			return err
		}
	}
	return nil
}
