// Package wreck reads bbolt files that may be damaged. Its job: to prove that
// bbolt may open a file, and to find what is left in one that it may not. It
// reads with ReadAt instead of a memory map, so that a sector that cannot be
// read is an error and not the end of the process, and checks every offset, so
// that no content can be. Memory and time are bounded by the size of the file.
//
// Not its job: to know what the keys and values mean, or which of several
// copies of one is to be believed; that is its caller's, as is the file itself.
// The package starts no goroutine, and changes nothing.
//
// The format is bbolt's of version 2, with integers in the machine's order,
// which is little endian wherever obu runs:
//
//	page:   id 8 | flags 2 | count 2 | overflow 4 | elements | keys and values
//	branch: pos 4 | key size 4 | child 8                  pos counts from the element
//	leaf:   flags 4 | pos 4 | key size 4 | value size 4
//	bucket: root page 8 | sequence 8 | page, when root is 0
//	meta:   magic 4 | version 4 | page size 4 | flags 4 | root bucket 16 | free list 8 | pages 8 | transaction 8 | FNV-1a 8
package wreck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// ErrDamaged says that a file, or what was read of it, is not what bbolt wrote:
// do not open it. What wraps no ErrDamaged is the disk's own error, which may
// pass.
var ErrDamaged = errors.New("file is damaged")

// defaultPage is the page size where no root tells; pages say their own number,
// should that be wrong.
const defaultPage = 4096

// root is one of the two roots of a file.
type root struct {
	top, freelist, pages, txid uint64
}

// File reads one file that is not to be opened. It belongs to one goroutine.
type File struct {
	r      io.ReaderAt
	size   int64
	page   int64    // bytes
	roots  []root   // those that are sound, the newest first
	bytes  int64    // read so far
	faults int      // pages the disk did not give
	seen   []uint64 // a bit a page: of the tree being walked
	tries  []uint8  // of a page: see Again
}

// Open finds the roots of a file of size bytes. With the error that a root
// cannot be read comes a File all the same, without that root; that none is
// sound shows in Roots.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r, size: size, page: defaultPage}
	found, failed := f.findRoots()
	if len(found) == 2 && found[1].txid > found[0].txid {
		found[0], found[1] = found[1], found[0]
	}
	f.roots = found
	f.seen = make([]uint64, f.pages()/64+1)
	if len(found) < 2 && failed != nil {
		return f, fmt.Errorf("read root: %w", failed)
	}
	return f, nil
}

// findRoots reads the roots that are sound and takes the page size from them.
// The second one lies on the second page, so without the first it is looked for
// at every size there is.
func (f *File) findRoots() (found []root, failed error) {
	read := func(at int64) bool {
		var b [rootBytes]byte
		if _, err := f.r.ReadAt(b[:], at+pageHead); err != nil {
			if !errors.Is(err, io.EOF) {
				failed = err
			}
			return false
		}
		m, page, ok := parseRoot(b[:])
		if ok = ok && (len(found) == 0 || f.page == page); ok {
			found, f.page = append(found, m), page
		}
		return ok
	}
	if read(0) {
		read(f.page)
		return found, failed
	}
	for at := int64(minPageSize); at <= maxPageSize && !read(at); at *= 2 {
	}
	return found, failed
}

// Roots is how many of the two roots are sound. Root 0 is the newest.
func (f *File) Roots() int { return len(f.roots) }

// Size is the file's length in bytes.
func (f *File) Size() int64 { return f.size }

// BytesRead is how many bytes were read so far.
func (f *File) BytesRead() int64 { return f.bytes }

// Faults counts the pages that the disk did not give.
func (f *File) Faults() int { return f.faults }

// pages is how many pages the file has room for.
func (f *File) pages() uint64 { return uint64(f.size / f.page) }

func parseRoot(b []byte) (m root, page int64, ok bool) {
	le := binary.LittleEndian
	sum := fnv.New64a()
	sum.Write(b[:rootBytes-8])
	if le.Uint32(b) != boltMagic || le.Uint32(b[4:]) != boltVersion || le.Uint64(b[rootBytes-8:]) != sum.Sum64() {
		return m, 0, false
	}
	page = int64(le.Uint32(b[8:]))
	if page < minPageSize || page > maxPageSize || page&(page-1) != 0 {
		return m, 0, false
	}
	m = root{top: le.Uint64(b[16:]), freelist: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), txid: le.Uint64(b[48:])}
	return m, page, true
}
