package telemetry

// Reason says why data named by a Gap will never arrive.
type Reason string

// The reasons. Each stands for one place that may drop, and has a counter
// there.
const (
	ReasonEvicted      Reason = "evicted"       // quota reached; oldest of the lowest rank went
	ReasonExpired      Reason = "expired"       // older than the configured age
	ReasonBatcherFull  Reason = "batcher-full"  // memory bound reached before the store took it
	ReasonRXOverflow   Reason = "rx-overflow"   // the kernel's or controller's receive queue overflowed
	ReasonBusError     Reason = "bus-error"     // error frames, bus-off, device gone
	ReasonDecode       Reason = "decode"        // input that could not be decoded
	ReasonRefused      Reason = "refused"       // the broker never accepted the packet
	ReasonDamagedStore Reason = "damaged-store" // a store was set aside
	ReasonUncleanStart Reason = "unclean-start" // power or process died: at most one flush interval
	ReasonDiskFailed   Reason = "disk-failed"   // kept in memory only, and memory ran out or ended
	ReasonClipLost     Reason = "clip-lost"     // a segment vanished or changed before it was in custody
	ReasonPrivate      Reason = "private"       // position dropped at the source on request
	ReasonWiped        Reason = "wiped"         // deleted by the command wipe
)

// CountUnknown is the Count of a Gap whose size could not be counted.
const CountUnknown int64 = -1

// Gap lists a loss. The Gap table of a store is the truth; every change of a
// row is delivered as an event with the row's ID and a higher Version, and
// consumers keep the highest version of each (unit, store of the carrying
// batch, ID) and take the union of all rows.
type Gap struct {
	ID      uint64 // row in the table of the store whose event carries it
	Version uint32 // rises with every change of the row
	Class   Class
	Store   StoreID // whose seqs FromSeq and ToSeq are
	FromSeq uint64  // first lost seq, inclusive; 0 when the loss came before a seq was minted
	ToSeq   uint64  // last lost seq, inclusive
	Boot    BootID
	From    At    // first lost datum, or the start of the interval it fell into
	To      At    // last lost datum
	Count   int64 // lost values, or CountUnknown
	Reason  Reason
	Source  string // the part that lost it, as Source.String or a file name; may be empty
}

// Covers reports whether the gap lists (store, class, seq).
func (g Gap) Covers(n Name) bool {
	return g.FromSeq != 0 && g.Store == n.Store && g.Class == n.Class && g.FromSeq <= n.Seq && n.Seq <= g.ToSeq
}
