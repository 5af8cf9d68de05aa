package buffer

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"obu/telemetry"
)

// survivor is a unit that lives on with a damaged image of a store.
type survivor struct {
	dir     string
	w       *wornStore
	bug     faults // seeded, to see that the laws notice
	rnd     *rand.Rand
	now     telemetry.At
	b       *Buffer
	came    map[telemetry.Name]bool
	live    map[telemetry.Name]bool // given since
	gaps    []telemetry.Gap
	classes map[telemetry.Class]bool // of the files set aside
	outcome
}

// outcome is what one image, or all of them, came to.
type outcome struct {
	aside, held, came, copies int // of the files set aside: how many, batches owed, of those delivered
	err                       error
}

func (o *outcome) add(other outcome) {
	o.aside, o.held, o.came, o.copies = o.aside+other.aside, o.held+other.held, o.came+other.came, o.copies+other.copies
}

// breaks notes the first law that is broken.
func (v *survivor) breaks(format string, args ...any) {
	if v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

// surviveOne makes an image in dir, damages it and lives on with it.
func surviveOne(dir string, w *wornStore, rnd *rand.Rand, bug faults) outcome {
	v := &survivor{
		dir: dir, w: w, bug: bug, rnd: rnd, now: telemetry.At(2 * time.Hour),
		came: map[telemetry.Name]bool{}, live: map[telemetry.Name]bool{}, classes: map[telemetry.Class]bool{},
	}
	defer os.RemoveAll(dir)
	if err := v.image(); err != nil {
		v.breaks("%v", err)
		return v.outcome
	}
	if !v.open() {
		return v.outcome
	}
	for _, f := range []*file{v.b.tele, v.b.vid} {
		if len(f.saving) > 0 {
			v.aside++
			for _, c := range f.classes {
				v.classes[c] = true
			}
		}
	}
	v.liveOn()
	if v.b != nil {
		if err := v.b.Close(); err != nil {
			v.breaks("close: %v", err)
		}
	}
	v.reckon()
	return v.outcome
}

// image writes the store as it was, with one or both databases damaged.
func (v *survivor) image() error {
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	content := map[string][]byte{}
	for _, name := range [...]string{"telemetry.db", "media.db"} {
		if v.rnd.IntN(3) == 0 {
			continue
		}
		raw := hurt(v.rnd, bytes.Clone(v.w.files[name]))
		if v.rnd.IntN(4) == 0 && len(raw) > 0 {
			raw = hurt(v.rnd, raw)
		}
		content[name] = raw
	}
	for name, raw := range v.w.files {
		if hurt, is := content[name]; is {
			raw = hurt
		}
		if err := os.WriteFile(filepath.Join(v.dir, name), raw, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (v *survivor) open() bool {
	bug := v.bug
	bug.movable = true // else no image would go on giving names
	b, err := Open(context.Background(), Options{Dir: v.dir, Unit: "sim-1", Boot: telemetry.BootID{1}, Now: func() telemetry.At { return v.now }, faults: &bug})
	if err != nil {
		v.breaks("open: %v", err)
	}
	v.b = b
	return err == nil
}

// liveOn lives on until all that is left came, with one restart in the midst
// of the salvage.
func (v *survivor) liveOn() {
	restart := 1 + v.rnd.IntN(6)
	for round := 0; v.err == nil; round++ {
		if round == restart && len(v.b.tele.saving)+len(v.b.vid.saving) > 0 {
			v.b.Crash()
			if !v.open() {
				return
			}
		}
		v.mint()
		held := v.deliver()
		st := v.b.Stats()
		if round > 3 && held <= 3 && st.Salvaging == 0 && st.Gaps == 0 {
			if st.Volatile {
				v.breaks("not on disk: %+v", st)
			}
			return
		}
		if round > 3000 {
			v.breaks("does not end: %+v", st)
		}
	}
}

// mint: live data is stored all the while, under names that were never given.
func (v *survivor) mint() {
	v.now = v.now.Add(time.Second)
	names, err := v.b.Commit([]Entry{{Class: telemetry.ClassTelemetry, Content: telemetry.Content{Anchors: []telemetry.Anchor{{At: v.now, By: telemetry.AnchorNTP}}}}})
	if err != nil {
		v.breaks("commit: %v", err)
		return
	}
	if n := names[0]; v.w.given[n] != nil || v.live[n] || n.Seq == 0 {
		v.breaks("name %v given again", n)
	}
	v.live[names[0]] = true
}

// deliver: what comes is what was written. It returns how much is held.
func (v *survivor) deliver() (held int) {
	for _, s := range v.b.Streams() {
		list, err := v.b.Read(s.Store, s.Class, s.Floor, 1<<20)
		if err != nil {
			v.breaks("read: %v", err)
		}
		for _, st := range list {
			batch, err := telemetry.DecodeBatch(st.Name, st.Blob)
			if err != nil {
				v.breaks("decode %v: %v", st.Name, err)
			}
			if was := v.w.given[st.Name]; was != nil && !bytes.Equal(was, st.Blob) {
				v.breaks("%v has another content", st.Name)
			} else if was == nil && st.Store == firstStore(v.w, st.Class) && !v.live[st.Name] && st.Class != telemetry.ClassEvent {
				v.breaks("%v was never given out", st.Name)
			}
			v.gaps = append(v.gaps, batch.Gaps...)
			v.came[st.Name] = true
			v.b.Ack(st.Name)
		}
		held += s.Batches
	}
	return held
}

// reckon: whatever was owed came or is in a Gap.
func (v *survivor) reckon() {
	covered := func(n telemetry.Name) bool {
		for _, g := range v.gaps {
			if g.Covers(n) {
				return true
			}
		}
		return false
	}
	for n := range v.w.held {
		if v.classes[n.Class] {
			v.held++
			if v.came[n] {
				v.outcome.came++
			}
		}
		if !v.came[n] && !covered(n) {
			v.breaks("%v is gone and in no gap", n)
		}
	}
	for n := range v.came {
		if v.w.given[n] != nil && v.w.held[n] == nil {
			v.copies++
		}
	}
}
