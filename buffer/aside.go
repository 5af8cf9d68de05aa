package buffer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	berrors "go.etcd.io/bbolt/errors"

	"obu/telemetry"
)

// maxAside bounds the damaged files kept of each database.
const maxAside = 3

// isDamage tells a file that is not what was written from one that cannot be
// had just now.
func isDamage(err error) bool {
	for _, d := range [...]error{ErrDamaged, ErrNewerFormat, berrors.ErrInvalid, berrors.ErrVersionMismatch, berrors.ErrChecksum} {
		if errors.Is(err, d) {
			return true
		}
	}
	return strings.Contains(err.Error(), "file size too small") // bbolt has no sentinel for it
}

// setAside renames a file out of the way. A damaged one is noted first, so that
// what is left in it is salvaged; old says which stores it held.
func (b *Buffer) setAside(f *file, why error, old session) (string, error) {
	kind := "damaged"
	if errors.Is(why, ErrNewerFormat) {
		kind = "newer"
	}
	aside, err := b.asideName(f, kind)
	if err != nil {
		return "", err
	}
	if kind == "damaged" {
		if err := b.addPending(f, filepath.Base(aside), old); err != nil {
			return "", err
		}
	}
	if err := os.Rename(f.path, aside); err != nil {
		return "", fmt.Errorf("set aside %s: %w", f.path, err)
	}
	if err := syncDir(b.opts.Dir); err != nil {
		return "", err
	}
	if kind == "damaged" {
		b.log.Error("the store is damaged: it was set aside and a new one begun; what is left in it is moved back, what is missing will be listed",
			"file", aside, "why", why, "next", "nothing, once; replace the card or disk if it happens again")
	} else {
		b.log.Error("the store is of a newer obu: it was set aside unharmed and a new one begun; what it held is listed as lost until then",
			"file", aside, "why", why, "next", "install the newer obu again: it delivers what the file holds")
	}
	return aside, nil
}

// asideName returns the next free name for a file set aside, and makes room
// when it is a damaged one; newer ones are kept all, because the obu that wrote
// them can still deliver them.
func (b *Buffer) asideName(f *file, kind string) (string, error) {
	if kind == "damaged" {
		if err := b.pruneAside(f, maxAside-1); err != nil {
			return "", err
		}
	}
	taken := f.aside(kind)
	next := 1
	if len(taken) > 0 {
		next = taken[len(taken)-1] + 1
	}
	return f.asidePath(kind, next), nil
}

func (f *file) asidePath(kind string, n int) string { return fmt.Sprintf("%s.%s-%d", f.path, kind, n) }

// aside lists the numbers of the files set aside, rising.
func (f *file) aside(kind string) []int {
	found, _ := filepath.Glob(f.path + "." + kind + "-*") // the pattern is sound
	var taken []int
	for _, name := range found {
		if n, err := strconv.Atoi(strings.TrimPrefix(name, f.path+"."+kind+"-")); err == nil {
			taken = append(taken, n)
		}
	}
	slices.Sort(taken)
	return taken
}

// pruneAside removes the oldest damaged files but keep, sparing those that wait
// to be salvaged.
func (b *Buffer) pruneAside(f *file, keep int) error {
	waiting := readPending(b.opts.Dir)
	spare := slices.DeleteFunc(f.aside("damaged"), func(n int) bool {
		name := filepath.Base(f.asidePath("damaged", n))
		return len(waiting) < maxPending && slices.ContainsFunc(waiting, func(p pending) bool { return p.File == name })
	})
	for ; len(spare) > keep; spare = spare[1:] {
		if err := os.Remove(f.asidePath("damaged", spare[0])); err != nil {
			return fmt.Errorf("remove a damaged store: %w", err)
		}
	}
	return nil
}

// wholeStores lists every batch of a file that never arrived, and of when they
// are as far as the session file knows.
func (b *Buffer) wholeStores(f *file, s session, ids []telemetry.StoreID, source string) []telemetry.Gap {
	var out []telemetry.Gap
	boot, from, to := b.span(s.Files[f.name].Boot, s.Files[f.name].OldestNS)
	for _, class := range f.classes {
		g := telemetry.Gap{Class: class, Boot: boot, From: from, To: to, Count: telemetry.CountUnknown, Reason: telemetry.ReasonDamagedStore, Source: source}
		if len(ids) == 0 {
			out = append(out, g)
		}
		for _, id := range ids {
			g.Store, g.FromSeq, g.ToSeq = id, 1, allSeqs
			out = append(out, g)
		}
	}
	return out
}

// otherStore lists the stores the last run used when none of them is in the
// file: another one was put in its place.
func (b *Buffer) otherStore(f *file, old session, c contents) []telemetry.Gap {
	ids := old.stores(f.name)
	for _, id := range ids {
		if id == c.state.store || slices.ContainsFunc(c.streams, func(s *stream) bool { return s.store == id }) {
			return nil
		}
	}
	if len(ids) == 0 || old.Boot == "" || c.state.commits == 0 { // none, this very run, or not begun
		return nil
	}
	b.log.Error("the store is not the one the last run used; what that held is lost and listed", "file", f.path,
		"next", "put the right file back while obu is stopped, should you have it")
	return b.wholeStores(f, old, ids, f.name)
}
