package buffer

import (
	"encoding/binary"
	"slices"
	"sort"
	"time"

	"obu/telemetry"
)

// maxGapRows bounds the Gap table: about 100 KiB on disk. Beyond it the two
// nearest rows of a kind are joined, so a range may grow over what arrived,
// but no loss goes unlisted.
const maxGapRows = 1024

// gapsPerBatch bounds the rows of one event batch, so that it fits any packet.
const gapsPerBatch = 128

// allSeqs is the ToSeq of a gap that lists every seq of a stream that never
// arrived: the largest whole number every JSON reader keeps exactly.
const allSeqs = 1<<53 - 1

// gapTable is the truth about losses. While a row's event batch is on its way,
// further changes only widen the row; its newest version goes out when the
// batch is acknowledged, so a long outage costs one event per row, not one per
// change.
type gapTable struct {
	rows    map[uint64]*gapRow
	next    uint64
	touched map[uint64]bool   // to be written by the next transaction
	undo    map[uint64]gapRow // as it was before the running transaction; ID 0: not there
	undoing bool
	listed  uint64                      // rows made since the start
	before  uint64                      // listed as it was before the running transaction
	carry   map[telemetry.Name][]uint64 // event batch → rows in it
}

func newGapTable() *gapTable {
	return &gapTable{rows: map[uint64]*gapRow{}, next: 1, touched: map[uint64]bool{}, carry: map[telemetry.Name][]uint64{}}
}

// load fills the table from a file. Rows whose event batch is not held any
// more are owed again.
func (t *gapTable) load(rows []*gapRow, next uint64, f *file) {
	t.next = max(t.next, next)
	for _, r := range rows {
		t.next = max(t.next, r.ID+1)
	}
	for _, r := range rows {
		if _, taken := t.rows[r.ID]; taken { // by a loss listed before the file could be read
			r.ID = t.next
			t.next++
			t.touched[r.ID] = true
		}
		t.rows[r.ID] = r
		n := r.carrier
		if s := f.stream(n.Store, n.Class); s == nil || !s.held(n.Seq) {
			r.carrier, t.touched[r.ID] = telemetry.Name{}, true
			continue
		}
		t.carry[n] = append(t.carry[n], r.ID)
	}
}

// reown finds rows whose event batch is neither held nor waiting to be settled
// and owes them again: a file that was set aside took their events with it.
func (t *gapTable) reown(f *file) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n, ids := range t.carry {
		if s := f.stream(n.Store, n.Class); s != nil && s.held(n.Seq) || slices.Contains(f.acked, n) {
			continue
		}
		for _, id := range slices.Clone(ids) {
			t.touch(id)
			t.uncarry(t.rows[id])
		}
	}
}

// begin starts a transaction: rollback returns to this point, commit keeps.
func (t *gapTable) begin() { t.undo, t.undoing, t.before = map[uint64]gapRow{}, true, t.listed }

func (t *gapTable) commit() {
	t.undo, t.undoing = nil, false
	clear(t.touched)
}

func (t *gapTable) rollback() {
	for id, old := range t.undo {
		if cur, ok := t.rows[id]; ok {
			t.uncarry(cur)
			delete(t.rows, id)
		}
		if old.ID != 0 {
			row := old
			t.rows[id] = &row
			t.setCarrier(&row, row.carrier, row.carried)
		}
	}
	t.undo, t.undoing, t.listed = nil, false, t.before
}

func (t *gapTable) touch(id uint64) {
	t.touched[id] = true
	if !t.undoing {
		return
	}
	if _, seen := t.undo[id]; seen {
		return
	}
	if row, ok := t.rows[id]; ok {
		t.undo[id] = *row
	} else {
		t.undo[id] = gapRow{}
	}
}

func (t *gapTable) setCarrier(r *gapRow, n telemetry.Name, version uint32) {
	t.uncarry(r)
	r.carrier, r.carried = n, version
	if n.Seq != 0 {
		t.carry[n] = append(t.carry[n], r.ID)
	}
}

func (t *gapTable) uncarry(r *gapRow) {
	if r.carrier.Seq == 0 {
		return
	}
	ids := t.carry[r.carrier]
	for i, id := range ids {
		if id == r.ID {
			ids = append(ids[:i], ids[i+1:]...)
			break
		}
	}
	if len(ids) == 0 {
		delete(t.carry, r.carrier)
	} else {
		t.carry[r.carrier] = ids
	}
	r.carrier = telemetry.Name{}
}

// add lists a loss: it widens a row it adjoins, else makes a new one.
func (t *gapTable) add(g telemetry.Gap) {
	var near *gapRow
	for _, r := range t.rows {
		if adjoins(r.Gap, g) && (near == nil || r.ID < near.ID) {
			near = r
		}
	}
	if near != nil {
		t.touch(near.ID)
		near.Gap = join(near.Gap, g)
		return
	}
	if len(t.rows) >= maxGapRows {
		t.shrink()
	}
	g.ID, g.Version = t.next, 1
	t.next++
	t.listed++
	t.touch(g.ID)
	t.rows[g.ID] = &gapRow{Gap: g}
}

// shrink makes room for a row by joining the two that are nearest: first of
// one store, class and reason, then of one store and class, at last any two
// of a class, which then list no seq and an unknown count.
func (t *gapTable) shrink() {
	rows := t.sorted()
	sort.SliceStable(rows, func(i, j int) bool {
		a, b := rows[i], rows[j]
		if a.Class != b.Class {
			return a.Class < b.Class
		}
		if c := compareStores(a.Store, b.Store); c != 0 {
			return c < 0
		}
		return a.FromSeq < b.FromSeq
	})
	best, bestCost := -1, ^uint64(0)
	for i := 0; i+1 < len(rows); i++ {
		if c := joinCost(rows[i].Gap, rows[i+1].Gap); c < bestCost {
			best, bestCost = i, c
		}
	}
	keep, gone := rows[best], rows[best+1]
	t.touch(keep.ID)
	t.touch(gone.ID)
	merged := join(keep.Gap, gone.Gap)
	if keep.Source != gone.Source {
		merged.Source = ""
	}
	if keep.Store != gone.Store {
		merged.Store, merged.FromSeq, merged.ToSeq, merged.Count = telemetry.StoreID{}, 0, 0, telemetry.CountUnknown
	}
	keep.Gap = merged
	t.uncarry(gone)
	delete(t.rows, gone.ID)
}

// joinCost orders the pairs shrink may join, cheapest first.
func joinCost(a, b telemetry.Gap) uint64 {
	const otherReason, otherSeqs, otherStore = 1 << 60, 1 << 61, 1 << 62
	var c uint64
	if a.Reason != b.Reason {
		c |= otherReason
	}
	switch {
	case a.Class != b.Class || a.Store != b.Store:
		return c | otherStore | uint64(b.Class-a.Class)<<56
	case (a.FromSeq == 0) != (b.FromSeq == 0):
		return c | otherSeqs
	case a.FromSeq != 0 && b.FromSeq > a.ToSeq:
		return c + min(b.FromSeq-a.ToSeq, otherReason-1)
	}
	return c
}

func compareStores(a, b telemetry.StoreID) int {
	x, y := binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:])
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// settle is called when an event batch is acknowledged: rows whose newest
// version it carried are done, the others are owed again.
func (t *gapTable) settle(n telemetry.Name) {
	for _, id := range append([]uint64(nil), t.carry[n]...) {
		r := t.rows[id]
		t.touch(id)
		done := r.carried == r.Version
		t.uncarry(r)
		if done {
			delete(t.rows, id)
		}
	}
}

// lose is called when an event batch went without being delivered: its rows
// are owed again.
func (t *gapTable) lose(n telemetry.Name) {
	for _, id := range append([]uint64(nil), t.carry[n]...) {
		t.touch(id)
		t.uncarry(t.rows[id])
	}
}

// privateEvery is how often a row of what was left out on request goes out
// while it grows: with each fix, that is, and its place would be taken by an
// event a second. On the disk it is exact with every commit.
const privateEvery = time.Minute

// due reports whether a row is owed an event now.
func (r *gapRow) due(now telemetry.At) bool {
	return r.carrier.Seq == 0 && (r.Reason != telemetry.ReasonPrivate || r.sentAt == 0 || now >= r.sentAt.Add(privateEvery))
}

// owed returns the rows of which no version is on its way, oldest first.
func (t *gapTable) owed(now telemetry.At) []*gapRow {
	var out []*gapRow
	for _, r := range t.rows {
		if r.due(now) {
			out = append(out, r)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

func (t *gapTable) anyOwed(now telemetry.At) bool {
	for _, r := range t.rows {
		if r.due(now) {
			return true
		}
	}
	return false
}

// sent notes that n carries the present versions of rows.
func (t *gapTable) sent(rows []*gapRow, n telemetry.Name, now telemetry.At) {
	for _, r := range rows {
		r.sentAt = now
		t.touch(r.ID)
		t.setCarrier(r, n, r.Version)
	}
}

func (t *gapTable) sorted() []*gapRow {
	out := make([]*gapRow, 0, len(t.rows))
	for _, r := range t.rows {
		out = append(out, r)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}
