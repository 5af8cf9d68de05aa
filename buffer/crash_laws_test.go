//go:build linux && (amd64 || arm64)

package buffer_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"obu/buffer"
	"obu/telemetry"
)

// autopsy opens the disk that a cut left, as a unit would, and holds what it
// finds against the ledger.
type autopsy struct {
	l    *ledger
	root string
	boot telemetry.BootID // of the unit that opens the disk
	now  telemetry.At

	b        *buffer.Buffer
	received map[telemetry.Name][]byte
	contents map[int][]telemetry.Name // received: by number
	clips    map[telemetry.ClipID]bool
	gaps     []telemetry.Gap // received, and delivered before
	fresh    map[telemetry.Name]bool
	broken   []string
}

func (a *autopsy) law(ok bool, format string, args ...any) {
	if !ok && len(a.broken) < 5 {
		a.broken = append(a.broken, fmt.Sprintf(format, args...))
	}
}

// examine returns the laws that the disk in root breaks.
func (l *ledger) examine(root string, reboot bool) []string {
	a := &autopsy{
		l: l, root: root, boot: l.boot, now: l.now.Add(3 * time.Second),
		received: map[telemetry.Name][]byte{}, contents: map[int][]telemetry.Name{}, clips: map[telemetry.ClipID]bool{},
		fresh: map[telemetry.Name]bool{}, gaps: append([]telemetry.Gap(nil), l.gaps...),
	}
	if reboot {
		a.boot, a.now = telemetry.BootID{0xff, l.boot[0]}, telemetry.At(5*time.Second)
	}
	if !a.open() {
		return a.broken
	}
	a.memory()
	a.mint()
	a.drain()
	a.names()
	a.names2contents()
	a.holes()
	a.media()
	a.losses(reboot)
	a.law(a.b.Close() == nil, "the buffer does not close")
	a.aside()
	a.again()
	return a.broken
}

func (a *autopsy) open() bool {
	o := crashOptions(a.root, a.boot, func() telemetry.At { return a.now }, buffer.Faults{})
	b, err := buffer.Open(context.Background(), o)
	if err != nil {
		a.law(false, "the store does not open: %v", err)
		return false
	}
	a.b = b
	a.aside()
	return true
}

// aside: with an honest sync no image is a damaged one.
func (a *autopsy) aside() {
	entries, err := os.ReadDir(crashDir(a.root))
	a.law(err == nil, "read directory: %v", err)
	for _, e := range entries {
		name := e.Name()
		known := name == "telemetry.db" || name == "media.db" || name == "session.json" || strings.HasSuffix(name, ".new") || strings.HasPrefix(name, "probe") || strings.HasSuffix(name, ".probe")
		a.law(known, "a store was set aside: %s", name)
	}
}

// memory: executed commands and the progress of clips are known.
func (a *autopsy) memory() {
	for id := range a.l.commands {
		reply, ok := a.b.Executed(id)
		a.law(ok && string(reply) == "pong", "command %s was executed and is forgotten", id)
	}
	for n, stored := range a.l.clips {
		is, done, _ := a.b.ClipProgress(fmt.Sprint("cam/", n))
		a.law(is >= stored, "clip %d: %d bytes were in custody, now %d", n, stored, is)
		a.law(done || !a.l.finished[n], "clip %d was finished and is not", n)
	}
}

// mint: what is committed now gets names that were never given before.
func (a *autopsy) mint() {
	var entries []buffer.Entry
	for i, class := range [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth} {
		entries = append(entries, buffer.Entry{Class: class, Content: numbered(chunkIDs/2 + i)})
	}
	a.now = a.now.Add(time.Second)
	names, err := a.b.Commit(entries)
	a.law(err == nil, "commit: %v", err)
	a.law(!a.b.Stats().Volatile, "the disk works and the store is in memory")
	m, err := a.b.CommitChunk("cam/new", telemetry.Chunk{Clip: telemetry.ClipID{0xfe}, Data: []byte("new")})
	a.law(err == nil, "commit chunk: %v", err)
	for _, n := range append(names, m) {
		_, given := a.l.promised[n]
		_, kept := a.l.volatile[n]
		a.law(!given && !kept && !a.l.acked[n], "%v was given before and is given again", n)
		a.fresh[n] = true
	}
}

// drain receives all there is.
func (a *autopsy) drain() {
	for range 50 {
		a.now = a.now.Add(time.Second)
		held := 0
		for _, s := range a.b.Streams() {
			held += s.Batches
			got, err := a.b.Read(s.Store, s.Class, s.Floor, 8<<20)
			a.law(err == nil, "read: %v", err)
			for _, st := range got {
				a.receive(st)
				a.b.Ack(st.Name)
			}
		}
		if held == 0 && a.b.Stats().Gaps == 0 {
			return
		}
		_, err := a.b.Commit(nil)
		a.law(err == nil, "commit: %v", err)
	}
	a.law(false, "the drain does not end: %+v", a.b.Streams())
}

func (a *autopsy) receive(st telemetry.Stored) {
	was, seen := a.received[st.Name]
	a.law(!seen || bytes.Equal(was, st.Blob), "%v was read twice and differs", st.Name)
	a.received[st.Name] = st.Blob
	if p, ok := a.l.promised[st.Name]; ok { // its content is compared whole, no need to look into it
		a.contents[p.id] = append(a.contents[p.id], st.Name)
		return
	}
	b, err := telemetry.DecodeBatch(st.Name, st.Blob)
	if err != nil {
		a.law(false, "%v: %v", st.Name, err)
		return
	}
	a.gaps = append(a.gaps, b.Gaps...)
	for _, c := range b.Clips {
		a.clips[c.ID] = true
	}
	if id := idOf(b.Content); id != 0 && !a.fresh[st.Name] {
		a.contents[id] = append(a.contents[id], st.Name)
		a.law(a.l.everBegun[id], "%v holds content %d, which was never handed over", st.Name, id)
		if a.l.everBegun[id] {
			a.law(bytes.Equal(st.Blob, blobOf(id, b.Boot)), "%v holds something else than content %d", st.Name, id)
		}
	}
}

// names: every batch whose append returned is there, or was acknowledged, or
// its eviction is listed; and only what is not there is listed.
func (a *autopsy) names() {
	oldest := map[streamID]uint64{}
	for n := range a.received {
		k := streamID{n.Store, n.Class}
		if was, ok := oldest[k]; !ok || n.Seq < was {
			oldest[k] = n.Seq
		}
		a.law(!a.listed(n), "%v is there and listed as lost", n)
		a.law(!a.l.forgotten[n] || a.l.faulty, "%v was acknowledged before the last commit and is back", n)
	}
	for n, p := range a.l.promised {
		if a.l.acked[n] {
			continue
		}
		blob, held := a.received[n]
		a.law(held || a.listed(n), "%v was promised and is gone", n)
		a.law(!held || bytes.Equal(blob, blobOf(p.id, p.boot)), "%v holds something else than content %d", n, p.id)
		first, some := oldest[streamID{n.Store, n.Class}]
		if !held && some && n.Class != telemetry.ClassMedia {
			a.law(n.Seq < first, "%v was evicted before %d, which is older", n, first)
		}
	}
}

func (a *autopsy) listed(n telemetry.Name) bool {
	for _, g := range a.gaps {
		if g.Covers(n) && g.Reason == telemetry.ReasonEvicted {
			return true
		}
	}
	return false
}

// names2contents: no content has two names, unless the disk failed under it.
func (a *autopsy) names2contents() {
	if a.l.faulty {
		return
	}
	for id, names := range a.contents {
		a.law(len(names) < 2, "content %d has the names %v", id, names)
	}
}

// holes: a consumer that knows floor and next finds every seq accounted for.
func (a *autopsy) holes() {
	next := map[streamID]uint64{}
	for n := range a.received {
		k := streamID{n.Store, n.Class}
		next[k] = max(next[k], n.Seq+1)
	}
	for n := range a.l.acked {
		k := streamID{n.Store, n.Class}
		next[k] = max(next[k], n.Seq+1)
	}
	for k, end := range next {
		for seq := uint64(1); seq < end; seq++ {
			n := telemetry.Name{Store: k.store, Class: k.class, Seq: seq}
			_, received := a.received[n]
			_, memory := a.l.volatile[n]
			a.law(received || memory || a.l.acked[n] || a.listed(n), "hole at %v", n)
		}
	}
}

// media: what a clip's progress says is in custody, or was delivered or listed.
func (a *autopsy) media() {
	gone := map[int]bool{}
	for n, p := range a.l.promised {
		if a.listed(n) {
			gone[p.id] = true
		}
	}
	for n := range a.l.clips {
		stored, done, _ := a.b.ClipProgress(fmt.Sprint("cam/", n))
		for part := range stored / clipChunk {
			id := chunkID(n, part)
			a.law(a.contents[id] != nil || a.l.ackedIDs[id] || gone[id], "clip %d: part %d counts as stored and is nowhere", n, part)
		}
		if done {
			c := clipIDOf(n)
			a.law(a.clips[c] || a.l.manifests[c], "clip %d is finished and nobody was told", n)
		}
	}
}

// losses: what an end that was not in order may have lost is listed, no more
// and no less, and what was listed before it still is.
func (a *autopsy) losses(reboot bool) {
	for _, g := range a.l.lost {
		ok := false
		for _, h := range a.gaps {
			ok = ok || h.Reason == g.Reason && h.Source == g.Source && h.Boot == g.Boot && h.From <= g.From && h.To >= g.To
		}
		a.law(ok, "a loss of %s is not listed any more", g.Source)
	}
	for _, u := range a.l.owed {
		a.unclean(u, false, nil)
	}
	u, must := a.l.end()
	if must {
		sameBoot := !reboot
		a.unclean(u, sameBoot, a.contents)
	}
	if a.l.phase == markClosed {
		for _, g := range a.gaps {
			again := g.Reason == telemetry.ReasonUncleanStart && g.Boot == a.l.boot && g.From >= a.l.opened
			a.law(!again, "the store was closed in order and a loss is listed: %+v", g)
		}
	}
	for _, g := range a.gaps {
		a.law(g.Reason != telemetry.ReasonDamagedStore, "a sound store counts as damaged: %+v", g)
	}
}

// unclean looks for the rows that list an end that was not in order. got is what
// the disk held, nil when that is not known.
func (a *autopsy) unclean(u unclean, sameBoot bool, got map[int][]telemetry.Name) {
	latest := u.latest
	for id := range u.inflight {
		if got != nil && got[id] == nil {
			latest = u.latest - 1 // it is lost, so the loss begins before it was handed over
		}
	}
	for _, class := range [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth} {
		listed := false
		for _, g := range a.gaps {
			if g.Reason != telemetry.ReasonUncleanStart || g.Class != class || g.Boot != u.boot || g.From < u.from || g.From > latest {
				continue
			}
			reaches := g.To >= u.until || u.inMemory
			narrow := got == nil || sameBoot || g.To.Sub(g.From) <= u.window
			listed = listed || reaches && narrow
		}
		if !listed {
			a.law(false, "the loss of %s after %v until %v (at most %v) is not listed as such: %v", class, u.from, u.until, u.window, uncleanOf(a.gaps))
		}
	}
}

func uncleanOf(gaps []telemetry.Gap) (out []string) {
	for _, g := range gaps {
		if g.Reason == telemetry.ReasonUncleanStart {
			out = append(out, fmt.Sprintf("%s %v-%v", g.Class, g.From, g.To))
		}
	}
	return out
}

// again: what was drained and closed in order stays so.
func (a *autopsy) again() {
	if len(a.broken) > 0 {
		return
	}
	a.now = a.now.Add(time.Second)
	if !a.open() {
		return
	}
	for _, s := range a.b.Streams() {
		a.law(s.Batches == 0, "after a drain and a clean end %d batches of %s %s are back", s.Batches, s.Store, s.Class)
	}
	a.law(a.b.Stats().Gaps == 0, "after a drain and a clean end %d gaps are back", a.b.Stats().Gaps)
	a.law(a.b.Close() == nil, "the buffer does not close")
}
