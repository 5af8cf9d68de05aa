package buffer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	berrors "go.etcd.io/bbolt/errors"

	"obu/telemetry"
)

// probeBytes is what the disk must take before the database is tried again:
// more than a transaction writes.
const probeBytes = 256 << 10

// recovered tries to go back to the disk and reports whether it did. What is
// held in memory moves to the file under the names it has, as a retired store
// that drains.
func (b *Buffer) recovered() bool {
	if b.opts.Now() < b.fail.retryAt {
		return false
	}
	if err := b.recover(); err != nil {
		b.log.Warn("the buffer's disk still does not take data", "err", err, "held_bytes", b.fail.memory)
		b.failed(err)
		return false
	}
	b.fail = failure{backoff: b.fail.backoff, calmAt: b.opts.Now().Add(calmAfter)}
	b.log.Info("the buffer's disk takes data again", "file", b.tele.path)
	return true
}

func (b *Buffer) recover() error {
	if err := b.rehome(); err != nil {
		return err
	}
	if err := probe(filepath.Join(b.opts.Dir, "probe"), probeBytes); err != nil {
		return err
	}
	f := b.tele
	var c contents
	moved, err := b.rescue(f)
	if err != nil {
		return err
	}
	if moved || b.fail.suspect || f.db == nil {
		c, err = b.reopen(f)
	} else {
		c, err = f.load(false)
	}
	if err != nil {
		return err
	}
	for _, g := range c.damaged {
		b.Lost(g)
	}
	unreturned := b.merge(f, c)
	b.settleDoubt(f)
	if !b.learned {
		b.learn(c)
	}
	b.gaps.reown(f)
	if err := b.returnToDisk(unreturned); err != nil {
		return err
	}
	return b.endWipe()
}

// reopen proves the file and opens it anew: after a failed sync the memory's
// copy of a page may not be what the disk has.
func (b *Buffer) reopen(f *file) (contents, error) {
	if err := f.closeDB(); err != nil {
		return contents{}, err
	}
	dropCache(f.path)
	old := session{Files: map[string]sessionFile{f.name: b.noted(f, f.diskStoreIDs())}}
	if !b.learned {
		old.Files = readSession(b.opts.Dir).Files
	}
	c, lost, err := b.prepare(context.Background(), f, old)
	if err == nil {
		b.takeUp(f, &c)
	}
	for _, g := range lost {
		b.Lost(g)
	}
	return c, err
}

// merge puts what the file holds and what memory holds into one index. It
// returns batches of the failed transaction that reached the disk after all:
// their names were never given out and their content has others by now.
func (b *Buffer) merge(f *file, c contents) []telemetry.Name {
	f.mu.Lock()
	defer f.mu.Unlock()
	var unreturned []telemetry.Name
	var streams []*stream
	for _, s := range c.streams {
		old := f.stream(s.store, s.class)
		if old != nil && old.mem != nil {
			continue // an earlier try to move it got that far; memory knows better
		}
		if old != nil {
			for seq := old.next; seq < s.next; seq++ {
				if s.held(seq) {
					unreturned = append(unreturned, s.name(seq))
					s.remove(seq)
				}
			}
			s.next = old.next
		}
		streams = append(streams, s)
	}
	for _, n := range f.acked {
		for _, s := range streams {
			if s.store == n.Store && s.class == n.Class {
				s.remove(n.Seq)
			}
		}
	}
	for _, s := range f.streams {
		if s.mem != nil {
			streams = append(streams, s)
		}
	}
	f.acked = append(f.acked, c.bad...)
	volatile, file, done := f.state.store, f.state.owedFile, f.state.owedDone
	counted := f.state.commits - f.first
	f.state = c.state
	if b.learned { // the Gap table is memory's, and so is what it has of media.db
		f.state.owedFile, f.state.owedDone = file, done
	}
	f.first = c.state.commits - counted // what this handle wrote still counts
	f.state.store = volatile            // retired by returnToDisk
	f.state.unit, f.state.hardware, f.state.clean = b.opts.Unit, f.boundTo(b.opts.Hardware), false
	f.streams = streams
	return unreturned
}

// returnToDisk is the first transaction after a failure. The session file comes
// first: once the transaction is on disk nothing may fail any more, because
// the store id it made current must not go on in memory.
func (b *Buffer) returnToDisk(unreturned []telemetry.Name) error {
	volatile := b.tele.state.store
	err := b.retire(b.tele)
	if err == nil {
		err = b.returnAll(unreturned)
	}
	if err != nil {
		b.tele.mintUnder(volatile)
	}
	return err
}

// retire makes a new store id current, once the session file names it.
func (b *Buffer) retire(f *file) error {
	old := f.state.store
	f.mintUnder(newStoreID())
	err := b.writeSession(false)
	if err != nil {
		f.mintUnder(old)
	}
	return err
}

func (f *file) mintUnder(id telemetry.StoreID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.store = id
}

func (b *Buffer) returnAll(unreturned []telemetry.Name) error {
	return b.updateInRoom(func(t *txn) error {
		for id := range b.gaps.rows {
			b.gaps.touched[id] = true
		}
		if err := t.tx.DeleteBucket(bucketGaps); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
			return err
		}
		for _, n := range unreturned {
			t.f.mu.Lock()
			s := t.f.stream(n.Store, n.Class)
			t.f.mu.Unlock()
			if s == nil {
				continue
			}
			if _, _, err := t.remove(s, n.Seq); err != nil {
				return err
			}
		}
		if err := t.moveVolatile(); err != nil {
			return err
		}
		if err := b.putCommands(t); err != nil {
			return err
		}
		_, err := b.transact(t, nil, 0)
		return err
	})
}

// moveVolatile writes the batches held in memory under the names they have.
func (t *txn) moveVolatile() error {
	type held struct {
		s    *stream
		seqs []uint64 // rising
		recs [][]byte
	}
	var list []held
	t.f.mu.Lock()
	for _, s := range t.f.streams {
		if s.mem == nil {
			continue
		}
		m := held{s: s, seqs: slices.Sorted(maps.Keys(s.mem))}
		for _, seq := range m.seqs {
			m.recs = append(m.recs, s.mem[seq])
		}
		list, t.moved = append(list, m), append(t.moved, s)
	}
	t.f.mu.Unlock()
	for _, m := range list {
		if err := t.tx.DeleteBucket(streamBucket(m.s.store, m.s.class)); err != nil && !errors.Is(err, berrors.ErrBucketNotFound) {
			return fmt.Errorf("move %s %s to disk: %w", m.s.store, m.s.class, err)
		}
		for i, rec := range m.recs {
			h, _, err := decodeHeader(rec)
			if err != nil {
				return err
			}
			if err := t.put(m.s, m.seqs[i], h, rec, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// applyMoved turns streams held in memory into streams of the file, empty: what
// the transaction put follows. It returns what was acknowledged while it ran.
// mu must be held.
func (t *txn) applyMoved() map[telemetry.Name]bool {
	left := map[telemetry.Name]bool{}
	for _, a := range t.added {
		if a.s.mem != nil && !a.s.held(a.seq) {
			left[a.s.name(a.seq)] = true
		}
	}
	for _, s := range t.moved {
		s.mem, s.runs = nil, nil
		s.batches, s.bytes, s.values, s.cost = 0, 0, 0, 0
	}
	return left
}

// diskStoreIDs lists the stores that lie in the file.
func (f *file) diskStoreIDs() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, s := range f.streams {
		id := s.store.String()
		if s.mem == nil && (len(out) == 0 || out[len(out)-1] != id) {
			out = append(out, id)
		}
	}
	return out
}

// probe writes and syncs size bytes into a file of its own and removes it.
func probe(path string, size int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, dbMode)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, size))
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if rerr := os.Remove(path); err == nil {
		err = rerr
	}
	return err
}
