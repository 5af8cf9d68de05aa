package can

import (
	"bytes"
	"cmp"
	"sort"

	"obu/telemetry"
)

// Bounds of what a network can make the unit keep and tell of rare facts.
const (
	maxFactsSender = 8       // changes of one fact of one sender that are told in an interval of bookEvery
	maxFactsBus    = 64      // and of all
	maxFactBytes   = 1 << 20 // payloads kept, two of each fact
)

// facts passes on what changed of messages that mostly say the same: trouble
// codes, names, identifications. A change is told at once; in a flood only the
// latest one, at the end of the interval, and those it hid are counted. One
// goroutine at a time uses it.
type facts struct {
	tell func(k factKey, f *fact)
	lost func(k factKey, at telemetry.At)

	known map[factKey]*fact
	bytes int
	spent int // told since the last interval ended

	oldest telemetry.At // that waited on when it did
}

// factKey is one kind of message (see j1939.IsFact) of one sender.
type factKey struct{ source, kind uint8 }

// fact is what was told last, and what is to be told.
type fact struct {
	at        telemetry.At
	quality   telemetry.Quality
	told, now []byte // told is nil before the first time
	waits     bool
	spent     int
}

// take hears a message.
func (l *facts) take(k factKey, at telemetry.At, q telemetry.Quality, payload []byte) {
	f := l.known[k]
	if f != nil && bytes.Equal(payload, f.now) {
		return
	}
	size := len(payload)
	if f != nil {
		size -= len(f.now)
	}
	if l.bytes+size > maxFactBytes {
		l.lost(k, at)
		return
	}
	l.bytes += size
	switch {
	case f == nil:
		f = new(fact)
		if l.known == nil {
			l.known = make(map[factKey]*fact)
		}
		l.known[k] = f
	case f.waits:
		l.lost(k, f.at)
	}
	f.at, f.quality, f.now, f.waits = at, q, append(f.now[:0], payload...), true
	if f.spent < maxFactsSender && l.spent < maxFactsBus {
		l.pass(k, f)
	}
}

func (l *facts) pass(k factKey, f *fact) {
	l.tell(k, f)
	l.bytes += len(f.now) - len(f.told)
	f.told = append(f.told[:0], f.now...)
	f.waits = false
	f.spent++
	l.spent++
}

// interval ends one: what waited is told, in the order it came.
func (l *facts) interval() {
	var waiting []factKey
	for k, f := range l.known {
		f.spent = 0
		if f.waits {
			waiting = append(waiting, k)
		}
	}
	l.spent = 0
	sort.Slice(waiting, func(x, y int) bool {
		a, b := waiting[x], waiting[y]
		return cmp.Or(cmp.Compare(l.known[a].at, l.known[b].at), cmp.Compare(a.source, b.source), cmp.Compare(a.kind, b.kind)) < 0
	})
	for _, k := range waiting[:min(len(waiting), maxFactsBus)] {
		l.pass(k, l.known[k])
	}
	l.oldest = never
	if len(waiting) > maxFactsBus {
		l.oldest = l.known[waiting[maxFactsBus]].at
	}
}

// waiting reports whether a change is still to be told.
func (l *facts) waiting() bool {
	for _, f := range l.known {
		if f.waits {
			return true
		}
	}
	return false
}
