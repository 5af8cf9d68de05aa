package buffer

// Faults is what tests may break; see faults.
type Faults struct {
	BeforeOpen, BeforeCommit, AfterCommit func(file string) error

	SeqOutsideTx    bool
	DropEvery       int
	DeleteBeforeAck bool
	EvictUnlisted   bool
}

// Break sets faults on options.
func Break(o *Options, f Faults) {
	o.faults = &faults{
		beforeOpen: f.BeforeOpen, beforeCommit: f.BeforeCommit, afterCommit: f.AfterCommit, seqOutsideTx: f.SeqOutsideTx,
		dropEvery: f.DropEvery, deleteBeforeAck: f.DeleteBeforeAck, evictUnlisted: f.EvictUnlisted,
	}
}

// Crash lets go of everything as the end of the process would.
func (b *Buffer) Crash() {
	for _, f := range [...]*file{b.tele, b.vid} {
		_ = f.closeDB()
	}
	b.lock.release()
	b.closed = true
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

// MaxGapRows is the bound of the Gap table.
const MaxGapRows = maxGapRows

// Queued returns the acknowledgements that wait for a transaction of
// telemetry.db.
func (b *Buffer) Queued() int {
	b.tele.mu.Lock()
	defer b.tele.mu.Unlock()
	return len(b.tele.acked)
}

// RankOfCause is the rank of a clip by its manifest.
var RankOfCause = rankOfCause
