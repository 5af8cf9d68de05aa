package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// contents is what a file holds, as far as memory needs it.
type contents struct {
	state    state
	streams  []*stream // in order of age
	gaps     []*gapRow
	commands []command
	clips    map[string]clip
	owed     []owedLoss
	damaged  []telemetry.Gap // values that are not what was written
	bad      []telemetry.Name
	progress []progress // of salvages into this file
	saved    []contents // what was found in files set aside, besides batches
	retire   bool       // its store must not mint again
	new      bool       // made in place of one that is gone or damaged
}

// load reads a file's contents. With check it also verifies every value's sum
// and lists those that fail, and the batches that are missing.
func (f *file) load(check bool) (contents, error) {
	var c contents
	err := f.view(func(tx *bbolt.Tx) error {
		if err := c.readState(tx); err != nil {
			return err
		}
		if err := c.readStreams(tx, check); err != nil {
			return err
		}
		if err := c.readGaps(tx); err != nil {
			return err
		}
		if err := c.readCommands(tx); err != nil {
			return err
		}
		return c.readMedia(tx)
	})
	return c, err
}

func (c *contents) readState(tx *bbolt.Tx) (err error) {
	b := tx.Bucket(bucketMain)
	if b == nil {
		return fmt.Errorf("read state: no main bucket: %w", ErrDamaged)
	}
	v := b.Get(keyFormat)
	if len(v) != 4 {
		return fmt.Errorf("read format version: %w", ErrDamaged)
	}
	version := binary.LittleEndian.Uint32(v)
	if version > formatVersion {
		return fmt.Errorf("format %d, this obu knows %d: %w", version, formatVersion, ErrNewerFormat)
	}
	c.progress = decodeProgress(b.Get(keySalvage))
	c.state, err = decodeState(version, b.Get(keyState))
	return err
}

func (c *contents) readStreams(tx *bbolt.Tx, check bool) error {
	known := map[streamID]bool{}
	for _, t := range c.state.streams {
		s := newStream(t.store, t.class)
		s.next, s.dropped = t.next, t.dropped
		if err := c.readStream(s, openShelf(tx, t.store, t.class), check); err != nil {
			return err
		}
		if missing := int64(t.batches) - int64(s.stored); missing > 0 {
			c.damaged = append(c.damaged, telemetry.Gap{
				Class: s.class, Store: s.store, FromSeq: 1, ToSeq: s.next - 1,
				Count: telemetry.CountUnknown, Reason: telemetry.ReasonDamagedStore, Source: "buffer",
			})
		}
		known[streamID{t.store, t.class}] = true
		c.streams = append(c.streams, s)
	}
	late, err := tailStreams(tx)
	if err != nil {
		return err
	}
	for _, id := range late {
		if !known[id] {
			return fmt.Errorf("read tail: %s %s is not in the state: %w", id.store, id.class, ErrDamaged)
		}
	}
	return tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		store, class, ok := parseStreamBucket(name)
		if ok && !known[streamID{store, class}] {
			return fmt.Errorf("read streams: %s %s is not in the state: %w", store, class, ErrDamaged)
		}
		if !isBucket(name) { // one is missing: its name is spoiled
			return fmt.Errorf("read buckets: %q is none of obu's: %w", name, ErrDamaged)
		}
		return nil
	})
}

func (c *contents) readStream(s *stream, from shelf, check bool) error {
	damaged := len(c.damaged)
	var last header
	var sound uint64
	defer func() { c.closeSpans(damaged, s.next) }()
	return from.each(func(seq uint64, v []byte) error {
		n := s.name(seq)
		if n.Seq == 0 || n.Seq >= s.next {
			return fmt.Errorf("read %s %s: seq %d beyond %d: %w", s.store, s.class, n.Seq, s.next, ErrDamaged)
		}
		s.stored++
		if s.dropped.has(seq) {
			s.cost += diskCost(len(v))
			if _, _, err := openRecord(n, v); check && err != nil { // another's, perhaps, with a spoiled key
				c.spoiled(n, sound, last)
			}
			return nil
		}
		h, blob, err := decodeHeader(v)
		if check && err == nil {
			h, blob, err = openRecord(n, v)
		}
		if errors.Is(err, ErrDamaged) {
			c.spoiled(n, sound, last)
			return nil
		}
		c.boundSpans(damaged, seq, h)
		damaged, sound, last = len(c.damaged), seq, h
		s.add(n.Seq, h.rank, h.clip)
		s.account(1, h, len(blob), diskCost(len(v)))
		if s.batches == 1 {
			s.oldest, s.boot, s.dirty = h.at, h.boot, false
		}
		return nil
	})
}

// spoiled lists a batch whose value is not what was written: it is no older than
// the one before it. Its key may be what is wrong, so that its seq is any up to
// those of its neighbours.
func (c *contents) spoiled(n telemetry.Name, before uint64, h header) {
	c.bad = append(c.bad, n)
	g := spoiledGap(n)
	g.FromSeq = before + 1
	g.Boot, g.From, g.To = h.boot, h.at, endOfBoot
	c.damaged = append(c.damaged, g)
}

// boundSpans ends the seqs and the time of the spoiled batches from the i-th on:
// the next sound one is no older.
func (c *contents) boundSpans(i int, seq uint64, next header) {
	for ; i < len(c.damaged); i++ {
		g := &c.damaged[i]
		g.ToSeq = max(g.FromSeq, seq-1)
		switch g.Boot {
		case telemetry.BootID{}:
			g.Boot, g.From, g.To = next.boot, 0, next.at
		case next.boot:
			g.To = next.at
		}
	}
}

// closeSpans is boundSpans at the end of a stream: the last flush tells.
func (c *contents) closeSpans(i int, next uint64) {
	c.boundSpans(i, next, header{boot: c.state.boot, at: c.state.flushAt.Add(c.state.window)})
}

func spoiledGap(n telemetry.Name) telemetry.Gap {
	return telemetry.Gap{
		Class: n.Class, Store: n.Store, FromSeq: n.Seq, ToSeq: n.Seq,
		Count: telemetry.CountUnknown, Reason: telemetry.ReasonDamagedStore, Source: "buffer",
	}
}

func (c *contents) readGaps(tx *bbolt.Tx) error {
	b := tx.Bucket(bucketGaps)
	if b == nil {
		return nil
	}
	return b.ForEach(func(_, v []byte) error {
		r, err := decodeGapRow(v)
		if err != nil {
			return err
		}
		c.gaps = append(c.gaps, r)
		return nil
	})
}
