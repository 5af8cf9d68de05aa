package buffer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"obu/telemetry"
)

// wipeName is the marker of an ordered wipe. It is durable before anything is
// deleted and goes when the new store is on disk, so that a wipe which a power
// cut interrupts is finished by the next Open.
const wipeName = "wipe.json"

// wipeOrder is what the new store takes over from the old one: whose order it
// was, and what is lost by it. Neither says where the vehicle was or when.
type wipeOrder struct {
	Command  string          `json:"command"`
	Reply    []byte          `json:"reply"`
	NotAfter time.Time       `json:"not_after"`
	Gaps     []telemetry.Gap `json:"gaps"`
}

// Wipe orders that everything stored is deleted, by the command id: both
// databases, files set aside, the Gap table, executed commands and the progress
// of clips. The next Open does it and begins a new store that remembers only id,
// with reply as its reply, and lists what was undelivered as Gaps `wiped`. After
// Wipe the caller closes the buffer and opens it anew.
//
// On flash the blocks of a deleted file may be readable with tools until the
// device reuses them: a wipe is no guarantee against that.
func (b *Buffer) Wipe(id string, reply []byte, notAfter time.Time) error {
	b.tele.wr.Lock()
	defer b.tele.wr.Unlock()
	b.vid.wr.Lock()
	defer b.vid.wr.Unlock()
	if b.isClosed() {
		return ErrClosed
	}
	raw, err := json.Marshal(wipeOrder{Command: id, Reply: reply, NotAfter: notAfter, Gaps: b.wipedGaps()})
	if err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	path := filepath.Join(b.opts.Dir, wipeName)
	err = replaceFile(path, append(raw, '\n'))
	if err == nil {
		if err = b.opts.faults.makeDurable(b.opts.Dir); err != nil {
			_ = os.Remove(path) // what is refused must not happen later
		}
	}
	if err != nil {
		return fmt.Errorf("wipe: nothing was deleted: %w", err)
	}
	b.wiping = false // the marker is this order's
	return nil
}

// Wiped reports whether Open has just finished a wipe.
func (b *Buffer) Wiped() bool { return b.wiped != nil }

// wipedGaps lists what goes undelivered with the store: of each stream all that
// never arrived, and, summed up, what the Gap table had not told yet. wr of both
// files must be held.
func (b *Buffer) wipedGaps() []telemetry.Gap {
	var streams []telemetry.Gap
	early := map[telemetry.Class]telemetry.Gap{}
	blank := func(c telemetry.Class) telemetry.Gap {
		return telemetry.Gap{Class: c, To: endOfBoot, Reason: telemetry.ReasonWiped}
	}
	for _, f := range [...]*file{b.tele, b.vid} {
		f.mu.Lock()
		for _, s := range f.streams {
			if s.next > 1 {
				g := blank(s.class)
				g.Store, g.FromSeq, g.ToSeq, g.Count = s.store, 1, s.next-1, s.values
				streams = append(streams, g)
			}
		}
		f.mu.Unlock()
	}
	for _, p := range readPending(b.opts.Dir) {
		for _, f := range [...]*file{b.tele, b.vid} {
			for _, id := range p.stores() {
				for _, class := range f.classes {
					if g := blank(class); p.of(f) {
						g.Store, g.FromSeq, g.ToSeq, g.Count = id, 1, allSeqs, telemetry.CountUnknown
						streams = append(streams, g)
					}
				}
			}
		}
	}
	for _, told := range b.untoldGaps() {
		if told.FromSeq == 0 {
			g, ok := early[told.Class]
			if !ok {
				g = blank(told.Class)
			}
			g.Count = addCounts(g.Count, told.Count)
			early[told.Class] = g
			continue
		}
		within := func(s telemetry.Gap) bool {
			return s.Class == told.Class && s.Store == told.Store && s.FromSeq <= told.FromSeq && told.ToSeq <= s.ToSeq
		}
		if i := slices.IndexFunc(streams, within); i >= 0 { // not held any more, and so not counted there
			streams[i].Count = addCounts(streams[i].Count, told.Count)
			continue
		}
		g := blank(told.Class)
		g.Store, g.FromSeq, g.ToSeq, g.Count = told.Store, told.FromSeq, told.ToSeq, told.Count
		streams = append(streams, g)
	}
	for _, class := range telemetry.Classes {
		if g, ok := early[class]; ok {
			streams = append(streams, g)
		}
	}
	return streams
}

// untoldGaps are the losses known and not delivered.
func (b *Buffer) untoldGaps() []telemetry.Gap {
	var out []telemetry.Gap
	for _, r := range b.gaps.sorted() {
		out = append(out, r.Gap)
	}
	b.vid.mu.Lock()
	for _, l := range b.owed {
		out = append(out, l.gap)
	}
	b.vid.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	return append(append(out, b.vidLost...), b.lost...)
}

// erase does what a marker orders: it deletes every file of the store. The
// order stands even if its text is spoiled.
func (b *Buffer) erase() error {
	raw, err := readFile(filepath.Join(b.opts.Dir, wipeName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the order to wipe: %w", err)
	}
	var order wipeOrder
	if err := json.Unmarshal(raw, &order); err != nil {
		b.log.Error("the store is wiped as ordered; by whom, and what is lost, cannot be read", "file", wipeName, "err", err)
	}
	entries, err := os.ReadDir(b.opts.Dir)
	if err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	n := 0
	for _, e := range entries {
		if !ofStore(e.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(b.opts.Dir, e.Name())); err != nil {
			return fmt.Errorf("wipe: %w", err)
		}
		n++
	}
	if err := syncDir(b.opts.Dir); err != nil {
		return fmt.Errorf("wipe: %w", err)
	}
	b.wiped, b.wiping = &order, true
	b.log.Warn("the store was wiped as ordered: everything that was kept is deleted", "command", order.Command, "files", n)
	return nil
}

// ofStore reports whether a file of the directory belongs to the store: the
// databases, what was set aside of them, and what is noted beside them, such as
// when the vehicle was used.
func ofStore(name string) bool {
	for _, prefix := range [...]string{"telemetry.db", "media.db", sessionName, pendingName, bootsName, "undated.json", "trip.json", "probe"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// inherit takes over what a wipe leaves: the first transaction stores it.
func (b *Buffer) inherit() {
	if b.wiped == nil {
		return
	}
	for _, g := range b.wiped.Gaps {
		b.Lost(g)
	}
	if b.wiped.Command != "" {
		b.inheritCommands([]command{{id: b.wiped.Command, reply: b.wiped.Reply, notAfter: b.wiped.NotAfter, untold: true}})
		b.papersDue = true
	}
}

// endWipe removes the marker once the new store is on disk, and never that of a
// later order.
func (b *Buffer) endWipe() error {
	if !b.wiping {
		return nil
	}
	if err := os.Remove(filepath.Join(b.opts.Dir, wipeName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("end the wipe: %w", err)
	}
	if err := syncDir(b.opts.Dir); err != nil {
		return err
	}
	b.wiping = false
	return nil
}
