package buffer

import (
	"fmt"

	"go.etcd.io/bbolt"

	"obu/telemetry"
)

// Read returns held batches of a stream in rising seq, beginning with the
// first at or after from, as long as their blobs fit maxBytes; at least one if
// there is any. Acknowledged batches in between are passed over. The blobs are
// copies; nothing stays open.
func (b *Buffer) Read(store telemetry.StoreID, class telemetry.Class, from uint64, maxBytes int) ([]telemetry.Stored, error) {
	f := b.fileOf(class)
	f.mu.Lock()
	s := f.stream(store, class)
	if s == nil {
		f.mu.Unlock()
		return nil, nil
	}
	if s.mem != nil {
		defer f.mu.Unlock()
		return s.readMem(from, maxBytes)
	}
	runs := s.runsFrom(from)
	f.mu.Unlock()
	if len(runs) == 0 {
		return nil, nil
	}
	var out []telemetry.Stored
	var spoiled []telemetry.Name
	err := f.view(func(tx *bbolt.Tx) error {
		shelf := openShelf(tx, store, class)
		size := 0
		for _, r := range runs {
			for seq := max(r.from, from); seq <= r.to; seq++ {
				n := telemetry.Name{Store: store, Class: class, Seq: seq}
				rec, where := shelf.record(seq)
				if where == nowhere { // acknowledged meanwhile, or gone: drop tells
					spoiled = append(spoiled, n)
					continue
				}
				h, blob, err := openRecord(n, rec)
				if err != nil {
					spoiled = append(spoiled, n)
					continue
				}
				if len(out) > 0 && size+len(blob) > maxBytes {
					return nil
				}
				size += len(blob)
				out = append(out, telemetry.Stored{Name: n, Values: h.values, Blob: append([]byte(nil), blob...)})
			}
		}
		return nil
	})
	for _, n := range spoiled {
		if b.drop(n, b.spoiledNow(n)) {
			b.log.Error("a stored batch is not what was written and is listed as lost; check the disk", "store", n.Store.String(), "class", n.Class.String(), "seq", n.Seq)
		}
	}
	if x := b.opts.faults; x != nil && x.deleteBeforeAck {
		for _, st := range out {
			b.Ack(st.Name)
		}
	}
	if err != nil && len(out) == 0 {
		return nil, fmt.Errorf("read %s %s %d: %w", store, class, from, err)
	}
	return out, nil
}

// maxReadRuns bounds the ranges one Read looks at.
const maxReadRuns = 64

// runsFrom copies the ranges that end at or after from.
func (s *stream) runsFrom(from uint64) []run {
	i, _ := s.find(from)
	return append([]run(nil), s.runs[i:min(len(s.runs), i+maxReadRuns)]...)
}

func (s *stream) readMem(from uint64, maxBytes int) ([]telemetry.Stored, error) {
	var out []telemetry.Stored
	size := 0
	for _, r := range s.runsFrom(from) {
		for seq := max(r.from, from); seq <= r.to; seq++ {
			h, blob, err := openRecord(s.name(seq), s.mem[seq])
			if err != nil {
				return out, err
			}
			if len(out) > 0 && size+len(blob) > maxBytes {
				return out, nil
			}
			size += len(blob)
			out = append(out, telemetry.Stored{Name: s.name(seq), Values: h.values, Blob: append([]byte(nil), blob...)})
		}
	}
	return out, nil
}

// Refuse takes a batch out of the backlog that can never be delivered and
// lists it for that reason.
func (b *Buffer) Refuse(n telemetry.Name, why telemetry.Reason) {
	b.log.Error("a batch was refused for good and is listed as lost", "store", n.Store.String(), "class", n.Class.String(), "seq", n.Seq, "why", string(why))
	g := spoiledGap(n)
	if h, ok := b.headerOf(n); ok {
		g = evictedGap(n, h, why)
	}
	g.Reason = why
	b.drop(n, g)
}

// spoiledNow lists a batch of a running store; its time is known if all the
// stream holds is of this boot.
func (b *Buffer) spoiledNow(n telemetry.Name) telemetry.Gap {
	g := spoiledGap(n)
	f := b.fileOf(n.Class)
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.stream(n.Store, n.Class); s != nil && s.boot == b.opts.Boot {
		g.Boot, g.From, g.To = s.boot, s.oldest, b.opts.Now()
	}
	return g
}

// drop takes a batch out undelivered, if it was held. The transaction that
// deletes it lists the loss.
func (b *Buffer) drop(n telemetry.Name, g telemetry.Gap) bool {
	f := b.fileOf(n.Class)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.settle(n) {
		return false
	}
	f.undelivered[n] = g
	return true
}

// headerOf reads what a held batch says of itself.
func (b *Buffer) headerOf(n telemetry.Name) (h header, ok bool) {
	f := b.fileOf(n.Class)
	f.mu.Lock()
	if s := f.stream(n.Store, n.Class); s != nil && s.mem != nil {
		defer f.mu.Unlock()
		h, _, err := openRecord(n, s.mem[n.Seq])
		return h, err == nil
	}
	f.mu.Unlock()
	err := f.view(func(tx *bbolt.Tx) (err error) {
		rec, _ := openShelf(tx, n.Store, n.Class).record(n.Seq)
		h, _, err = openRecord(n, rec)
		return err
	})
	return h, err == nil
}
