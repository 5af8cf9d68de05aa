package buffer

import (
	"encoding/binary"
	"fmt"
	"sort"
	"time"

	"go.etcd.io/bbolt"
)

// Bounds on executed commands.
const (
	// maxCommands is how many are remembered. One whose time has not passed is
	// never forgotten: it would be executed again. While there are so many,
	// Admit takes no more.
	maxCommands = 256
	// maxCommandBytes bounds an id and its reply together.
	maxCommandBytes = 16 << 10
)

// command is one executed command and the reply it got; none yet when it only
// began.
type command struct {
	order    uint64
	id       string
	reply    []byte
	notAfter time.Time
	untold   bool // the broker has not acknowledged the reply
}

// Executed returns the reply of a command that was executed before, in this
// run or an earlier one; an empty one when it began and did not end.
func (b *Buffer) Executed(id string) (reply []byte, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.done[id]
	return append([]byte(nil), c.reply...), ok
}

// Admit reports whether one more command can be remembered, else
// ErrTooManyCommands: ask before executing one. It forgets those whose time has
// passed by now, the time their not-after is checked against, and by the
// trusted wall clock too; while that is unknown, none.
func (b *Buffer) Admit(now time.Time) error {
	wall := b.opts.Wall()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.done) < maxCommands {
		return nil
	}
	if wall.Before(now) {
		now = wall
	}
	for id, c := range b.done {
		if !c.notAfter.IsZero() && c.notAfter.Before(now) {
			delete(b.done, id)
			b.expired = append(b.expired, c.order)
		}
	}
	if len(b.done) >= maxCommands {
		return ErrTooManyCommands
	}
	return nil
}

// Told notes that the reply of a command was delivered. It goes to disk with a
// later commit: after a power cut the reply may be told twice.
func (b *Buffer) Told(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c, ok := b.done[id]; ok && c.untold {
		c.untold = false
		b.done[id] = c
		b.told = append(b.told, id)
	}
}

// Untold calls fn with each recorded command whose reply was not told, oldest
// first, until it returns false. The reply is empty when the command began and
// did not end.
func (b *Buffer) Untold(fn func(id string, reply []byte) bool) {
	b.mu.Lock()
	var list []command
	for _, c := range b.done {
		if c.untold {
			list = append(list, c)
		}
	}
	b.mu.Unlock()
	sort.Slice(list, func(i, j int) bool { return list[i].order < list[j].order })
	for _, c := range list {
		if !fn(c.id, append([]byte(nil), c.reply...)) {
			return
		}
	}
}

// putTold stores that replies were told.
func (b *Buffer) putTold(t *txn) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.told {
		c, ok := b.done[id]
		if !ok {
			continue
		}
		bk, err := t.tx.CreateBucketIfNotExists(bucketCommands)
		if err == nil {
			err = bk.Put(seqKey(c.order), c.encode())
		}
		if err != nil {
			return fmt.Errorf("store command: %w", err)
		}
	}
	t.told = len(b.told)
	return nil
}

// forgetTold lets go of what a transaction stored.
func (b *Buffer) forgetTold(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = append([]string(nil), b.told[n:]...)
}

// Record notes durably that a command was executed, with its reply, or that it
// begins, without one. It is
// remembered until Admit finds notAfter passed (zero: for ever). While the disk
// fails it is remembered in memory and ErrDiskFailed returned. A new id that
// Admit had no room for is ErrTooManyCommands.
func (b *Buffer) Record(id string, reply []byte, notAfter time.Time) error {
	if len(id)+len(reply) > maxCommandBytes {
		return fmt.Errorf("record command: %d bytes: %w", len(id)+len(reply), ErrTooLarge)
	}
	b.tele.wr.Lock()
	defer b.tele.wr.Unlock()
	if b.isClosed() {
		return ErrClosed
	}
	c, gone, err := b.remind(command{id: id, reply: append([]byte(nil), reply...), notAfter: notAfter, untold: true})
	if err != nil {
		return fmt.Errorf("record command %s: %w", id, err)
	}
	if b.fail.active && !b.recovered() {
		return fmt.Errorf("record command %s: %w", id, ErrDiskFailed)
	}
	if err := b.tele.look(b.opts.Now()); err != nil {
		b.failed(err)
		return fmt.Errorf("record command %s: %w", id, ErrDiskFailed)
	}
	err = b.inRoom(func() error {
		return b.tele.update(func(t *txn) error { return putCommand(t, c, gone) })
	})
	if err != nil {
		b.failed(err)
		return fmt.Errorf("record command %s: %w", id, ErrDiskFailed)
	}
	b.mu.Lock()
	b.expired = append([]uint64(nil), b.expired[len(gone):]...)
	b.mu.Unlock()
	return nil
}

// putCommand stores one command and forgets others.
func putCommand(t *txn, c command, gone []uint64) error {
	bk, err := t.tx.CreateBucketIfNotExists(bucketCommands)
	if err != nil {
		return fmt.Errorf("open commands: %w", err)
	}
	for _, order := range gone {
		if err := bk.Delete(seqKey(order)); err != nil {
			return fmt.Errorf("forget command: %w", err)
		}
	}
	return bk.Put(seqKey(c.order), c.encode())
}

// remind puts a command into memory and returns it with its order, and the
// orders of those the file is to forget.
func (b *Buffer) remind(c command) (command, []uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old, known := b.done[c.id]
	if known {
		b.expired = append(b.expired, old.order)
	} else if len(b.done) >= maxCommands {
		return c, nil, ErrTooManyCommands
	}
	c.order = b.nextOrder()
	b.done[c.id] = c
	return c, b.expired, nil
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
	return sealed(append(b, boolByte(c.untold)))
}

func (c *contents) readCommands(tx *bbolt.Tx) error {
	bk := tx.Bucket(bucketCommands)
	if bk == nil {
		return nil
	}
	return bk.ForEach(func(k, v []byte) error {
		cmd, err := decodeCommand(k, v)
		if err == nil {
			c.commands = append(c.commands, cmd)
		}
		return err
	})
}

func decodeCommand(k, v []byte) (command, error) {
	r, err := unsealed(v)
	if err != nil || len(k) != 8 {
		return command{}, fmt.Errorf("decode command: %w", ErrDamaged)
	}
	cmd := command{order: binary.BigEndian.Uint64(k)}
	cmd.notAfter = wallTime(r.varint())
	cmd.id, cmd.reply = r.text(), r.bytes()
	if len(r.b) > 0 { // an older obu did not store it
		cmd.untold = r.byte() == 1
	}
	if r.bad {
		return command{}, fmt.Errorf("decode command: %w", ErrDamaged)
	}
	return cmd, nil
}
