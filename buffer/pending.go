package buffer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"obu/telemetry"
)

// pendingName is the file that lists what was set aside and is still to be
// salvaged. It is written before a file is set aside, and a file leaves it only
// after what is missing of it stands in the Gap table.
const pendingName = "salvage.json"

// maxPending bounds the files waiting to be salvaged: a disk that spoils one
// store after the other is worth no more room.
const maxPending = 8

// pending is one file that waits to be salvaged, with what was known of it when
// it was set aside.
type pending struct {
	File     string            `json:"file"`
	Stores   []string          `json:"stores,omitempty"`    // oldest first
	Boot     string            `json:"boot,omitempty"`      // of all that is in it; "" when that is more than one
	OldestNS telemetry.At      `json:"oldest_ns,omitempty"` // nothing in it is older, in Boot
	Next     map[string]uint64 `json:"next,omitempty"`      // "store class": seqs from here on were never given out
}

type pendingList struct {
	Pending []pending `json:"pending"`
}

func (p *pending) of(f *file) bool { return strings.HasPrefix(p.File, f.name+".") }

func (p *pending) stores() []telemetry.StoreID {
	return session{Files: map[string]sessionFile{p.File: {Stores: p.Stores}}}.stores(p.File)
}

// noteOf is what is known of a file in dir: as it was set aside, or of one in
// its place as the last run left it.
func noteOf(dir, name string) pending {
	for _, p := range readPending(dir) {
		if p.File == name {
			return p
		}
	}
	s := readSession(dir).Files[name]
	return pending{File: name, Stores: s.Stores, Boot: s.Boot, OldestNS: s.OldestNS}
}

// given reports whether a batch's name was given out: one that a failed
// transaction left in the file has another name by now.
func (p *pending) given(fd find) bool {
	next, known := p.Next[streamText(fd.stream.store, fd.stream.class)]
	return !known || fd.seq < next
}

// cut takes from gaps what was never given out.
func (p *pending) cut(gaps []telemetry.Gap) []telemetry.Gap {
	var out []telemetry.Gap
	for _, g := range gaps {
		if next, known := p.Next[streamText(g.Store, g.Class)]; known {
			g.ToSeq = min(g.ToSeq, next-1)
		}
		if g.FromSeq <= g.ToSeq {
			out = append(out, g)
		}
	}
	return out
}

func streamText(store telemetry.StoreID, class telemetry.Class) string {
	return store.String() + " " + class.String()
}

// readPending returns the files that wait. A list that cannot be read is none:
// it is replaced as a whole, so that only a damaged disk spoils it.
func readPending(dir string) []pending {
	var l pendingList
	raw, err := readFile(filepath.Join(dir, pendingName))
	if err != nil || json.Unmarshal(raw, &l) != nil {
		return nil
	}
	return slices.DeleteFunc(l.Pending, func(p pending) bool { return p.File == "" || filepath.Base(p.File) != p.File })
}

// changePending replaces the list by what fn makes of it; it is durable when
// this returns.
func (b *Buffer) changePending(fn func([]pending) []pending) error {
	b.sessionMu.Lock()
	defer b.sessionMu.Unlock()
	path := filepath.Join(b.opts.Dir, pendingName)
	l := pendingList{fn(readPending(b.opts.Dir))}
	if len(l.Pending) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("write %s: %w", path, err)
		}
		return b.opts.faults.makeDurable(b.opts.Dir)
	}
	raw, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := replaceFile(path, append(raw, '\n')); err != nil {
		return err
	}
	return b.opts.faults.makeDurable(b.opts.Dir)
}

// addPending notes a file that is about to be set aside as name.
func (b *Buffer) addPending(f *file, name string, s session) error {
	p := pending{File: name, Stores: s.Files[f.name].Stores, Boot: s.Files[f.name].Boot, OldestNS: s.Files[f.name].OldestNS, Next: map[string]uint64{}}
	f.mu.Lock()
	for _, t := range f.streams {
		if t.mem == nil {
			p.Next[streamText(t.store, t.class)] = t.told()
		}
	}
	f.mu.Unlock()
	return b.changePending(func(l []pending) []pending {
		return append(slices.DeleteFunc(l, func(o pending) bool { return o.File == name }), p)
	})
}

// newer returns the files of f that an older obu set aside because it did not
// know their format.
func (b *Buffer) newer(f *file) []pending {
	found, _ := filepath.Glob(f.path + ".newer-*") // the pattern is sound
	var out []pending
	for _, path := range found {
		out = append(out, pending{File: filepath.Base(path)})
	}
	return out
}
