package buffer

import (
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Bounds on executed commands.
const (
	// maxCommands is how many are remembered; the ones whose time has passed
	// are forgotten first, then the oldest.
	maxCommands = 256
	// maxCommandBytes bounds an id and its reply together.
	maxCommandBytes = 16 << 10
)

// command is one executed command and the reply it got.
type command struct {
	order    uint64
	id       string
	reply    []byte
	notAfter time.Time
}

// Executed returns the reply of a command that was executed before, in this
// run or an earlier one.
func (b *Buffer) Executed(id string) (reply []byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.done[id]
	return append([]byte(nil), c.reply...), ok
}

// Record notes durably that a command was executed, with its reply; a command
// is not worth remembering after notAfter (zero: always). While the disk fails
// it is remembered in memory and ErrDiskFailed returned.
func (b *Buffer) Record(id string, reply []byte, notAfter time.Time) error {
	if len(id)+len(reply) > maxCommandBytes {
		return fmt.Errorf("record command: %d bytes: %w", len(id)+len(reply), ErrTooLarge)
	}
	b.tele.wr.Lock()
	defer b.tele.wr.Unlock()
	if b.isClosed() {
		return ErrClosed
	}
	c, gone := b.remind(command{id: id, reply: append([]byte(nil), reply...), notAfter: notAfter})
	if b.fail.active && !b.recovered() {
		return fmt.Errorf("record command %s: %w", id, ErrDiskFailed)
	}
	if err := b.tele.look(b.opts.Now()); err != nil {
		b.failed(err)
		return fmt.Errorf("record command %s: %w", id, ErrDiskFailed)
	}
	err := b.tele.update(func(t *txn) error {
		bk, err := t.tx.CreateBucketIfNotExists(bucketCommands)
		if err != nil {
			return fmt.Errorf("open commands: %w", err)
		}
		for _, g := range gone {
			if err := bk.Delete(seqKey(g.order)); err != nil {
				return fmt.Errorf("forget command: %w", err)
			}
		}
		return bk.Put(seqKey(c.order), c.encode())
	})
	if err != nil {
		b.failed(err)
		return fmt.Errorf("record command %s: %w", id, ErrDiskFailed)
	}
	return nil
}

// remind puts a command into memory and returns it with its order, and those
// that had to go for it.
func (b *Buffer) remind(c command) (command, []command) {
	now := b.opts.Wall()
	b.mu.Lock()
	defer b.mu.Unlock()
	var gone []command
	if old, ok := b.done[c.id]; ok {
		gone = append(gone, old)
		delete(b.done, c.id)
	}
	var oldest *command
	for _, d := range b.done {
		c.order = max(c.order, d.order)
		if !now.IsZero() && !d.notAfter.IsZero() && d.notAfter.Before(now) {
			gone = append(gone, d)
			delete(b.done, d.id)
		} else if oldest == nil || d.order < oldest.order {
			d := d
			oldest = &d
		}
	}
	if len(b.done) >= maxCommands {
		gone = append(gone, *oldest)
		delete(b.done, oldest.id)
	}
	c.order++
	b.done[c.id] = c
	return c, gone
}

// adoptCommands takes over the commands of a file; those memory knows already
// are younger.
func (b *Buffer) adoptCommands(list []command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var newest uint64
	for _, c := range list {
		newest = max(newest, c.order)
	}
	for id, c := range b.done {
		c.order += newest
		b.done[id] = c
	}
	for _, c := range list {
		if _, newer := b.done[c.id]; !newer {
			b.done[c.id] = c
		}
	}
}

// putCommands writes every command memory knows: after a failure the file may
// have missed some.
func (b *Buffer) putCommands(t *txn) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.done) == 0 {
		return nil
	}
	bk, err := t.tx.CreateBucketIfNotExists(bucketCommands)
	if err != nil {
		return fmt.Errorf("open commands: %w", err)
	}
	for _, c := range b.done {
		if err := bk.Put(seqKey(c.order), c.encode()); err != nil {
			return fmt.Errorf("store command: %w", err)
		}
	}
	return nil
}

func (c *command) encode() []byte {
	b := make([]byte, 4, 64+len(c.reply))
	b = binary.AppendVarint(b, unixNano(c.notAfter))
	b = appendText(b, c.id)
	b = appendText(b, string(c.reply))
	return sealed(b)
}

func (c *contents) readCommands(tx *bbolt.Tx) error {
	bk := tx.Bucket(bucketCommands)
	if bk == nil {
		return nil
	}
	return bk.ForEach(func(k, v []byte) error {
		r, err := unsealed(v)
		if err != nil || len(k) != 8 {
			return fmt.Errorf("decode command: %w", ErrDamaged)
		}
		cmd := command{order: binary.BigEndian.Uint64(k)}
		cmd.notAfter = wallTime(r.varint())
		cmd.id, cmd.reply = r.text(), r.bytes()
		if r.bad {
			return fmt.Errorf("decode command: %w", ErrDamaged)
		}
		c.commands = append(c.commands, cmd)
		return nil
	})
}
