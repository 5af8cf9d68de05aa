package buffer

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sort"

	"obu/telemetry"
)

// A wreck is a store file that is not to be opened any more: its structure is
// not sound, or some of it cannot be read. What is left in it is found in three
// passes, each for what the one before did not account for:
//
//  1. the tree below the newer root, round damaged branches;
//  2. the tree below the older root, whose pages no transaction has reused yet;
//  3. every leaf page of the file. Pages that were freed keep their content
//     until they are reused, so this may find batches that were acknowledged:
//     copies, which consumers drop. It is made only for a stream of which the
//     state misses some.
//
// A batch is believed only when its checksum, which covers its name, is right;
// everything else only when its own is.
type wreck struct {
	*pager
	classes []telemetry.Class
	state   state
	told    bool // state is one that was written
	known   bool // state is the newest there was
	newer   bool // of a format this obu does not know
	streams []*wreckStream
	judged  bool     // the first pass is through
	veiled  bool     // whole buckets may be missing from the tree being walked
	seen    []uint64 // a bit a page: of the tree being walked
	tries   []uint8  // of a page as a large record, in the third pass
	faults  int      // pages the disk did not give
}

// wreckStream is what is known and found of one (store, class).
type wreckStream struct {
	store   telemetry.StoreID
	class   telemetry.Class
	next    uint64 // 0: not known
	open    bool   // next may have been higher
	holds   uint64 // batches the state says are in the file and not acknowledged
	sure    uint64 // batches found in the first pass
	small   uint64 // the highest seq found in the stream's own bucket that could have waited in the tail
	late    bool   // the tail could not be read whole
	found   spans
	dropped spans     // acknowledged, and in the file for now
	bad     []badSeqs // where the first pass could not read; after it: where batches may be missing
	doubt   bool      // a record since sound is not what was written
	sound   uint64    // the seq found last in the bucket being read
	before  header    // of the batch found last, in the order of the first pass
}

// badSeqs are seqs that lie, or may lie, where nothing can be read.
type badSeqs struct {
	from, to      uint64
	before, after header // the batches found on either side; zero: none
}

// find is one batch found: a record that is what was written. A zero find says
// only that some of the file was read.
type find struct {
	stream *wreckStream
	seq    uint64
	rec    []byte // valid until the next find
}

// maxTries bounds how often one page is read as the large record of another
// seq: after each reuse of the page one more stale reference to it may lie
// around.
const maxTries = 8

// newWreck prepares the passes over a file of size bytes. Of the stores in ids
// batches are known even when the file itself does not tell.
func newWreck(p *pager, classes []telemetry.Class, ids []telemetry.StoreID) *wreck {
	w := &wreck{pager: p, classes: classes, seen: make([]uint64, p.size/p.page/64+1)}
	for i := 0; i < len(p.metas) && !w.told && !w.newer; i++ {
		w.walk(i, func(name []byte, b item) bool {
			if string(name) == string(bucketMain) {
				w.readState(b)
			}
			return true
		})
		w.known = w.told && i == 0 && len(p.metas) == 2
	}
	for _, t := range w.state.streams {
		s := w.stream(t.store, t.class)
		s.next, s.holds, s.open, s.dropped = t.next, t.batches-min(t.batches, t.dropped.count()), !w.known, t.dropped
	}
	for _, id := range ids {
		for _, class := range classes {
			w.stream(id, class)
		}
	}
	return w
}

func (w *wreck) readState(b item) {
	var raw []byte
	var version uint32
	w.within(b, func(it item) bool {
		switch string(it.key) {
		case string(keyFormat):
			if len(it.value) == 4 {
				version = binary.LittleEndian.Uint32(it.value)
			}
		case string(keyState):
			raw = it.value
		}
		return true
	}, nil)
	if w.newer = version > formatVersion; w.newer {
		return
	}
	for _, v := range [...]uint32{version, formatVersion} { // the version has no checksum of its own
		if st, err := decodeState(v, raw); err == nil {
			w.state, w.told = st, true
			return
		}
	}
}

// stream returns what is kept of (store, class), made on first use.
func (w *wreck) stream(store telemetry.StoreID, class telemetry.Class) *wreckStream {
	for _, s := range w.streams {
		if s.store == store && s.class == class {
			return s
		}
	}
	s := &wreckStream{store: store, class: class}
	if w.judged { // only now is it known that there is one
		s.judge()
	}
	w.streams = append(w.streams, s)
	return s
}

// whole reports whether the first pass found all that the state knows of. A
// state older than what the pass goes through counts nothing: as many may have
// come since as are missing.
func (s *wreckStream) whole() bool { return s.next != 0 && !s.open && s.sure >= s.holds }

// last is the highest seq there may be.
func (s *wreckStream) last() uint64 {
	if s.next == 0 || s.open {
		return allSeqs
	}
	return s.next - 1
}

// judge ends the first pass: it narrows down where batches are missing, to what
// could not be read, or to all that was not found when that accounts for too
// few.
func (s *wreckStream) judge() {
	defer func() {
		if s.open && len(s.bad) == 0 || s.open && s.bad[len(s.bad)-1].to < allSeqs {
			s.bad = append(s.bad, badSeqs{from: s.next, to: allSeqs, before: s.before})
		}
		for _, r := range s.dropped { // neither wanted nor missing
			for seq := r.from; seq <= r.to; seq++ {
				s.found = s.found.with(seq)
			}
		}
	}()
	if s.late { // what waits in the tail is younger than what is out of it
		s.spoil(s.small+1, s.last())
	}
	slices.SortFunc(s.bad, func(a, b badSeqs) int { return cmp.Compare(a.from, b.from) })
	for i := len(s.bad) - 1; i > 0; i-- {
		if a, b := &s.bad[i-1], s.bad[i]; a.to+1 >= b.from {
			a.to, a.after = max(a.to, b.to), b.after
			s.bad = slices.Delete(s.bad, i, i+1)
		}
	}
	if s.whole() {
		s.bad = nil
		return
	}
	var room uint64
	for _, b := range s.bad {
		for _, free := range s.found.not(b.from, b.to) {
			room += free.to - free.from + 1
		}
	}
	if s.next == 0 || room < s.holds-min(s.holds, s.sure) {
		s.bad = []badSeqs{{from: 1, to: s.last()}}
	}
}

// wanted reports whether seq may be a batch that the first pass missed.
func (s *wreckStream) wanted(seq uint64) bool {
	i := sort.Search(len(s.bad), func(i int) bool { return s.bad[i].to >= seq })
	return i < len(s.bad) && s.bad[i].from <= seq && !s.found.has(seq)
}

// settled reports whether no batch is missing any more.
func (w *wreck) settled() bool {
	for _, s := range w.streams {
		for _, b := range s.bad {
			if len(s.found.not(b.from, b.to)) > 0 {
				return false
			}
		}
	}
	return w.known
}

// finds makes the passes. It yields every batch once, and zero finds in
// between, so that the caller can rest.
func (w *wreck) finds(yield func(find) bool) {
	for i := range w.metas {
		going := true
		w.walk(i, func(name []byte, b item) bool {
			going = w.bucketFinds(name, b, i == 0, yield)
			return going
		})
		if i == 0 {
			w.judge()
		}
		if !going || w.settled() {
			return
		}
	}
	if len(w.metas) == 0 {
		w.judge()
	}
	w.sweep(yield)
}

func (w *wreck) judge() {
	w.judged = true
	for _, s := range w.streams {
		s.late = s.late || w.veiled
		s.judge()
	}
}

// bucketFinds yields the batches in one top bucket.
func (w *wreck) bucketFinds(name []byte, b item, first bool, yield func(find) bool) bool {
	if string(name) == string(bucketTail) {
		return w.tailFinds(b, first, yield)
	}
	store, class, ok := parseStreamBucket(name)
	if !ok || !w.ours(class) {
		return true
	}
	s := w.stream(store, class)
	if !first && len(s.bad) == 0 {
		return true
	}
	going := w.within(b, func(it item) bool {
		if len(it.key) != 8 {
			return yield(find{})
		}
		return w.take(s, binary.BigEndian.Uint64(it.key), it, first, yield)
	}, func() { s.doubt = s.doubt || first })
	s.trust(s.last())
	s.sound = 0
	return going
}

// tailFinds yields the batches in the tail.
func (w *wreck) tailFinds(b item, first bool, yield func(find) bool) bool {
	hide := func() {
		for _, s := range w.streams {
			s.late = s.late || first
		}
	}
	for _, s := range w.streams {
		s.sound = s.small
	}
	going := w.within(b, func(it item) bool {
		n, ok := parseTailKey(it.key)
		if !ok || !w.ours(n.Class) {
			hide()
			return yield(find{})
		}
		s := w.stream(n.Store, n.Class)
		going := w.take(s, n.Seq, it, first, yield)
		if s.doubt { // here it may be any stream's
			s.doubt = false
			hide()
		}
		return going
	}, hide)
	return going
}

func (w *wreck) ours(class telemetry.Class) bool {
	for _, c := range w.classes {
		if c == class {
			return true
		}
	}
	return false
}

// take yields the record of seq if it is sound and wanted.
func (w *wreck) take(s *wreckStream, seq uint64, it item, ordered bool, yield func(find) bool) bool {
	if !ordered && !s.wanted(seq) {
		return yield(find{})
	}
	rec := it.value
	if it.bucket {
		rec = w.large(it.value)
	}
	h, _, err := openRecord(telemetry.Name{Store: s.store, Class: s.class, Seq: seq}, rec)
	if ordered && (err != nil || seq == 0 || seq > s.last()) {
		s.doubt = true
	} else if ordered {
		s.trust(seq - 1)
		s.sound = seq
	}
	if err != nil || s.doubt || s.found.has(seq) || s.dropped.has(seq) {
		return yield(find{})
	}
	s.found = s.found.with(seq)
	if ordered {
		s.sure++
		if len(it.key) == 8 && len(rec) <= tailRecord {
			s.small = max(s.small, seq)
		}
		s.pass(h)
	}
	return yield(find{s, seq, rec})
}

// trust ends a doubt. Of what is not what was written the key may be what is
// wrong, a branch's no less than a record's: names between those of the sound
// neighbours may be missing.
func (s *wreckStream) trust(upTo uint64) {
	if s.doubt {
		s.doubt = false
		s.spoil(s.sound+1, upTo)
	}
}

// large returns the record in the sub-bucket that value stands for, nil if
// there is none.
func (w *wreck) large(value []byte) []byte {
	var rec []byte
	w.within(item{value: value, bucket: true}, func(it item) bool {
		if string(it.key) == string(blobKey) {
			rec = it.value
		}
		return rec == nil
	}, nil)
	return rec
}

// spoil notes seqs that cannot be read.
func (s *wreckStream) spoil(from, to uint64) {
	if to = min(to, s.last()); to < from {
		return
	}
	if n := len(s.bad); n > 0 && s.bad[n-1].to+1 >= from && s.bad[n-1].to <= to && s.bad[n-1].after == (header{}) {
		s.bad[n-1].to = to
		return
	}
	if len(s.bad) >= maxBadSeqs { // wider, never unlisted
		s.bad[len(s.bad)-1].to = max(to, s.bad[len(s.bad)-1].to)
		return
	}
	s.bad = append(s.bad, badSeqs{from: from, to: to, before: s.before})
}

// maxBadSeqs bounds the ranges listed of one stream: more are listed as one.
const maxBadSeqs = 256

// pass notes a batch found in order: what is spoiled before it is no younger.
func (s *wreckStream) pass(h header) {
	s.before = h
	for i := len(s.bad) - 1; i >= 0 && s.bad[i].after == (header{}); i-- {
		s.bad[i].after = h
	}
}

// walk calls fn for every top bucket below a root, until it returns false.
func (w *wreck) walk(meta int, fn func(name []byte, b item) bool) {
	w.seen, w.veiled = make([]uint64, w.size/w.page/64+1), false
	w.below(w.metas[meta].root, nil, nil, 0, func(it item) bool {
		return !it.bucket || it.value == nil || fn(it.key, it)
	}, func() { w.veiled = true })
}

// within calls fn for every element of a bucket that can be read, in order of
// its keys, and bad where some in between cannot.
func (w *wreck) within(b item, fn func(item) bool, bad func()) bool {
	if bad == nil {
		bad = func() {}
	}
	root, inline, err := inside(b.value)
	switch {
	case err != nil:
		bad()
		return true
	case root != 0:
		return w.below(root, nil, nil, 0, fn, bad)
	}
	return w.elements(&inline, nil, nil, fn, bad)
}

// below calls fn for every element below a page, round what cannot be read.
func (w *wreck) below(id uint64, low, high []byte, depth int, fn func(item) bool, bad func()) bool {
	if bad == nil {
		bad = func() {}
	}
	if depth > maxPageDepth || !w.visit(id) {
		bad()
		return true
	}
	pg, err := w.load(id)
	if err != nil {
		bad()
		return true
	}
	if pg.kind == pageLeaf {
		return w.elements(&pg, low, high, fn, bad)
	}
	if pg.count == 0 {
		bad()
		return true
	}
	key, child, ok := pg.child(0)
	for i := range pg.count {
		next, after, okNext := high, uint64(0), true
		if i+1 < pg.count {
			next, after, okNext = pg.child(i + 1)
		}
		if !ok || !okNext || !inOrder(low, key, next) {
			bad()
			return true
		}
		if !w.below(child, key, next, depth+1, fn, bad) {
			return false
		}
		low, key, child = key, next, after
	}
	return true
}

// visit reports whether a page comes for the first time in this walk: a
// damaged tree may lead in circles.
func (w *wreck) visit(id uint64) bool {
	if id >= uint64(w.size/w.page) || w.seen[id/64]&(1<<(id%64)) != 0 {
		return false
	}
	w.seen[id/64] |= 1 << (id % 64)
	return true
}

func (w *wreck) load(id uint64) (boltPage, error) {
	pg, err := w.read(id, true)
	if unreadable(err) {
		w.faults++
	}
	return pg, err
}

// elements calls fn for every element of a leaf.
func (w *wreck) elements(pg *boltPage, low, high []byte, fn func(item) bool, bad func()) bool {
	at, gaps := pg.keysAt(), false
	for i := range pg.count {
		it, ok := pg.leaf(i)
		if it.from != at {
			gaps = true
			bad()
		}
		at = it.to
		if !ok || it.value == nil || !inOrder(low, it.key, high) {
			bad()
			continue
		}
		if !fn(it) {
			return false
		}
	}
	if gaps { // there may have been more
		bad()
	}
	return true
}

// sweepBlock is how much of the file the third pass reads at once.
const sweepBlock = 256 << 10

// sweep yields the batches on any leaf page of the file that the trees did not
// lead to.
func (w *wreck) sweep(yield func(find) bool) {
	w.tries = make([]uint8, w.size/w.page)
	block := make([]byte, sweepBlock/w.page*w.page)
	for at := 2 * w.page; at+w.page <= w.size; at += int64(len(block)) {
		b := block[:min(int64(len(block)), (w.size-at)/w.page*w.page)]
		whole := w.readAt(b, at) == nil
		for off := int64(0); off < int64(len(b)); off += w.page {
			pg := b[off : off+w.page]
			if !whole && w.readAt(pg, at+off) != nil {
				w.faults++
				continue
			}
			if !w.sweepPage(uint64((at+off)/w.page), pg, yield) {
				return
			}
		}
		if !yield(find{}) || w.settled() {
			return
		}
	}
}

func (w *wreck) sweepPage(id uint64, b []byte, yield func(find) bool) bool {
	pg, err := parsePage(b, id)
	if err != nil || pg.kind != pageLeaf {
		return true
	}
	if binary.LittleEndian.Uint32(b[12:]) != 0 { // its values overflow
		if pg, err = w.load(id); err != nil {
			return true
		}
	}
	return w.elements(&pg, nil, nil, func(it item) bool { return w.stray(it, yield) }, func() {})
}

// stray yields what an element is that no tree leads to.
func (w *wreck) stray(it item, yield func(find) bool) bool {
	if store, class, ok := parseStreamBucket(it.key); ok && it.bucket {
		if root, inline, err := inside(it.value); err == nil && root == 0 && w.ours(class) {
			s := w.stream(store, class)
			return w.elements(&inline, nil, nil, func(it item) bool {
				return len(it.key) != 8 || w.take(s, binary.BigEndian.Uint64(it.key), it, false, yield)
			}, func() {})
		}
		return true
	}
	if n, ok := parseTailKey(it.key); ok && !it.bucket && w.ours(n.Class) {
		return w.take(w.stream(n.Store, n.Class), n.Seq, it, false, yield)
	}
	if string(it.key) == string(bucketTail) && it.bucket {
		if root, inline, err := inside(it.value); err == nil && root == 0 {
			return w.elements(&inline, nil, nil, func(it item) bool { return w.stray(it, yield) }, func() {})
		}
		return true
	}
	if len(it.key) != 8 {
		return true
	}
	seq := binary.BigEndian.Uint64(it.key)
	for _, s := range w.streams {
		if !s.wanted(seq) {
			continue
		}
		if it.bucket && !w.tryLarge(it.value) {
			return true
		}
		if !w.take(s, seq, it, false, yield) {
			return false
		}
	}
	return true
}

// tryLarge reports whether the page a large record lies on may be read again.
func (w *wreck) tryLarge(value []byte) bool {
	if len(value) < bucketHead {
		return false
	}
	root := binary.LittleEndian.Uint64(value)
	if root >= uint64(len(w.tries)) || w.tries[root] >= maxTries {
		return false
	}
	w.tries[root]++
	clear(w.seen) // not a walk: only the page itself bounds it
	return true
}

// missing lists what is lost, once the passes are through: what may have been
// where nothing could be read and was found nowhere else. g says of when, should
// no neighbour tell.
func (w *wreck) missing(g telemetry.Gap) []telemetry.Gap {
	var out []telemetry.Gap
	for _, s := range w.streams {
		out = append(out, s.missing(g)...)
	}
	return out
}

func (s *wreckStream) missing(g telemetry.Gap) []telemetry.Gap {
	g.Class, g.Store, g.Count, g.Reason = s.class, s.store, telemetry.CountUnknown, telemetry.ReasonDamagedStore
	var out []telemetry.Gap
	for _, bad := range s.bad {
		for _, free := range s.found.not(bad.from, bad.to) {
			if n := len(out); n >= maxBadSeqs { // wider, never unlisted
				out[n-1].ToSeq = free.to
				continue
			}
			gap := g
			gap.FromSeq, gap.ToSeq = free.from, free.to
			bad.bound(&gap)
			out = append(out, gap)
		}
	}
	return out
}

// bound sets when the batches of a gap are from, as far as its neighbours tell.
func (b *badSeqs) bound(g *telemetry.Gap) {
	switch none := (telemetry.BootID{}); {
	case b.before.boot != none && b.before.boot == b.after.boot:
		g.Boot, g.From, g.To = b.before.boot, b.before.at, b.after.at
	case b.before.boot != none:
		g.Boot, g.From, g.To = b.before.boot, b.before.at, endOfBoot
	case b.after.boot != none:
		g.Boot, g.From, g.To = b.after.boot, 0, b.after.at
	}
}

// not returns the ranges from from to to that are not in the set.
func (s spans) not(from, to uint64) []span {
	var out []span
	for i, _ := s.find(from); from <= to; i++ {
		if i == len(s) || s[i].from > to {
			return append(out, span{from, to})
		}
		if s[i].from > from {
			out = append(out, span{from, s[i].from - 1})
		}
		from = s[i].to + 1
	}
	return out
}
