package buffer

import (
	"encoding/json"
	"strconv"

	"obu/telemetry"
)

// Faults is what tests may break; see faults.
type Faults struct {
	BeforeOpen, BeforeCommit, AfterCommit func(file string) error
	InBegin, AfterProof, InRead           func(file string)
	BeforeNames                           func() error

	SeqOutsideTx    bool
	DropEvery       int
	DeleteBeforeAck bool
	EvictUnlisted   bool
	NoSync          bool
	NoDirSync       bool
	StaysClean      bool
	OwedInMemory    bool

	Movable bool
}

// Break sets faults on options.
func Break(o *Options, f Faults) {
	o.faults = &faults{
		beforeOpen: f.BeforeOpen, beforeCommit: f.BeforeCommit, afterCommit: f.AfterCommit, inBegin: f.InBegin, afterProof: f.AfterProof, inRead: f.InRead, beforeNames: f.BeforeNames, seqOutsideTx: f.SeqOutsideTx,
		dropEvery: f.DropEvery, deleteBeforeAck: f.DeleteBeforeAck, evictUnlisted: f.EvictUnlisted,
		noSync: f.NoSync, noDirSync: f.NoDirSync, staysClean: f.StaysClean, owedInMemory: f.OwedInMemory, movable: f.Movable,
	}
}

// Crash lets go of everything as the end of the process would.
func (b *Buffer) Crash() {
	for _, f := range [...]*file{b.tele, b.vid} {
		_ = f.closeDB()
		for _, s := range f.saving {
			s.close()
		}
	}
	b.lock.release()
	b.closed = true
}

// IndexIsFree reports whether nobody holds the index of a file.
func (b *Buffer) IndexIsFree(file string) bool {
	f := b.tele
	if file == b.vid.name {
		f = b.vid
	}
	if !f.mu.TryLock() {
		return false
	}
	f.mu.Unlock()
	return true
}

// PagesPerCommit runs fn and returns the pages it wrote into telemetry.db and
// media.db, meta pages included.
func (b *Buffer) Pages(fn func()) (telemetry, media int64) {
	pages := func(f *file) int64 {
		_, _, w := f.sizes()
		return w / 4096
	}
	t, m := pages(b.tele), pages(b.vid)
	fn()
	return pages(b.tele) - t, pages(b.vid) - m
}

// PagesWritten returns the pages written into each file since it was opened.
func (b *Buffer) PagesWritten() (telemetry, media int64) {
	_, _, t := b.tele.sizes()
	_, _, m := b.vid.sizes()
	return t / 4096, m / 4096
}

// RoomOf returns what Stats takes for the room left, given s.
func (b *Buffer) RoomOf(s Stats) int64 { return b.room(s) }

// MaxGapRows is the bound of the Gap table.
const MaxGapRows = maxGapRows

// Queued returns the acknowledgements that wait for a transaction of
// telemetry.db.
func (b *Buffer) Queued() int {
	b.tele.mu.Lock()
	defer b.tele.mu.Unlock()
	return len(b.tele.acked)
}

// Remember notes that clip i is finished, or not, as a transaction does that
// stored it.
func (b *Buffer) Remember(i int, done bool) {
	bound := maxOpenClips
	if done {
		bound = maxDoneClips
	}
	b.remember("clip-"+strconv.Itoa(i), clip{id: telemetry.ClipID{byte(i), byte(i >> 8), byte(i >> 16)}, done: done, order: b.nextClipOrder(), rank: RankIncident}, bound)
}

// Clips returns how many clips and how many ranks of clips are remembered.
func (b *Buffer) Clips() (clips, ranks int) { return len(b.clips), len(b.ranks) }

// MaxCommands is how many command ids are remembered.
const MaxCommands = maxCommands

// The bounds on clips.
const (
	MaxDoneClips = maxDoneClips
	MaxOpenClips = maxOpenClips
)

// Dropped returns how many acknowledged records still lie in telemetry.db.
func (b *Buffer) Dropped() (n uint64) {
	b.tele.mu.Lock()
	defer b.tele.mu.Unlock()
	for _, s := range b.tele.streams {
		n += s.dropped.count()
	}
	return n
}

// MaxAbandoned bounds the handles of a file that could not be closed.
const MaxAbandoned = maxAbandoned

// MaxBoots bounds the table of boots.
const MaxBoots = maxBoots

// ParseBoots returns how many boots a file names.
func ParseBoots(raw []byte) (int, error) {
	list, err := parseBoots(raw)
	return len(list), err
}

// ReparseBoots writes what it reads and reads it again.
func ReparseBoots(raw []byte) (int, error) {
	list, err := parseBoots(raw)
	if err != nil {
		return 0, err
	}
	if raw, err = json.Marshal(list); err != nil {
		return 0, err
	}
	return ParseBoots(raw)
}
