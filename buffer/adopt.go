package buffer

import (
	"sort"
)

// adoptCommands takes over the commands of the file, in its order; those memory
// knows already are younger, and are in no file yet.
func (b *Buffer) adoptCommands(list []command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expired = nil // of orders that no file ever had
	var newest uint64
	for _, c := range list {
		newest = max(newest, c.order)
	}
	for id, c := range b.done {
		c.order += newest
		b.done[id] = c
	}
	for _, c := range list {
		old, known := b.done[c.id]
		if known && old.order > newest {
			b.expired = append(b.expired, c.order)
			continue
		}
		if known { // begun, and ended
			b.expired = append(b.expired, old.order)
		}
		b.done[c.id] = c
	}
}

// inheritCommands takes over commands that are not in the file: of a store set
// aside, or wiped. Those memory knows already are younger.
func (b *Buffer) inheritCommands(list []command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sort.Slice(list, func(i, j int) bool { return list[i].order < list[j].order })
	for _, c := range list {
		if _, newer := b.done[c.id]; !newer {
			c.order = b.nextOrder()
			b.done[c.id] = c
		}
	}
}

// nextOrder is above all orders in use, those to be forgotten included. mu must
// be held.
func (b *Buffer) nextOrder() (order uint64) {
	for _, d := range b.done {
		order = max(order, d.order)
	}
	for _, o := range b.expired {
		order = max(order, o)
	}
	return order + 1
}
