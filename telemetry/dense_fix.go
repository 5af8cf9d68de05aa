package telemetry

import (
	"time"
)

// usualGrids is the place in grids that each float of a fix most likely has.
var usualGrids = [9]uint64{7, 7, 1, 1, 13, 2, 1, 1, 1}

// denseFixes writes one group of columns per receiver.
func (e *encoder) denseFixes(h hint, sent moment) {
	d := e.dense
	groups := e.fixesByReceiver()
	d.count(uint64(len(groups)), &d.models.rows)
	for _, g := range groups {
		d.text(g.name)
		d.count(uint64(len(g.fixes)), &d.models.rows)
		if len(g.counts) > 1 {
			d.sequence(g.counts, &d.models.counts)
		}
		e.xs = e.xs[:0]
		for _, f := range g.fixes {
			e.xs = append(e.xs, f.At.millis())
		}
		d.ats = append(d.ats[:0], e.xs...)
		if d.tracks {
			d.factored(e.xs, h, &d.models.times)
		} else {
			h.second = d.hinted(e.xs, h, &d.models.times)
		}
		h.first = d.ats[0]
		e.denseFix(g.fixes, sent)
	}
}

// denseFix writes the columns of one receiver but its times.
func (e *encoder) denseFix(fixes []*Fix, sent moment) {
	d := e.dense
	d.peers.reset()
	e.denseUTC(fixes, sent)
	col := make([]float64, 0, len(fixes))
	for i := range fixFloats(fixes[0]) {
		col = col[:0]
		e.densePresence(len(fixes), func(j int) bool {
			v, ok := known(*fixFloats(fixes[j])[i])
			if ok {
				col = append(col, v)
			}
			return ok
		})
		if len(col) == 0 {
			continue
		}
		grid, h := e.onGrid(col), hint{peers: &d.peers}
		if d.tracks && i < placeFloats && len(col) == len(fixes) {
			h.glide = d.ats
		}
		if grid == usualGrids[i] {
			d.bit(0, &d.models.grid)
		} else {
			d.bit(1, &d.models.grid)
			d.raw(grid, gridBits)
		}
		d.factored(e.xs, h, &d.models.fixes)
	}
	for i := range fixIntColumns {
		e.xs = e.xs[:0]
		for _, f := range fixes {
			e.xs = append(e.xs, fixInt(f, i))
		}
		d.sequence(e.xs, &d.models.flags)
	}
}

// denseUTC writes UTC in the coarsest power of ten that loses nothing, near
// what it was by the time of sending.
func (e *encoder) denseUTC(fixes []*Fix, sent moment) {
	d := e.dense
	ns, near := make([]int64, 0, len(fixes)), int64(0)
	e.densePresence(len(fixes), func(j int) bool {
		t, ok := wallNanos(fixes[j].UTC)
		if ok {
			if len(ns) == 0 {
				near = sent.utcNear(fixes[j].At.millis())
			}
			ns = append(ns, t)
		}
		return ok
	})
	if len(ns) == 0 {
		return
	}
	tick, unit := uint64(maxTick), int64(time.Second)
	for i := 0; i < len(ns); {
		if ns[i]%unit == 0 {
			i++
			continue
		}
		tick, unit = tick-1, unit/10
	}
	for i := range ns {
		ns[i] /= unit
	}
	d.raw(maxTick-tick, tickBits)
	h := hint{first: near * msec / unit, second: int64(time.Second) / unit << phaseFrac}
	if d.tracks && len(ns) == len(fixes) {
		h.follow = inUnits(d.ats, unit)
	}
	d.hinted(ns, h, &d.models.times)
}

// placeFloats are latitude and longitude, which come first.
const placeFloats = 2

// inUnits turns times since boot into units of UTC: what UTC runs beside.
func inUnits(ms []int64, unit int64) []int64 {
	out := make([]int64, len(ms))
	for i, t := range ms {
		if unit >= msec {
			out[i] = t / (unit / msec)
		} else {
			out[i] = t * (msec / unit)
		}
	}
	return out
}

// utcNear estimates the wall time, in ms, at a time since boot; 0: no idea.
func (m moment) utcNear(at int64) int64 {
	const most = 1 << 43
	if m.at == 0 || m.wall <= 0 || m.wall > most || max(at, -at) > most || max(m.at, -m.at) > most {
		return 0
	}
	return m.wall - m.at + at
}

// densePresence writes which of n values are known; it asks for each once, in
// order.
func (e *encoder) densePresence(n int, isKnown func(int) bool) {
	d := e.dense
	e.xs = e.xs[:0]
	some := 0
	for i := range n {
		x := int64(0)
		if isKnown(i) {
			x = 1
			some++
		}
		e.xs = append(e.xs, x)
	}
	switch some {
	case 0:
		d.tree(knownNone, knownBits, d.models.known[:])
	case n:
		d.tree(knownAll, knownBits, d.models.known[:])
	default:
		d.tree(knownSome, knownBits, d.models.known[:])
		d.sequence(e.xs, &d.models.counts)
	}
}

// onGrid turns known floats into integers in e.xs on the first grid that holds
// them all exactly, and returns its place, or gridIEEE for their bits.
func (e *encoder) onGrid(fs []float64) uint64 {
	for i, g := range grids {
		e.xs = e.xs[:0]
		for _, f := range fs {
			n, ok := g.Steps(f)
			if !ok {
				break
			}
			e.xs = append(e.xs, n)
		}
		if len(e.xs) == len(fs) {
			return uint64(i)
		}
	}
	e.xs = e.xs[:0]
	for _, f := range fs {
		e.xs = append(e.xs, int64(Float(f).bits))
	}
	return gridIEEE
}
