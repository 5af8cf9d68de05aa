package wreck

// Walk calls fn for every bucket at the top of the tree below a root, until it
// returns false. It reports whether the tree down to there is whole: whether no
// bucket may be missing.
func (f *File) Walk(root int, fn func(b Item) bool) (whole bool) {
	clear(f.seen)
	whole = true
	f.below(f.roots[root].top, nil, nil, 0, func(b Item) bool {
		return !b.Bucket || fn(b)
	}, func() { whole = false })
	return whole
}

// Within calls fn for every element of a bucket that can be read, in order of
// its keys, until it returns false, and bad where some in between cannot. It
// reports whether it came to the end.
func (f *File) Within(b Item, fn func(Item) bool, bad func()) bool {
	if bad == nil {
		bad = func() {}
	}
	root, inline, err := inside(b.Value)
	switch {
	case err != nil:
		bad()
		return true
	case root != 0:
		return f.below(root, nil, nil, 0, fn, bad)
	}
	return f.elements(&inline, nil, nil, fn, bad)
}

// below calls fn for every element below a page, round what cannot be read.
func (f *File) below(id uint64, low, high []byte, depth int, fn func(Item) bool, bad func()) bool {
	if bad == nil {
		bad = func() {}
	}
	if depth > maxPageDepth || !f.visit(id) {
		bad()
		return true
	}
	pg, err := f.load(id)
	if err != nil {
		bad()
		return true
	}
	if pg.kind == pageLeaf {
		return f.elements(&pg, low, high, fn, bad)
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
		if !f.below(child, key, next, depth+1, fn, bad) {
			return false
		}
		low, key, child = key, next, after
	}
	return true
}

// visit reports whether a page comes for the first time in this walk: a
// damaged tree may lead in circles.
func (f *File) visit(id uint64) bool {
	if id >= f.pages() || f.seen[id/64]&(1<<(id%64)) != 0 {
		return false
	}
	f.seen[id/64] |= 1 << (id % 64)
	return true
}

func (f *File) load(id uint64) (boltPage, error) {
	pg, err := f.read(id, true)
	if Unreadable(err) {
		f.faults++
	}
	return pg, err
}

// elements calls fn for every element of a leaf.
func (f *File) elements(pg *boltPage, low, high []byte, fn func(Item) bool, bad func()) bool {
	at, gaps := pg.keysAt(), false
	for i := range pg.count {
		it, ok := pg.leaf(i)
		if it.from != at {
			gaps = true
			bad()
		}
		at = it.to
		if !ok || it.Value == nil || !inOrder(low, it.Key, high) {
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
