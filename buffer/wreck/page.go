package wreck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	pageHead   = 16
	pageElem   = 16
	bucketHead = 16
	rootBytes  = 64

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

// Unreadable reports whether an error is the disk's, which may read again
// later, and no verdict about what is on it.
func Unreadable(err error) bool { return err != nil && !errors.Is(err, ErrDamaged) }

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
func (f *File) read(id uint64, whole bool) (boltPage, error) {
	var pg boltPage
	if id < 2 || id >= f.pages() {
		return pg, fmt.Errorf("page %d of %d: %w", id, f.pages(), errPage)
	}
	b := make([]byte, f.page)
	if err := f.readAt(b, int64(id)*f.page); err != nil {
		return pg, fmt.Errorf("read page %d: %w", id, err)
	}
	pg, err := parsePage(b, id)
	if err != nil {
		return pg, err
	}
	pg.run = f.page * (1 + int64(binary.LittleEndian.Uint32(b[12:])))
	if pg.run > f.size-int64(id)*f.page {
		return pg, fmt.Errorf("page %d overflows the file: %w", id, errPage)
	}
	if pg.run == f.page || !whole && pg.single() {
		return pg, nil
	}
	if pg.run > maxPageRun {
		return pg, fmt.Errorf("page %d of %d bytes: %w", id, pg.run, errPage)
	}
	pg.b = append(b, make([]byte, pg.run-f.page)...)
	if err := f.readAt(pg.b[f.page:], int64(id)*f.page+f.page); err != nil {
		return pg, fmt.Errorf("read page %d: %w", id, err)
	}
	return pg, nil
}

func (f *File) readAt(b []byte, at int64) error {
	f.bytes += int64(len(b))
	_, err := f.r.ReadAt(b, at)
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

// Item is one element of a leaf: a value, or the bucket under a key.
type Item struct {
	Key, Value []byte // valid until the next one; Value is nil when only the key was read
	Bucket     bool
	from, to   uint64 // where both lie in the page
}

// Page is the page where the tree of a bucket begins; 0: it lies in the value
// itself, or this is none.
func (it Item) Page() uint64 {
	if !it.Bucket || len(it.Value) < bucketHead {
		return 0
	}
	return binary.LittleEndian.Uint64(it.Value)
}

// keysAt is where the keys and values begin: bbolt writes them without gaps, so
// that a page whose number of elements is wrong shows.
func (g *boltPage) keysAt() uint64 { return uint64(pageHead + g.count*pageElem) }

// leaf returns the i-th element of a leaf.
func (g *boltPage) leaf(i int) (it Item, ok bool) {
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
	it.Key, it.Bucket, it.from, it.to = g.b[key:key+nk], flags == leafBucket, key, end
	if end <= uint64(len(g.b)) {
		it.Value = g.b[key+nk : end : end]
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
