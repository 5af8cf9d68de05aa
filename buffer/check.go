package buffer

import (
	"fmt"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// Checked is what Check found in a part of a stream.
type Checked struct {
	Batches int      // held, and looked at
	Last    uint64   // the seq looked at last: go on behind it until there are none
	Damaged []uint64 // of those: not what was written, or not to be read
}

// Check reads held batches of a stream, beginning with the first at or after
// from, until that are maxBytes, and says which are not what was written. It
// changes nothing: Read lists a damaged one when its turn to be sent has come.
func (b *Buffer) Check(store telemetry.StoreID, class telemetry.Class, from uint64, maxBytes int) (c Checked, err error) {
	f := b.fileOf(class)
	f.mu.Lock()
	s := f.stream(store, class)
	if s == nil {
		f.mu.Unlock()
		return c, nil
	}
	runs := s.runsFrom(from)
	if s.mem != nil {
		c.walk(runs, from, maxBytes, func(seq uint64) (int, error) {
			_, blob, err := openRecord(s.name(seq), s.mem[seq])
			return len(blob), err
		})
		f.mu.Unlock()
		return c, nil
	}
	f.mu.Unlock()
	err = f.view(func(tx *bbolt.Tx) error {
		shelf := openShelf(tx, store, class)
		c.walk(runs, from, maxBytes, func(seq uint64) (int, error) {
			_, blob, err := shelf.open(telemetry.Name{Store: store, Class: class, Seq: seq})
			return len(blob), err
		})
		return nil
	})
	if err != nil {
		return Checked{}, fmt.Errorf("check %s %s %d: %w", store, class, from, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	held := c.Damaged[:0]
	for _, seq := range c.Damaged { // one that was acknowledged meanwhile is not damaged but gone
		if s := f.stream(store, class); s != nil && s.held(seq) {
			held = append(held, seq)
		}
	}
	c.Damaged = held
	return c, nil
}

// walk opens the batches of runs.
func (c *Checked) walk(runs []run, from uint64, maxBytes int, open func(seq uint64) (size int, err error)) {
	size := 0
	for _, r := range runs {
		for seq := max(r.from, from); seq <= r.to; seq++ {
			n, err := open(seq)
			if err != nil {
				c.Damaged = append(c.Damaged, seq)
			}
			c.Batches, c.Last = c.Batches+1, seq
			if size += n; size >= maxBytes || len(c.Damaged) >= maxFaulted {
				return
			}
		}
	}
}
