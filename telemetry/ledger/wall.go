package ledger

import (
	"cmp"
	"slices"
	"time"

	"obu/telemetry"
)

// driftPPM is how far a unit's oscillator is allowed to be off, in parts per
// million. Crystals of such boards stay below 50 over temperature; twice that
// widens every extrapolation.
const driftPPM = 100

// boot is what a consumer learned of one run of a unit's kernel.
type boot struct {
	anchors []telemetry.Anchor // sorted by At
	line    []telemetry.Anchor // those of the best source; nil: to be picked
	last    telemetry.At       // latest datum seen
	stream  streamKey          // in which the boot's place among others is known
	seq     uint64             // lowest of the boot in that stream; 0: none seen
	touched uint64
}

// enterTimes notes the anchors of a batch and the span of time it covers.
func (u *unit) enterTimes(b *telemetry.Batch) {
	for _, a := range b.Anchors {
		id := a.Boot
		if id.IsZero() {
			id = b.Boot
		}
		u.boot(id).enterAnchor(a)
	}
	if b.Boot.IsZero() {
		return
	}
	o := u.boot(b.Boot)
	o.place(streamKey{b.Store, b.Class}, b.Seq)
	for i := range b.Samples {
		o.last = max(o.last, b.Samples[i].At)
	}
	for i := range b.Fixes {
		o.last = max(o.last, b.Fixes[i].At)
	}
}

func (u *unit) boot(id telemetry.BootID) *boot {
	u.order++
	o := u.boots[id]
	if o == nil {
		if len(u.boots) >= MaxBoots {
			u.forgetBoot()
		}
		o = &boot{}
		u.boots[id] = o
	}
	o.touched = u.order
	return o
}

// forgetBoot drops the boot that was heard of the longest ago.
func (u *unit) forgetBoot() {
	var oldest telemetry.BootID
	at := ^uint64(0)
	for id, o := range u.boots {
		if o.touched < at {
			oldest, at = id, o.touched
		}
	}
	delete(u.boots, oldest)
}

// place notes where in a stream the boot was found, to order boots. The class
// with the lowest number decides; the first store keeps it.
func (o *boot) place(k streamKey, seq uint64) {
	if o.seq == 0 || o.stream.store == k.store && k.class < o.stream.class {
		o.stream, o.seq = k, seq
	} else if o.stream == k {
		o.seq = min(o.seq, seq)
	}
}

func (o *boot) enterAnchor(a telemetry.Anchor) {
	o.line = nil
	i := search(o.anchors, a.At)
	for j := i; j < len(o.anchors) && o.anchors[j].At == a.At; j++ {
		if o.anchors[j].By == a.By {
			o.anchors[j] = a
			return
		}
	}
	o.anchors = slices.Insert(o.anchors, i, a)
	if len(o.anchors) > MaxAnchors {
		kept := o.anchors[:0]
		for j, a := range o.anchors {
			if j%2 == 0 || j == len(o.anchors)-1 {
				kept = append(kept, a)
			}
		}
		o.anchors = kept
	}
}

// rank orders the sources of anchors, best first.
func rank(by telemetry.AnchorBy) int {
	switch by {
	case telemetry.AnchorGNSS, telemetry.AnchorReplay:
		return 0
	case telemetry.AnchorNTP:
		return 1
	case telemetry.AnchorRTC:
		return 2
	}
	return 3
}

// WallTime returns the wall time of a datum, give or take uncertainty, from
// the anchors received so far: it may be asked again when more has arrived,
// and then answers better. Between two anchors of the best source it follows
// the line through them, which takes out the drift of the unit's clock;
// outside it keeps the nearest anchor's offset. A boot without any anchor is
// put between the boots before and after it, as the unit's estimate or the order
// of a stream tells, as wide as that is; so is one
// whose only anchors come from a battery's clock, where that says more or
// proves the battery's clock wrong. ok is false when nothing is known.
func (l *Ledger) WallTime(unit string, id telemetry.BootID, at telemetry.At) (wall time.Time, uncertainty time.Duration, ok bool) {
	u := l.units[unit]
	if u == nil {
		return time.Time{}, 0, false
	}
	o := u.boots[id]
	if o == nil {
		return time.Time{}, 0, false
	}
	if wall, uncertainty, ok = o.wallTime(at); ok && o.sure() {
		return wall, uncertainty, true
	}
	earliest, latest := u.between(o, at)
	for _, a := range o.anchors {
		if a.By == telemetry.AnchorEstimate {
			mid, width, _ := extrapolate(a, at)
			earliest, latest = overlap(earliest, latest, mid.Add(-width), mid.Add(width))
			ok = ok && rank(o.line[0].By) < rank(telemetry.AnchorEstimate)
		}
	}
	if ok {
		earliest, latest = overlap(earliest, latest, wall.Add(-uncertainty), wall.Add(uncertainty))
	}
	if earliest.IsZero() || latest.Before(earliest) { // also when one is not known
		return time.Time{}, 0, false
	}
	half := latest.Sub(earliest) / 2
	return earliest.Add(half), half, true
}

// overlap narrows the bounds that are proven by those that are said. Where they
// contradict, the proven ones stand. A bound that is not known is zero.
func overlap(earliest, latest, from, to time.Time) (time.Time, time.Time) {
	switch {
	case !earliest.IsZero() && to.Before(earliest), !latest.IsZero() && from.After(latest):
		return earliest, latest
	}
	if earliest.Before(from) {
		earliest = from
	}
	if latest.IsZero() || latest.After(to) {
		latest = to
	}
	return earliest, latest
}

// sure reports whether the boot has an anchor of a source that vouches for it.
func (o *boot) sure() bool { return len(o.line) > 0 && rank(o.line[0].By) <= rank(telemetry.AnchorNTP) }

// wallTime derives wall time from the boot's own anchors.
func (o *boot) wallTime(at telemetry.At) (time.Time, time.Duration, bool) {
	if o.line == nil {
		o.line = best(o.anchors)
	}
	i := search(o.line, at)
	switch {
	case len(o.line) == 0:
		return time.Time{}, 0, false
	case i == 0:
		return extrapolate(o.line[0], at)
	case i == len(o.line):
		return extrapolate(o.line[i-1], at)
	}
	a, b := o.line[i-1], o.line[i]
	dAt, dWall := b.At.Sub(a.At), b.Wall.Sub(a.Wall)
	if off := abs(dWall - dAt); off > a.Uncertainty+b.Uncertainty+drift(dAt) {
		// The clock was corrected in between, and only one of the two can be
		// right: the surer one, else the later one.
		if a.Uncertainty < b.Uncertainty {
			return extrapolate(a, at)
		}
		return extrapolate(b, at)
	}
	return interpolate(a, b, at)
}

// interpolate follows the line between two anchors. How wrong the line may be
// grows with the distance from both, since a crystal's rate changes with its
// temperature; one of the anchors alone may say more, if it is the surer one.
func interpolate(a, b telemetry.Anchor, at telemetry.At) (time.Time, time.Duration, bool) {
	dAt, dWall := b.At.Sub(a.At), b.Wall.Sub(a.Wall)
	part := float64(at.Sub(a.At)) / float64(dAt)
	bend := time.Duration(2 * part * (1 - part) * float64(drift(dAt)))
	sure := max(a.Uncertainty, b.Uncertainty) + bend
	for _, c := range [...]telemetry.Anchor{a, b} {
		if wall, u, ok := extrapolate(c, at); u < sure/2 {
			return wall, u, ok
		}
	}
	return a.Wall.Add(at.Sub(a.At) + time.Duration(part*float64(dWall-dAt))), sure, true
}

// stepWithin: two anchors that close say that the time steps between them, or
// that it is less sure from there on.
const stepWithin = 2 * time.Millisecond

// best returns the anchors of the best source there is, by time. One that a
// much surer one behind it contradicts in nothing says what that one says.
func best(anchors []telemetry.Anchor) []telemetry.Anchor {
	top := 4
	for _, a := range anchors {
		top = min(top, rank(a.By))
	}
	out := make([]telemetry.Anchor, 0, len(anchors))
	for _, a := range anchors {
		if rank(a.By) == top && (len(out) == 0 || out[len(out)-1].At != a.At) {
			out = append(out, a)
		}
	}
	for i := len(out) - 2; i >= 0; i-- {
		a, b := &out[i], out[i+1]
		wall, u, _ := extrapolate(b, a.At)
		if b.At.Sub(a.At) > stepWithin && u < a.Uncertainty/2 && abs(wall.Sub(a.Wall)) <= u+a.Uncertainty {
			a.Wall, a.Uncertainty = wall, u
		}
	}
	return out
}

// search returns the index of the first anchor at or after at.
func search(anchors []telemetry.Anchor, at telemetry.At) int {
	i, _ := slices.BinarySearchFunc(anchors, at, func(a telemetry.Anchor, at telemetry.At) int { return cmp.Compare(a.At, at) })
	return i
}

func extrapolate(a telemetry.Anchor, at telemetry.At) (time.Time, time.Duration, bool) {
	d := at.Sub(a.At)
	return a.Wall.Add(d), a.Uncertainty + drift(d), true
}

// between bounds a moment of a boot by its neighbours that are sure of their
// time: the boot began after the last datum of the one before, and its own last
// datum came before the one after began. A bound that is not known is zero.
func (u *unit) between(o *boot, at telemetry.At) (earliest, latest time.Time) {
	var before, after *boot
	for _, p := range u.boots {
		if p == o {
			continue
		}
		if _, _, ok := p.wallTime(0); !ok || !p.sure() {
			continue
		}
		switch {
		case p.precedes(o) && (before == nil || before.precedes(p)):
			before = p
		case o.precedes(p) && (after == nil || p.precedes(after)):
			after = p
		}
	}
	if before != nil {
		wall, width, _ := before.wallTime(before.last)
		earliest = wall.Add(-width).Add(time.Duration(at) - drift(time.Duration(at)))
	}
	if after != nil {
		wall, width, _ := after.wallTime(0)
		left := max(o.last, at).Sub(at)
		latest = wall.Add(width).Add(drift(left) - left)
	}
	return earliest, latest
}

// precedes reports whether o is known to have run before p: the seqs of one
// stream rise in time. Nothing is known across stores, because a retired one
// drains behind the current one.
func (o *boot) precedes(p *boot) bool {
	return o.seq != 0 && p.seq != 0 && o.stream == p.stream && o.seq < p.seq
}

func drift(d time.Duration) time.Duration { return abs(d) / 1e6 * driftPPM }

func abs(d time.Duration) time.Duration {
	if d < 0 {
		return -d
	}
	return d
}
