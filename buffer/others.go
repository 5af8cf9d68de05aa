package buffer

import "obu/telemetry"

// nameOthers says when the backlog holds batches of another unit: they keep
// its name, but leave on the topics of the unit that runs now. A store belongs
// to one unit, so its first batch tells.
func (b *Buffer) nameOthers() {
	held := map[string]int{}
	for _, s := range b.Streams() {
		if s.Batches == 0 || s.Current { // the current store is this unit's: see adopt
			continue
		}
		first, err := b.Read(s.Store, s.Class, s.Floor, 1)
		if err != nil || len(first) == 0 {
			continue // Read lists what is damaged
		}
		batch, err := telemetry.DecodeBatch(first[0].Name, first[0].Blob)
		if err == nil && batch.Unit != b.opts.Unit {
			held[batch.Unit] += s.Batches
		}
	}
	for unit, n := range held {
		b.log.Warn("the backlog holds batches of another unit: they are delivered as its own, on this unit's topics",
			"belong_to", unit, "unit", b.opts.Unit, "batches", n, "dir", b.opts.Dir,
			"next", "nothing if this unit was renamed; else give each unit a buffer.dir of its own")
	}
}
