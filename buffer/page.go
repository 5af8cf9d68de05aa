package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The pages of a bbolt file, read without bbolt: with ReadAt instead of a
// memory map, so that a sector that cannot be read is an error and not the end
// of the process, and with every offset checked, so that no content can be.
//
//	page:   id 8 | flags 2 | count 2 | overflow 4 | elements | keys and values
//	branch: pos 4 | key size 4 | child 8                  pos counts from the element
//	leaf:   flags 4 | pos 4 | key size 4 | value size 4
//	bucket: root page 8 | sequence 8 | page, when root is 0
//	meta:   magic 4 | version 4 | page size 4 | flags 4 | root bucket 16 | free list 8 | pages 8 | transaction 8 | FNV-1a 8
//
// integers in the machine's order, which is little endian wherever obu runs.
const (
	pageHead   = 16
	pageElem   = 16
	bucketHead = 16
	metaBytes  = 64

	pageBranch   = 1
	pageLeaf     = 2
	pageFreelist = 16
	leafBucket   = 1 // flag of a leaf's element

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = ^uint64(0)

	minPageSize = 1 << 10
	maxPageSize = 64 << 10 // of the kernels obu runs on
	// maxPageRun bounds a page and what overflows of it: eight times the largest
	// leaf obu writes, so that a damaged length takes no memory.
	maxPageRun = 8 << 20
	// maxPageDepth bounds the way from the root to a leaf: a tree of a thousand
	// million records is nine deep.
	maxPageDepth = 32
)

// errPage says that a page is not what bbolt wrote.
var errPage = fmt.Errorf("page: %w", ErrDamaged)

// boltMeta is one of the two roots of a file.
type boltMeta struct {
	root, freelist, pages, txid uint64
}

// pager reads the pages of one file. Its owner may use it from one goroutine.
type pager struct {
	r     io.ReaderAt
	size  int64
	page  int64      // bytes
	metas []boltMeta // those that are sound, the newest first
	bytes int64      // read so far
}

// newPager finds the roots of a file. It fails when they cannot be read; that
// none of them is sound shows in metas.
func newPager(r io.ReaderAt, size int64) (*pager, error) {
	p := &pager{r: r, size: size}
	var metas [2]boltMeta
	var sound [2]bool
	var failed error
	read := func(i int, at int64) {
		var b [metaBytes]byte
		if _, err := r.ReadAt(b[:], at+pageHead); err != nil {
			if !errors.Is(err, io.EOF) {
				failed = err
			}
			return
		}
		m, page, ok := parseMeta(b[:])
		if ok && (p.page == 0 || p.page == page) {
			metas[i], sound[i], p.page = m, true, page
		}
	}
	read(0, 0)
	if sound[0] {
		read(1, p.page)
	} else {
		for at := int64(minPageSize); at <= maxPageSize && !sound[1]; at *= 2 {
			read(1, at)
		}
	}
	for i := range metas {
		if sound[i] {
			p.metas = append(p.metas, metas[i])
		}
	}
	if len(p.metas) == 2 && p.metas[1].txid > p.metas[0].txid {
		p.metas[0], p.metas[1] = p.metas[1], p.metas[0]
	}
	if len(p.metas) == 0 {
		p.page = pageSize // pages say their own number, should that be wrong
	}
	if len(p.metas) < 2 && failed != nil {
		return p, fmt.Errorf("read root: %w", failed)
	}
	return p, nil
}

func parseMeta(b []byte) (m boltMeta, page int64, ok bool) {
	le := binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(b[:metaBytes-8])
	if le.Uint32(b) != boltMagic || le.Uint32(b[4:]) != boltVersion || le.Uint64(b[metaBytes-8:]) != sum.Sum64() {
		return m, 0, false
	}
	page = int64(le.Uint32(b[8:]))
	if page < minPageSize || page > maxPageSize || page&(page-1) != 0 {
		return m, 0, false
	}
	m = boltMeta{root: le.Uint64(b[16:]), freelist: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:])}
	return m, page, true
}

// boltPage is one page as it was read: b begins with its head and holds what
// overflows of it, or only its first page if that was not asked for.
type boltPage struct {
	b     []byte
	kind  uint16
	count int
	run   int64 // bytes of the page and what overflows of it
}

// read returns page id, whole or only as far as its keys when it is a single
// large value. It says errPage when the page is not what its number says, and
// the disk's error when it cannot be read.
func (p *pager) read(id uint64, whole bool) (boltPage, error) {
	var pg boltPage
	if id < 2 || id >= uint64(p.size/p.page) {
		return pg, fmt.Errorf("page %d of %d: %w", id, p.size/p.page, errPage)
	}
	b := make([]byte, p.page)
	if err := p.readAt(b, int64(id)*p.page); err != nil {
		return pg, fmt.Errorf("read page %d: %w", id, err)
	}
	pg, err := parsePage(b, id)
	if err != nil {
		return pg, err
	}
	pg.run = p.page * (1 + int64(binary.LittleEndian.Uint32(b[12:])))
	if pg.run > p.size-int64(id)*p.page {
		return pg, fmt.Errorf("page %d overflows the file: %w", id, errPage)
	}
	if pg.run == p.page || !whole && pg.single() {
		return pg, nil
	}
	if pg.run > maxPageRun {
		return pg, fmt.Errorf("page %d of %d bytes: %w", id, pg.run, errPage)
	}
	pg.b = append(b, make([]byte, pg.run-p.page)...)
	if err := p.readAt(pg.b[p.page:], int64(id)*p.page+p.page); err != nil {
		return pg, fmt.Errorf("read page %d: %w", id, err)
	}
	return pg, nil
}

func (p *pager) readAt(b []byte, at int64) error {
	p.bytes += int64(len(b))
	_, err := p.r.ReadAt(b, at)
	if errors.Is(err, io.EOF) { // the file got shorter
		return errPage
	}
	return err
}

// parsePage reads the head of a page that should be id; b is its first page.
func parsePage(b []byte, id uint64) (boltPage, error) {
	if len(b) < pageHead || binary.LittleEndian.Uint64(b) != id {
		return boltPage{}, fmt.Errorf("page %d: another number: %w", id, errPage)
	}
	pg := boltPage{b: b, kind: binary.LittleEndian.Uint16(b[8:]), count: int(binary.LittleEndian.Uint16(b[10:])), run: int64(len(b))}
	if pg.kind != pageBranch && pg.kind != pageLeaf {
		return pg, fmt.Errorf("page %d of kind %#x: %w", id, pg.kind, errPage)
	}
	return pg, nil
}

// single reports whether the page is a leaf with one plain value whose key lies
// in what was read.
func (g *boltPage) single() bool {
	if g.kind != pageLeaf || g.count != 1 || binary.LittleEndian.Uint32(g.b[pageHead:]) != 0 {
		return false
	}
	pos, n := uint64(binary.LittleEndian.Uint32(g.b[pageHead+4:])), uint64(binary.LittleEndian.Uint32(g.b[pageHead+8:]))
	return pageHead+pos+n <= uint64(len(g.b))
}

// item is one element of a leaf: a value, or the bucket under a key.
type item struct {
	key, value []byte // value is nil when only the key was read
	bucket     bool
	from, to   uint64 // where both lie in the page
}

// keysAt is where the keys and values begin: bbolt writes them without gaps, so
// that a page whose number of elements is wrong shows.
func (g *boltPage) keysAt() uint64 { return uint64(pageHead + g.count*pageElem) }

// leaf returns the i-th element of a leaf.
func (g *boltPage) leaf(i int) (it item, ok bool) {
	at := uint64(pageHead + i*pageElem)
	if i >= g.count || at+pageElem > uint64(len(g.b)) {
		return it, false
	}
	le := binary.LittleEndian
	flags, pos, nk, nv := le.Uint32(g.b[at:]), uint64(le.Uint32(g.b[at+4:])), uint64(le.Uint32(g.b[at+8:])), uint64(le.Uint32(g.b[at+12:]))
	key, end := at+pos, at+pos+nk+nv
	if flags&^leafBucket != 0 || key < uint64(pageHead+g.count*pageElem) || end > uint64(g.run) || key+nk > uint64(len(g.b)) {
		return it, false
	}
	it.key, it.bucket, it.from, it.to = g.b[key:key+nk], flags == leafBucket, key, end
	if end <= uint64(len(g.b)) {
		it.value = g.b[key+nk : end : end]
	}
	return it, true
}

// child returns the i-th element of a branch. Of the first one the key lies
// where keys begin.
func (g *boltPage) child(i int) (key []byte, id uint64, ok bool) {
	at := uint64(pageHead + i*pageElem)
	if i >= g.count || at+pageElem > uint64(len(g.b)) {
		return nil, 0, false
	}
	pos, n := uint64(binary.LittleEndian.Uint32(g.b[at:])), uint64(binary.LittleEndian.Uint32(g.b[at+4:]))
	if at+pos < g.keysAt() || i == 0 && at+pos != g.keysAt() || at+pos+n > uint64(len(g.b)) {
		return nil, 0, false
	}
	return g.b[at+pos : at+pos+n], binary.LittleEndian.Uint64(g.b[at+8:]), true
}

// inside splits the value of a bucket: the root page elsewhere, or the page
// that lies in the value itself.
func inside(value []byte) (root uint64, inline boltPage, err error) {
	if len(value) < bucketHead {
		return 0, inline, fmt.Errorf("bucket of %d bytes: %w", len(value), errPage)
	}
	if root = binary.LittleEndian.Uint64(value); root != 0 {
		return root, inline, nil
	}
	inline, err = parsePage(value[bucketHead:], 0)
	if err == nil && inline.kind != pageLeaf {
		err = fmt.Errorf("inline bucket of kind %#x: %w", inline.kind, errPage)
	}
	return 0, inline, err
}
