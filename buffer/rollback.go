package buffer

import (
	"errors"
	"os"
	"sync/atomic"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"obu/buffer/wreck"
)

// rollbackGuard stands between a failed commit and what bbolt does then: to know
// its free pages again it reads the whole tree through the memory map, in a
// goroutine of its own, where a page that cannot be read ends the process and no
// recover reaches. bbolt tells its logger what failed before it does so, and
// this is that logger: it lets bbolt go on only if the file has room to blame
// alone and every page of the tree was read just before. Otherwise it panics,
// and the transaction ends without a look at the file. The handle can be read
// on then; it lacks the pages the transaction took from the free ones, so it is
// opened anew before it is written, which both stores do after such an error.
type rollbackGuard struct {
	os     *os.File    // of the handle; nil: never let bbolt go on
	armed  atomic.Bool // a commit is under way
	proven bool        // in this commit; of its goroutine
}

// refusedRollback is the panic; err is why the commit failed.
type refusedRollback struct{ err error }

// commit commits tx. Whatever the error, the transaction is over.
func (g *rollbackGuard) commit(tx *bbolt.Tx) error {
	err := g.during(tx.Commit)
	if err != nil {
		_ = tx.Rollback() // of memory alone, where bbolt was not let go on
	}
	return err
}

// during runs fn, which commits.
func (g *rollbackGuard) during(fn func() error) (err error) {
	g.proven = false
	g.armed.Store(true)
	defer g.armed.Store(false)
	defer func() {
		switch r := recover().(type) {
		case nil:
		case refusedRollback:
			err = r.err
		default:
			panic(r)
		}
	}()
	return fn()
}

// Errorf implements bbolt.Logger.
func (g *rollbackGuard) Errorf(_ string, args ...any) {
	if !g.armed.Load() {
		return
	}
	for _, a := range args {
		if err, ok := a.(error); ok && !isFull(err) && !errors.Is(err, berrors.ErrMaxSizeReached) {
			panic(refusedRollback{err})
		}
	}
	if g.proven {
		return
	}
	if err := g.prove(); err != nil {
		panic(refusedRollback{err})
	}
	g.proven = true
}

func (g *rollbackGuard) prove() error {
	if g.os == nil {
		return ErrDiskFailed
	}
	info, err := g.os.Stat()
	if err != nil {
		return err
	}
	_, err = wreck.Prove(g.os, info.Size())
	return err
}

// The rest of bbolt.Logger says nothing.

func (g *rollbackGuard) Debug(...any)            {}
func (g *rollbackGuard) Debugf(string, ...any)   {}
func (g *rollbackGuard) Error(...any)            {}
func (g *rollbackGuard) Info(...any)             {}
func (g *rollbackGuard) Infof(string, ...any)    {}
func (g *rollbackGuard) Warning(...any)          {}
func (g *rollbackGuard) Warningf(string, ...any) {}
func (g *rollbackGuard) Fatal(...any)            {}
func (g *rollbackGuard) Fatalf(string, ...any)   {}
func (g *rollbackGuard) Panic(...any)            {}
func (g *rollbackGuard) Panicf(string, ...any)   {}
