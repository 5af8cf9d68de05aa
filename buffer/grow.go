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
	step := max(need, min(max(info.Size()/8, growMin), growMax))
	step = min(step, int64(f.maxSize())-info.Size()) / page * page
	for ; step >= page; step /= 2 {
		err = unix.Fallocate(int(f.os.Fd()), 0, info.Size(), step/page*page)
		if err == nil || errors.Is(err, unix.EOPNOTSUPP) {
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
