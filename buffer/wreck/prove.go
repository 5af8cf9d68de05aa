package wreck

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Prove proves that a file of size bytes is safe for bbolt to open and to use,
// or returns an error: one that wraps ErrDamaged when it is not, the disk's own
// when it cannot be read. bbolt follows page numbers and offsets unchecked, in a
// goroutine of its own where no recover reaches, so that a damaged file ends the
// process; this reads what bbolt's opening reads, with every step checked.
//
// rolledBack says that one of the two roots is not sound: bbolt goes back to the
// older one without a word. What single values are is not looked at.
func Prove(r io.ReaderAt, size int64) (rolledBack bool, err error) {
	f, err := Open(r, size)
	if err != nil {
		return false, err
	}
	if len(f.roots) == 0 {
		return false, fmt.Errorf("no root of %d bytes is sound: %w", size, ErrDamaged)
	}
	return len(f.roots) < 2, (&prover{File: f, root: f.roots[0]}).prove()
}

// prover walks the tree that bbolt would use: every page has its own number
// and one owner, keys rise and lie where their parents say, and nothing points
// out of its page or the file.
type prover struct {
	*File
	root root
}

func (p *prover) prove() error {
	if p.root.pages > p.File.pages() {
		return fmt.Errorf("%d pages in a file of %d bytes: %w", p.root.pages, p.size, ErrDamaged)
	}
	p.seen[0] = 3 // the two roots
	if p.root.freelist != noFreelist {
		if err := p.freelist(); err != nil {
			return err
		}
	}
	return p.bucket(p.root.top, true)
}

// claim notes that a page and what overflows of it have an owner.
func (p *prover) claim(id uint64, run int64) error {
	for n := id; n < id+uint64(run/p.page); n++ {
		if n >= p.root.pages || p.seen[n/64]&(1<<(n%64)) != 0 {
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
	if p.root.freelist >= p.root.pages {
		return fmt.Errorf("free list at page %d: %w", p.root.freelist, errPage)
	}
	if err := p.readAt(head, int64(p.root.freelist)*p.page); err != nil {
		return fmt.Errorf("read free list: %w", err)
	}
	run := p.page * (1 + int64(binary.LittleEndian.Uint32(head[12:])))
	n := int64(binary.LittleEndian.Uint16(head[10:]))
	if binary.LittleEndian.Uint64(head) != p.root.freelist || binary.LittleEndian.Uint16(head[8:]) != pageFreelist ||
		run > maxPageRun || n == 0xFFFF || pageHead+8*n > run {
		return fmt.Errorf("free list: %w", errPage)
	}
	if err := p.claim(p.root.freelist, run); err != nil {
		return err
	}
	b := make([]byte, run)
	if err := p.readAt(b, int64(p.root.freelist)*p.page); err != nil {
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
		if !ok || it.from != at || !inOrder(low, it.Key, high) || i > 0 && bytes.Equal(low, it.Key) {
			return fmt.Errorf("page %d, element %d: %w", id, i, errPage)
		}
		low, at = it.Key, it.to
		if !it.Bucket {
			if top {
				return fmt.Errorf("page %d: a value among buckets: %w", id, errPage)
			}
			continue
		}
		root, inline, err := inside(it.Value)
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
		if !ok || it.from != at || it.Bucket || it.Value == nil || low != nil && bytes.Compare(low, it.Key) >= 0 {
			return fmt.Errorf("inline bucket, element %d: %w", i, errPage)
		}
		low, at = it.Key, it.to
	}
	return nil
}
