package wreck

import "encoding/binary"

const (
	// sweepBlock is how much of the file a sweep reads at once.
	sweepBlock = 256 << 10
	// maxTries bounds how often one page is read for another reference to it:
	// after each reuse of the page one more stale one may lie around.
	maxTries = 8
)

// Sweep calls fn for every element on any leaf page of the file, whether or not
// a tree leads to it, until it returns false: pages that were freed keep their
// content until they are reused. After each block read it calls rest, and ends
// when that returns false.
func (f *File) Sweep(fn func(Item) bool, rest func() bool) {
	block := make([]byte, sweepBlock/f.page*f.page)
	for at := 2 * f.page; at+f.page <= f.size; at += int64(len(block)) {
		b := block[:min(int64(len(block)), (f.size-at)/f.page*f.page)]
		whole := f.readAt(b, at) == nil
		for off := int64(0); off < int64(len(b)); off += f.page {
			pg := b[off : off+f.page]
			if !whole && f.readAt(pg, at+off) != nil {
				f.faults++
				continue
			}
			if !f.sweepPage(uint64((at+off)/f.page), pg, fn) {
				return
			}
		}
		if !rest() {
			return
		}
	}
}

func (f *File) sweepPage(id uint64, b []byte, fn func(Item) bool) bool {
	pg, err := parsePage(b, id)
	if err != nil || pg.kind != pageLeaf {
		return true
	}
	if binary.LittleEndian.Uint32(b[12:]) != 0 { // its values overflow
		if pg, err = f.load(id); err != nil {
			return true
		}
	}
	return f.elements(&pg, nil, nil, fn, func() {})
}

// Again reports whether Within may lead to the page of a bucket that a sweep
// came upon: a few times to each.
func (f *File) Again(b Item) bool {
	if !b.Bucket || len(b.Value) < bucketHead {
		return false
	}
	if f.tries == nil {
		f.tries = make([]uint8, f.pages())
	}
	page := b.Page()
	if page >= f.pages() || f.tries[page] >= maxTries {
		return false
	}
	f.tries[page]++
	clear(f.seen) // not a walk: only the page itself bounds it
	return true
}
