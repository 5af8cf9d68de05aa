package telemetry

import "time"

// Name is the name of a batch for ever; with the unit it is unique in the
// world. Seq starts at 1 and is contiguous per (Store, Class).
type Name struct {
	Store StoreID
	Class Class
	Seq   uint64
}

// Content is what a batch carries. Every record counts as one value in the
// ledger, a sample as much as a fix, an event record or a chunk.
type Content struct {
	Samples []Sample
	Fixes   []Fix
	Gaps    []Gap
	Anchors []Anchor
	Clips   []Clip
	Chunks  []Chunk
}

// Values returns the number of records: what the ledger counts.
func (c *Content) Values() int {
	return len(c.Samples) + len(c.Fixes) + len(c.Gaps) + len(c.Anchors) + len(c.Clips) + len(c.Chunks)
}

// Batch is what one source interval produced, immutable once stored. Unit and
// Vehicle are frozen into it, so a unit moved to another car never writes
// history into the wrong one.
type Batch struct {
	Unit      string
	Vehicle   string
	Boot      BootID
	Simulated bool
	Name
	Content
}

// Stored is a batch as the buffer holds it: encoded by EncodeBatch, without
// its Name, which is its key.
type Stored struct {
	Name
	Values int
	Blob   []byte
}

// Stream is the state of one (store, class) in the buffer. Seqs below Floor
// are settled: delivered, or listed in a Gap.
type Stream struct {
	Store   StoreID
	Class   Class
	Floor   uint64 // lowest seq still held or owed; equals Next when nothing is
	Next    uint64 // seq the next batch will get
	Batches int    // held
	Bytes   int64  // held, encoded
	Values  int64  // held
	Oldest  At     // when the oldest held batch was stored; meaningful when Batches > 0 and Boot is the running one
	Boot    BootID // of the oldest held batch
	Current bool   // false: a retired store that only drains

	Volatile bool // the store is in memory only, because the disk fails
}

// Part says that an envelope carries one slice of a single batch that is too
// large for one packet. The batch is complete when every part of it was seen.
type Part struct {
	Index uint32 // 0-based
	Of    uint32
}

// Envelope is one MQTT message of a stored class: consecutive or near batches
// of one (store, class, vehicle, boot), with their columns laid together.
type Envelope struct {
	Unit      string
	Vehicle   string
	Store     StoreID
	Class     Class
	Boot      BootID
	Simulated bool
	History   bool // not current: older than what the live stream already sent
	Volatile  bool // the store is in memory only, because the disk fails
	Floor     uint64
	Next      uint64
	SentAt    At        // time since boot of SentBoot
	SentBoot  BootID    // the running boot: Boot may be an earlier one
	SentWall  time.Time // the unit's best wall time at SentAt; a hint, zero when unknown
	Part      *Part     // nil: whole batches
	Batches   []Batch   // in rising seq
}
