package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// VerifyFile proves that a database file is safe to open, or returns an error:
// one that wraps ErrDamaged when it is not, the disk's own when it cannot be
// read. bbolt follows page numbers and offsets unchecked, in a goroutine of its
// own where no recover reaches, so that a damaged file ends the process; this
// reads what bbolt's opening reads, without bbolt and with every step checked.
// A file of a newer format is sound; Open tells it by its version. Single
// values that are not what was written do not make a file unsafe; Open and
// Check list those.
func VerifyFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	if err := proveFile(f, info.Size()); err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	return nil
}

func proveFile(r io.ReaderAt, size int64) error {
	_, err := proof(r, size)
	return err
}

// proof is proveFile, and reports whether one of the two roots was not sound:
// bbolt then goes back to the older one without a word.
func proof(r io.ReaderAt, size int64) (rolledBack bool, err error) {
	p, err := newPager(r, size)
	if err != nil {
		return false, err
	}
	if len(p.metas) == 0 {
		return false, fmt.Errorf("no root of %d bytes is sound: %w", size, ErrDamaged)
	}
	return len(p.metas) < 2, (&prover{pager: p, meta: p.metas[0], seen: make([]uint64, size/p.page/64+1)}).prove()
}

// prover walks the tree that bbolt would use: every page has its own number
// and one owner, keys rise and lie where their parents say, and nothing points
// out of its page or the file.
type prover struct {
	*pager
	meta boltMeta
	seen []uint64 // a bit a page
}

func (p *prover) prove() error {
	if p.meta.pages > uint64(p.size/p.page) {
		return fmt.Errorf("%d pages in a file of %d bytes: %w", p.meta.pages, p.size, ErrDamaged)
	}
	p.seen[0] = 3 // the two roots
	if p.meta.freelist != noFreelist {
		if err := p.freelist(); err != nil {
			return err
		}
	}
	return p.bucket(p.meta.root, true)
}

// claim notes that a page and what overflows of it have an owner.
func (p *prover) claim(id uint64, run int64) error {
	for n := id; n < id+uint64(run/p.page); n++ {
		if n >= p.meta.pages || p.seen[n/64]&(1<<(n%64)) != 0 {
			return fmt.Errorf("page %d has two owners or none: %w", n, errPage)
		}
		p.seen[n/64] |= 1 << (n % 64)
	}
	return nil
}

// freelist proves a list of free pages that another program stored: obu's own
// files have none.
func (p *prover) freelist() error {
	head := make([]byte, p.page)
	if p.meta.freelist >= p.meta.pages {
		return fmt.Errorf("free list at page %d: %w", p.meta.freelist, errPage)
	}
	if err := p.readAt(head, int64(p.meta.freelist)*p.page); err != nil {
		return fmt.Errorf("read free list: %w", err)
	}
	run := p.page * (1 + int64(binary.LittleEndian.Uint32(head[12:])))
	n := int64(binary.LittleEndian.Uint16(head[10:]))
	if binary.LittleEndian.Uint64(head) != p.meta.freelist || binary.LittleEndian.Uint16(head[8:]) != pageFreelist ||
		run > maxPageRun || n == 0xFFFF || pageHead+8*n > run {
		return fmt.Errorf("free list: %w", errPage)
	}
	if err := p.claim(p.meta.freelist, run); err != nil {
		return err
	}
	b := make([]byte, run)
	if err := p.readAt(b, int64(p.meta.freelist)*p.page); err != nil {
		return fmt.Errorf("read free list: %w", err)
	}
	for i := range n {
		if err := p.claim(binary.LittleEndian.Uint64(b[pageHead+8*i:]), p.page); err != nil {
			return err
		}
	}
	return nil
}

// bucket proves the tree below a bucket's root page. The top one holds buckets
// and nothing else.
func (p *prover) bucket(root uint64, top bool) error { return p.tree(root, nil, nil, top, 0) }

// tree proves the page id and all below it, whose keys are from low to below
// high; nil is no bound.
func (p *prover) tree(id uint64, low, high []byte, top bool, depth int) error {
	if depth > maxPageDepth {
		return fmt.Errorf("page %d too deep: %w", id, errPage)
	}
	pg, err := p.read(id, false)
	if err != nil {
		return err
	}
	if err := p.claim(id, pg.run); err != nil {
		return err
	}
	if pg.kind == pageLeaf {
		return p.leaves(id, &pg, low, high, top, depth)
	}
	if pg.count == 0 {
		return fmt.Errorf("page %d is empty: %w", id, errPage)
	}
	key, child, ok := pg.child(0)
	for i := range pg.count {
		next, after := high, uint64(0)
		if i+1 < pg.count && ok {
			next, after, ok = pg.child(i + 1)
		}
		if !ok || !inOrder(low, key, next) {
			return fmt.Errorf("page %d: keys out of order: %w", id, errPage)
		}
		if err := p.tree(child, key, next, top, depth+1); err != nil {
			return err
		}
		low, key, child = key, next, after
	}
	return nil
}

// inOrder reports whether low <= key < high; nil is no bound.
func inOrder(low, key, high []byte) bool {
	return (low == nil || bytes.Compare(low, key) <= 0) && (high == nil || bytes.Compare(key, high) < 0)
}

func (p *prover) leaves(id uint64, pg *boltPage, low, high []byte, top bool, depth int) error {
	at := pg.keysAt()
	for i := range pg.count {
		it, ok := pg.leaf(i)
		if !ok || it.from != at || !inOrder(low, it.key, high) || i > 0 && bytes.Equal(low, it.key) {
			return fmt.Errorf("page %d, element %d: %w", id, i, errPage)
		}
		low, at = it.key, it.to
		if !it.bucket {
			if top {
				return fmt.Errorf("page %d: a value among buckets: %w", id, errPage)
			}
			continue
		}
		root, inline, err := inside(it.value)
		switch {
		case err != nil:
			return err
		case root != 0:
			err = p.tree(root, nil, nil, false, depth+1)
		default:
			err = p.inline(&inline)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inline proves a bucket that lies in a value: plain values only.
func (p *prover) inline(pg *boltPage) error {
	var low []byte
	at := pg.keysAt()
	for i := range pg.count {
		it, ok := pg.leaf(i)
		if !ok || it.from != at || it.bucket || it.value == nil || low != nil && bytes.Compare(low, it.key) >= 0 {
			return fmt.Errorf("inline bucket, element %d: %w", i, errPage)
		}
		low, at = it.key, it.to
	}
	return nil
}

// unreadable reports whether an error is the disk's: it may read again later.
func unreadable(err error) bool { return err != nil && !errors.Is(err, ErrDamaged) }
