package ledger

import (
	"container/list"

	"obu/telemetry"
)

// partKey names a batch of one unit.
type partKey struct {
	unit string
	telemetry.Name
}

// partStore holds batches of which some parts are still missing, the one
// touched last at the front. A batch may be on its way in two divisions at
// once: after a reconnect the sender may divide it anew for a smaller packet
// while copies of the old parts still arrive; either may complete it. The
// zero partStore is ready.
type partStore struct {
	held  map[partKey]map[uint32]*list.Element // by number of parts
	order list.List                            // of *partial
	bytes int
}

type partial struct {
	key   partKey
	of    uint32
	parts map[uint32]telemetry.Batch
	bytes int
}

// takePart books one part of a batch. The batch becomes fresh with its last
// missing part.
func (l *Ledger) takePart(u *unit, s *stream, env telemetry.Envelope) ([]telemetry.Batch, int) {
	p := *env.Part
	if len(env.Batches) != 1 || p.Of == 0 || p.Of > MaxParts || p.Index >= p.Of || env.Batches[0].Seq == 0 {
		l.malformed++
		return nil, 0
	}
	b := complete(env, env.Batches[0])
	if s.seen.has(b.Seq) {
		s.copies++
		return nil, 1
	}
	k := partKey{env.Unit, b.Name}
	q := l.parts.touch(k, p.Of)
	if _, ok := q.parts[p.Index]; ok {
		s.copies++
		return nil, 1
	}
	if len(q.parts)+1 < int(q.of) {
		n := weigh(&b)
		q.parts[p.Index] = b
		q.bytes += n
		l.parts.bytes += n
		l.trimParts()
		return nil, 0
	}
	q.parts[p.Index] = b
	l.parts.drop(k)
	whole := q.join()
	s.enter(u, &whole)
	return []telemetry.Batch{whole}, 0
}

// trimParts gives up the batches untouched for longest until the bound holds.
func (l *Ledger) trimParts() {
	for l.parts.bytes > MaxPartBytes {
		k := l.parts.order.Back().Value.(*partial).key
		l.parts.drop(k)
		l.units[k.unit].stream(streamKey{k.Store, k.Class}).abandoned++
	}
}

// touch returns the division of batch k into so many parts, as the one used
// last.
func (s *partStore) touch(k partKey, of uint32) *partial {
	if s.held == nil {
		s.held = make(map[partKey]map[uint32]*list.Element)
	}
	if s.held[k] == nil {
		s.held[k] = make(map[uint32]*list.Element)
	}
	e := s.held[k][of]
	if e == nil {
		e = s.order.PushFront(&partial{key: k, of: of, parts: make(map[uint32]telemetry.Batch)})
		s.held[k][of] = e
	}
	s.order.MoveToFront(e)
	return e.Value.(*partial)
}

// drop forgets every division of batch k.
func (s *partStore) drop(k partKey) {
	for _, e := range s.held[k] {
		s.bytes -= e.Value.(*partial).bytes
		s.order.Remove(e)
	}
	delete(s.held, k)
}

// join lays the parts together in order. A chunk whose bytes were divided
// between two parts becomes one record again.
func (q *partial) join() telemetry.Batch {
	whole := q.parts[0]
	whole.Content = telemetry.Content{}
	for i := range q.of {
		c := q.parts[i].Content
		whole.Samples = append(whole.Samples, c.Samples...)
		whole.Fixes = append(whole.Fixes, c.Fixes...)
		whole.Gaps = append(whole.Gaps, c.Gaps...)
		whole.Anchors = append(whole.Anchors, c.Anchors...)
		whole.Clips = append(whole.Clips, c.Clips...)
		for j, ch := range c.Chunks {
			if n := len(whole.Chunks); j == 0 && n > 0 {
				if last := &whole.Chunks[n-1]; last.Clip == ch.Clip && last.Offset+int64(len(last.Data)) == ch.Offset {
					last.Data = append(last.Data[:len(last.Data):len(last.Data)], ch.Data...)
					continue
				}
			}
			whole.Chunks = append(whole.Chunks, ch)
		}
	}
	return whole
}

// weigh estimates what a batch costs in memory.
func weigh(b *telemetry.Batch) int {
	n := 512 + 96*len(b.Samples) + 208*len(b.Fixes) + 192*(len(b.Gaps)+len(b.Anchors)+len(b.Clips))
	for i := range b.Samples {
		n += len(b.Samples[i].Value.Text())
	}
	for i := range b.Chunks {
		n += 48 + cap(b.Chunks[i].Data)
	}
	return n
}
