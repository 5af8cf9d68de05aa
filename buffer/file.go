package buffer

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"obu/telemetry"
)

const (
	// dbMode keeps positions and video from other users of the machine.
	dbMode = 0o600
	// dbLockWait is how long bbolt may wait for its own lock. The directory's
	// lock is held already, so only a program
	// that is not obu can be in the way.
	dbLockWait = 5 * time.Second
	// initialMap is the first size of the memory map. It costs address space
	// only; growing past it remaps, which waits for readers.
	initialMap = 4 << 20
	// leastSlack is what a file may always exceed its quota by: a chunk, the
	// pages it frees later, and evictRoom.
	leastSlack = 1 << 20
	// maxAbandoned bounds the handles of one file that could not be closed, each
	// of which keeps its memory map, and with it the room on disk of a file
	// deleted since, until the process ends. So many mean a disk that is dying:
	// the file is then left alone, and data lives in memory.
	maxAbandoned = 8
)

// file is one bbolt file and the memory's index of it.
type file struct {
	name    string // "telemetry.db"
	path    string
	classes []telemetry.Class
	quota   int64
	zeroed  bool // room is written with zeros before it is used: see extend
	tail    bool // small records wait in the tail: see shelf.go
	log     *slog.Logger
	faults  *faults

	wr       sync.Mutex   // held by the one writer through a whole transaction
	unread   int          // how often in a row its structure could not be read; guarded by wr
	saving   []*salvage   // what was set aside and is being moved back, oldest first; guarded by wr
	lookAt   telemetry.At // when its name is to be looked up again; guarded by wr
	expireAt telemetry.At // when to look for what is too old; guarded by wr
	gone     evictions    // to be said in the log; guarded by wr
	stale    bool         // a commit failed: db is read on, and opened anew before it is written; guarded by wr

	open  sync.RWMutex // R: db is in use; W: db is being swapped
	db    *bbolt.DB
	os    *os.File // bbolt's own handle
	undo  *rollbackGuard
	past  int64 // bytes written through handles that are closed; guarded by open
	place place // of the file opened last; guarded by open

	beginMu   sync.Mutex // held while bbolt begins a transaction; guards what follows
	broken    bool       // bbolt died with its locks taken: db can neither be used nor closed
	abandoned int        // handles that could not be closed

	worked  atomic.Uint64            // bytes read by proofs and written by copies that have ended
	copying atomic.Pointer[bbolt.DB] // what a running copy writes; nil: none runs

	mu          sync.Mutex               // guards what follows
	faulted     map[telemetry.Name]tries // batches that could not be read, and may yet be
	unseen      tries                    // of a whole stream
	blind       bool                     // it was in vain: see gaveUp
	state       state
	first       uint64                           // state.commits when opened
	streams     []*stream                        // in order of age
	acked       []telemetry.Name                 // left the backlog; to be deleted by the next transaction
	undelivered map[telemetry.Name]telemetry.Gap // of those: not delivered, and how that is listed
	doubt       map[telemetry.Name]telemetry.Gap // taken out undelivered by a transaction that failed, and how that is listed should it have reached the disk
}

// boltOptions are the same for every opening of a file. The free list is not
// synced: it would be rewritten whole by every commit (MEASURED: 299 KB per
// commit at 135 MB); the price is a scan of the tree when the file is opened.
func (f *file) boltOptions(g *rollbackGuard) *bbolt.Options {
	return &bbolt.Options{
		Timeout:         dbLockWait,
		NoFreelistSync:  true,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: initialMap,
		PageSize:        pageSize, // of new files
		MaxSize:         f.maxSize(),
		NoSync:          f.faults != nil && f.faults.noSync,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			h, err := os.OpenFile(name, flag, mode)
			f.os, g.os = h, h
			return h, err
		},
		Logger: g,
	}
}

// maxSize is the hard bound of the file: the quota bounds live bytes, a tenth on
// top is for pages that wait to be reused. Less than leastSlack a transaction
// and an eviction could not do with; the configuration takes no quota of which
// that is more than a tenth.
func (f *file) maxSize() int { return int(min(MostOnDisk(f.quota), math.MaxInt)) }

// MostOnDisk is how large a file of a quota may become, both in bytes.
func MostOnDisk(quota int64) int64 { return quota + max(quota/10, leastSlack) }

// readable reports why the file cannot be had at all, if so.
func (f *file) readable() error {
	if err := f.faults.opening(f.name); err != nil {
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	h, err := openFile(f.path)
	if err != nil {
		return fmt.Errorf("open buffer: %w", err)
	}
	return h.Close()
}

// boundTo is what a store id is bound to: the hardware, and the file's place on
// the disk, which a file put back from a backup does not have.
func (f *file) boundTo(hardware string) string {
	info, err := os.Stat(f.path)
	if err != nil || f.faults != nil && f.faults.movable {
		return hardware
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%s inode %d", hardware, st.Ino)
	}
	return hardware
}

// openDB opens the bbolt file, on a read-only disk to be drained only. A panic
// of bbolt in this goroutine, or a fault on the mapped file, becomes an error.
func (f *file) openDB() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	opened := false
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("open %s: %w: %v", f.path, ErrDamaged, fault(r))
			if !opened && f.os != nil {
				f.leave(f.os)
			}
		}
	}()
	if f.worn() {
		return fmt.Errorf("open %s: reading it failed the process %d times; restart obu, and replace the card or disk if that comes again: %w", f.path, maxAbandoned, ErrDiskFailed)
	}
	f.faults.proved(f.name)
	f.os = nil
	g := &rollbackGuard{}
	o := f.boltOptions(g)
	db, err := bbolt.Open(f.path, dbMode, o)
	if errors.Is(err, unix.EROFS) {
		o.ReadOnly = true
		db, err = bbolt.Open(f.path, dbMode, o)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	opened = true
	at, err := placeOfOpen(f.os)
	if err != nil {
		_ = db.Close()
		return fmt.Errorf("open %s: %w", f.path, err)
	}
	db.AllocSize = 0 // the file grows by what is needed, ahead of need: see grow
	f.stale = false
	f.open.Lock()
	f.db, f.undo, f.place = db, g, at
	f.open.Unlock()
	return nil
}

// writable reports whether the file is open to be written. wr must be held.
func (f *file) writable() bool { return f.db != nil && !f.db.IsReadOnly() && !f.stale }

// guard turns a panic on a damaged page, or a fault reading one, into
// ErrDamaged. It must be deferred by the goroutine that touches the file.
func guard(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: %v", ErrDamaged, fault(r))
	}
}

// fault is a recovered panic in words: what the runtime says of a page that
// cannot be read sounds like a bug.
func fault(r any) any {
	if at, ok := r.(interface{ Addr() uintptr }); ok {
		return fmt.Sprintf("a page of it cannot be read (bus error at %#x)", at.Addr())
	}
	return r
}

// view runs fn in a read transaction. fn copies out what it wants to keep.
func (f *file) view(fn func(*bbolt.Tx) error) (err error) {
	f.open.RLock()
	defer f.open.RUnlock()
	if f.db == nil {
		return ErrDiskFailed
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer guard(&err)
	tx, err := f.begin(false)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // reads no page
	return fn(tx)
}

// stream returns the index of (store, class), or nil. mu must be held.
func (f *file) stream(store telemetry.StoreID, class telemetry.Class) *stream {
	for _, s := range f.streams {
		if s.store == store && s.class == class {
			return s
		}
	}
	return nil
}

// mint returns the stream that gives names to a class, made on first use. mu
// must be held.
func (f *file) mint(class telemetry.Class) *stream {
	s := f.stream(f.state.store, class)
	if s == nil {
		s = newStream(f.state.store, class)
		f.streams = append(f.streams, s)
	}
	return s
}

// has reports whether batches of the class live in this file.
func (f *file) has(class telemetry.Class) bool {
	for _, c := range f.classes {
		if c == class {
			return true
		}
	}
	return false
}
