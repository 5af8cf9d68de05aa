package buffer

import (
	"bytes"
	"encoding/binary"
	"maps"

	"obu/buffer/wreck"
)

// papers reads what a file set aside holds besides batches: gap rows, executed commands,
// clips and losses on their way into the Gap table. torn says that gap rows may
// be missing. The older root is asked only for what the newer one does not
// show whole: what it has more was dealt with by the last transaction, so that
// a row of it is listed twice at worst.
func (w *search) papers() (c contents, torn bool) {
	c.state, c.clips = w.state, map[string]clip{}
	rows, owed, cmds := map[uint64]*gapRow{}, map[uint64]owedLoss{}, map[string]command{}
	whole := wholeness{}
	for i := range w.Roots() {
		known := true
		top := w.Walk(i, func(b wreck.Item) bool {
			name := string(b.Key)
			known = known && isBucket(b.Key)
			if whole[name] || !isPaperBucket(b.Key) { // batches are not read twice
				return true
			}
			sound := true
			spoil := func() { sound = false }
			w.Within(b, func(it wreck.Item) bool {
				sound = c.paper(name, it, rows, owed, cmds) && sound
				return true
			}, spoil)
			whole[name] = sound
			return true
		})
		top = top && known // else one may be there under a name that is spoiled
		if i == 0 {
			torn = !top || !whole.has(bucketGaps) || !whole.has(bucketOwed)
		}
		if top && whole.all() {
			break
		}
	}
	for _, r := range rows {
		c.gaps = append(c.gaps, r)
	}
	for _, l := range owed {
		c.owed = append(c.owed, l)
	}
	for cmd := range maps.Values(cmds) {
		c.commands = append(c.commands, cmd)
	}
	return c, torn || w.Roots() == 0
}

// isPaperBucket reports whether a bucket holds anything but batches and state.
func isPaperBucket(name []byte) bool {
	_, _, batches := parseStreamBucket(name)
	return isBucket(name) && !batches && !bytes.Equal(name, bucketTail) && !bytes.Equal(name, bucketMain)
}

// paper takes one element of a bucket without batches; what is there already
// is younger. It reports whether the element is what was written.
func (c *contents) paper(bucket string, it wreck.Item, rows map[uint64]*gapRow, owed map[uint64]owedLoss, cmds map[string]command) bool {
	switch bucket {
	case string(bucketGaps), string(bucketOwed):
		r, err := decodeGapRow(it.Value)
		if err != nil || len(it.Key) != 8 {
			return false
		}
		order := binary.BigEndian.Uint64(it.Key)
		if bucket == string(bucketOwed) {
			if _, there := owed[order]; !there {
				owed[order] = owedLoss{order, r.Gap}
			}
		} else if _, there := rows[r.ID]; !there {
			rows[r.ID] = r
		}
	case string(bucketCommands):
		cmd, err := decodeCommand(it.Key, it.Value)
		if err != nil {
			return false
		}
		if _, there := cmds[cmd.id]; !there {
			cmds[cmd.id] = cmd
		}
	case string(bucketClips), string(bucketDone):
		key, cl, err := decodeClip(it.Value)
		if err != nil {
			return false
		}
		if old, there := c.clips[key]; !there || !old.done && (cl.done || cl.stored > old.stored) {
			c.clips[key] = cl
		}
	}
	return true
}

// wholeness says of buckets by name whether all of it could be read.
type wholeness map[string]bool

// has reports whether a bucket is whole, or not there.
func (w wholeness) has(name []byte) bool {
	whole, seen := w[string(name)]
	return whole || !seen
}

func (w wholeness) all() bool {
	for _, whole := range w {
		if !whole {
			return false
		}
	}
	return true
}
