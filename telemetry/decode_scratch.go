package telemetry

import (
	"slices"
	"sync"
)

// decoders holds scratch space only: what a decoder returns shares no memory
// with it, and depends on nothing that it decoded before.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// What a decoder keeps for the next call. Minutes of a full bus fit; larger
// scratch goes back to the collector, for an agent has little memory.
const (
	keptRows    = 1 << 12
	keptColumns = 1 << 9
	keptBytes   = 1 << 16
)

// scratch is the space that decoding needs and no result holds.
type scratch struct {
	raw        []byte // decompressed body
	cols       []column
	clocks     []timeColumn
	times      []int64 // of the clocks, cut from one piece
	xs, mask   []int64
	order      []uint64
	ends, next []int
	one        [1]Batch
}

// sized returns xs with n elements, whose content is left over.
func sized[T any](xs []T, n int) []T {
	if cap(xs) < n {
		return make([]T, n)
	}
	return xs[:n]
}

// take cuts n numbers off the piece for times. What was cut off earlier stays.
func (s *scratch) take(n int) []int64 {
	if from := len(s.times); cap(s.times)-from >= n {
		s.times = s.times[:from+n]
		return s.times[from : from+n : from+n]
	}
	s.times = make([]int64, n, max(n, 2*min(cap(s.times), keptRows), 64))
	return s.times[:n:n]
}

// release empties the decoder and gives it to the next call.
func (d *decoder) release() {
	if max(cap(d.cells), cap(d.times), cap(d.order), cap(d.xs), cap(d.mask), cap(d.zs), cap(d.texts)) > keptRows ||
		max(cap(d.cols), cap(d.clocks), cap(d.sources), cap(d.signals), cap(d.receivers), cap(d.number), cap(d.source),
			cap(d.clock), cap(d.form), cap(d.head.seqs), cap(d.head.values), cap(d.ends), cap(d.next)) > keptColumns ||
		cap(d.raw) > keptBytes {
		return
	}
	d.reset()
	decoders.Put(d)
}

// reset forgets everything but the space it lay in and the names: it holds on
// to nobody's message.
func (d *decoder) reset() {
	s := d.scratch
	clear(s.cols)
	clear(s.clocks)
	s.one[0] = Batch{}
	s.times = s.times[:0]
	clear(d.cells)
	clear(d.signals)
	clear(d.sources)
	clear(d.texts)
	clear(d.receivers)
	*d = decoder{
		scratch:   s,
		seqReader: seqReader{zs: d.zs},
		head:      header{seqs: d.head.seqs[:0], values: d.head.values[:0], names: d.head.names},
		signals:   d.signals[:0], sources: d.sources[:0], texts: d.texts[:0], receivers: d.receivers[:0],
		number: d.number[:0], source: d.source[:0], clock: d.clock[:0], form: d.form[:0],
		cells: d.cells[:0],
	}
}

// names makes one string of each text that comes again and again: units,
// vehicles, buses, receivers.
type names struct{ known []string }

const (
	namesMost   = 16 // looked through one by one
	nameLongest = 64
)

// of returns p as valid UTF-8.
func (n *names) of(p []byte) string {
	if i := slices.IndexFunc(n.known, func(s string) bool { return s == string(p) }); i >= 0 {
		return n.known[i]
	}
	s := utf8(string(p))
	if len(p) == 0 || len(p) > nameLongest || s != string(p) {
		return s
	}
	if len(n.known) == namesMost {
		clear(n.known)
		n.known = n.known[:0] // a receiver of many units: nothing is known for long
	}
	n.known = append(n.known, s)
	return s
}
