package buffer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"obu/telemetry"
)

// Rank orders what goes first when a quota is reached: the lowest rank, and
// within it the oldest. Telemetry and media ranks are compared only within
// their own file.
type Rank uint8

// The ranks. RankDefault stands for the rank of the class.
const (
	RankDefault     Rank = iota
	RankHistory          // telemetry class
	RankHealth           // health class
	RankEvent            // event class
	RankUnrequested      // chunks of clips nobody asked for
	RankRequested        // chunks of clips asked for by a person
	RankIncident         // chunks of clips of an event: last to go
)

// Bounds and defaults.
const (
	DefaultTelemetryQuota = 512 << 20
	DefaultMediaQuota     = 4 << 30
	DefaultFlushEvery     = time.Second
	DefaultVolatileBytes  = 4 << 20 // some hours of a car's telemetry while the disk fails
	minQuota              = 64 << 10
)

// Ceilings returns the largest quotas that a process of 32 or 64 bits can use,
// in bytes; Open lowers what is larger. A 32-bit process maps both files into 3
// GiB of address space beside everything else, and bbolt maps the next power of
// two above a file and its tenth of slack.
func Ceilings(bits int) (telemetry, media int64) {
	if bits > 32 {
		return math.MaxInt64 / 2, math.MaxInt64 / 2
	}
	return 224 << 20, 448 << 20
}

// Options say where the buffer lives, whose data it keeps and how much of it.
type Options struct {
	Dir       string
	Unit      string           // frozen into every batch
	Vehicle   string           // frozen into every batch
	Boot      telemetry.BootID // of the running kernel
	Simulated bool             // marks every batch
	Hardware  string           // the disk's or board's identity; another one gets a new store id

	TelemetryQuota int64 // bytes in telemetry.db; 0: DefaultTelemetryQuota
	MediaQuota     int64 // bytes in media.db; 0: DefaultMediaQuota
	// MaxAge is how long what is not delivered is kept, while Wall knows the
	// time: then everything older goes and is listed as expired, but not the
	// Gap table, nor what a boot stored that never knew the wall time. 0: for
	// ever.
	MaxAge        time.Duration
	VolatileBytes int64 // bytes kept in memory while the disk fails; 0: DefaultVolatileBytes

	// FlushEvery is how often the caller means to call Commit: it bounds the
	// interval a Gap names after an unclean start. 0: DefaultFlushEvery.
	FlushEvery time.Duration
	// Quiet is the longest time between two Commits with entries, of a caller
	// that calls Commit each FlushEvery: the interval of a unit that stored
	// nothing for a while reaches so much further. 0: it is not known, and does not.
	Quiet time.Duration
	Now   func() telemetry.At // time since boot; required
	Wall  func() time.Time    // the best wall clock, zero when it is not trusted; optional
	// Anchor says when this boot is as Wall does, with how sure that is: zero
	// when it is not trusted. It is kept beside the databases for exports. nil:
	// by Wall, to within an hour.
	Anchor func() telemetry.Anchor
	Log    *slog.Logger // nil: discard

	faults *faults // tests only
}

func (o *Options) fill() error {
	if o.Dir == "" || o.Now == nil {
		return errors.New("open buffer: Dir and Now are required")
	}
	set := func(v *int64, def, ceiling int64) {
		if *v == 0 {
			*v = def
		}
		*v = min(max(*v, minQuota), ceiling)
	}
	telemetry, media := Ceilings(strconv.IntSize)
	set(&o.TelemetryQuota, DefaultTelemetryQuota, telemetry)
	set(&o.MediaQuota, DefaultMediaQuota, media)
	set(&o.VolatileBytes, DefaultVolatileBytes, telemetry)
	if o.FlushEvery == 0 {
		o.FlushEvery = DefaultFlushEvery
	}
	if o.Wall == nil {
		o.Wall = func() time.Time { return time.Time{} }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return nil
}

// Entry is what one Commit takes into custody under one name.
type Entry struct {
	Class   telemetry.Class
	Content telemetry.Content
	Rank    Rank // RankDefault: by class
}

// Buffer is one unit's custody. All methods may be called from any goroutine;
// Commit and FinishClip exclude each other, CommitChunk goes beside them.
type Buffer struct {
	opts Options
	log  *slog.Logger
	lock *dirLock
	tele *file // telemetry.db; its wr guards gaps, commands and fail
	vid  *file // media.db

	clips     map[string]clip           // guarded by vid.mu
	ranks     map[telemetry.ClipID]Rank // of clips that rank above their chunks; guarded by vid.mu
	clipsDone int                       // of clips; guarded by vid.mu
	clipOrder uint64                    // guarded by vid.mu
	vidRetry  telemetry.At              // guarded by vid.wr
	vidRetire bool                      // media.db failed: its store id is not to be used again; guarded by vid.wr
	vidLate   bool                      // Open could not look for media.db; guarded by vid.wr
	vidGone   bool                      // media.db's name does not lead to it any more; guarded by vid.wr
	vidLost   []telemetry.Gap           // of media.db, not yet owed; guarded by vid.wr
	owed      []owedLoss                // of media.db, to go into the Gap table; guarded by vid.mu

	papersDue    bool // what was found besides batches in stores set aside is to be stored; guarded by tele.wr
	vidPapersDue bool // the same of media.db; guarded by vid.wr

	gaps *gapTable
	fail failure

	cut     cut                // of the last Commit; guarded by tele.wr
	steady  int                // Commits in a row that had something to store; guarded by tele.wr
	wide    bool               // what the file says may be lost reaches over Quiet; guarded by tele.wr
	sweepAt telemetry.At       // when dropped records are to go; guarded by tele.wr
	before  session            // as Open found it
	boots   boots              // when this boot and earlier ones were; guarded by tele.wr
	learned bool               // what telemetry.db knows of earlier runs is in memory; guarded by tele.wr
	wiped   *wipeOrder         // what Open deleted on order; nil: nothing
	wiping  bool               // its marker is still there; guarded by tele.wr
	done    map[string]command // executed commands, by id; guarded by mu

	sessionMu sync.Mutex // one writer of the session file

	mu      sync.Mutex // guards what follows
	lost    []telemetry.Gap
	holding telemetry.At                  // what the caller said last; 0: it holds nothing back
	dated   map[telemetry.BootID]bootTime // of boots; replaced, never changed
	expired []uint64                      // orders of commands that the file is still to forget
	told    []string                      // ids of commands whose replies were told, which the file is still to note
	closed  bool
	stats   counters

	mediaProbe telemetry.At // when to try media.db's disk again
}

// Open takes the buffer in dir into use, making what is missing. A store that
// is not sound is set aside: what is left in it comes back with later commits,
// what is missing goes into the Gap table. It starts no goroutine.
func Open(ctx context.Context, o Options) (*Buffer, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	noDir := makeDir(o.Dir, o.faults)
	if noDir != nil && !isDiskTrouble(noDir) {
		return nil, fmt.Errorf("open buffer: %w", noDir)
	}
	lock, err := &dirLock{}, error(nil)
	if noDir == nil {
		lock, err = lockDir(ctx, o.Dir, unix.LOCK_EX)
	}
	if err != nil {
		return nil, err
	}
	b := &Buffer{opts: o, log: o.Log, lock: lock, gaps: newGapTable(), clips: map[string]clip{}, ranks: map[telemetry.ClipID]Rank{}, done: map[string]command{}}
	b.tele = &file{
		name: "telemetry.db", path: filepath.Join(o.Dir, "telemetry.db"), quota: o.TelemetryQuota, tail: true, log: o.Log, faults: o.faults, zeroed: true,
		classes:     []telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth},
		undelivered: map[telemetry.Name]telemetry.Gap{},
	}
	b.vid = &file{
		name: "media.db", path: filepath.Join(o.Dir, "media.db"), quota: o.MediaQuota, log: o.Log, faults: o.faults,
		classes: []telemetry.Class{telemetry.ClassMedia}, undelivered: map[telemetry.Name]telemetry.Gap{},
	}
	b.stats.opened = o.Now()
	if noDir != nil { // tried again with later commits: see rehome
		b.vidLate = true
		b.failed(noDir)
		b.tele.wr.Lock()
		b.note()
		b.tele.wr.Unlock()
		return b, nil
	}
	if err := b.start(ctx); err != nil {
		_ = b.tele.closeDB()
		_ = b.vid.closeDB()
		lock.release()
		return nil, err
	}
	b.nameOthers()
	return b, nil
}

func newStoreID() telemetry.StoreID {
	var id telemetry.StoreID
	rand.Read(id[:]) // never fails
	return id
}

func (b *Buffer) fileOf(class telemetry.Class) *file {
	if class == telemetry.ClassMedia {
		return b.vid
	}
	return b.tele
}

// Stores returns the ids of every store that mints names or still drains:
// those that mint first. It reads no disk.
func (b *Buffer) Stores() []telemetry.StoreID {
	var out []telemetry.StoreID
	add := func(id telemetry.StoreID) {
		if !id.IsZero() && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	for _, f := range [...]*file{b.tele, b.vid} {
		f.mu.Lock()
		add(f.state.store)
		f.mu.Unlock()
	}
	for _, s := range b.Streams() {
		add(s.Store)
	}
	return out
}

// Streams returns the state of every (store, class): retired stores first,
// oldest first. It reads no disk.
func (b *Buffer) Streams() []telemetry.Stream {
	var old, cur []telemetry.Stream
	for _, f := range [...]*file{b.tele, b.vid} {
		f.mu.Lock()
		for _, s := range f.streams {
			if current := s.store == f.state.store; current {
				cur = append(cur, s.public(true))
			} else if len(s.runs) > 0 {
				old = append(old, s.public(false))
			}
		}
		f.mu.Unlock()
	}
	return append(old, cur...)
}

// Ack says that the batches are delivered. They leave the backlog at once and
// the disk with the next transaction. Unknown names are ignored.
func (b *Buffer) Ack(names ...telemetry.Name) {
	for _, n := range names {
		f := b.fileOf(n.Class)
		f.mu.Lock()
		f.settle(n)
		f.mu.Unlock()
	}
}

// settle takes a batch out of the backlog. mu must be held.
func (f *file) settle(n telemetry.Name) bool {
	s := f.stream(n.Store, n.Class)
	if s == nil {
		return false
	}
	if _, ok := s.remove(n.Seq); !ok {
		return false
	}
	if s.mem != nil {
		s.forget(n.Seq)
		s.refreshMem()
	}
	f.acked = append(f.acked, n)
	return true
}

// settleGaps tells the Gap table what became of batches that left.
func (b *Buffer) settleGaps(names []telemetry.Name) {
	f := b.tele
	for _, n := range names {
		f.mu.Lock()
		g, lost := f.undelivered[n]
		f.mu.Unlock()
		if lost {
			b.gaps.lose(n)
			b.gaps.add(g)
		} else {
			b.gaps.settle(n)
		}
	}
}

// Lost lists a loss that happened elsewhere. It is stored with the next
// Commit and delivered as an event.
func (b *Buffer) Lost(g telemetry.Gap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.lost {
		if adjoins(b.lost[i], g) {
			b.lost[i] = join(b.lost[i], g)
			return
		}
	}
	b.lost = append(b.lost, g)
}

func (b *Buffer) takeLost() []telemetry.Gap {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.lost
	b.lost = nil
	return out
}
