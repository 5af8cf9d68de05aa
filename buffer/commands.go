package buffer

import (
	"time"

	"go.etcd.io/bbolt"
)

type command struct {
	order    uint64
	id       string
	reply    []byte
	notAfter time.Time
}

func (c *contents) readCommands(tx *bbolt.Tx) error { return nil }

func (b *Buffer) putCommands(t *txn) error { return nil }

// Executed returns the reply of a command that was executed before.
func (b *Buffer) Executed(id string) ([]byte, bool) { return nil, false }

// Record notes that a command was executed.
func (b *Buffer) Record(id string, reply []byte, notAfter time.Time) error { return nil }
