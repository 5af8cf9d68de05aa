package telemetry

import (
	"cmp"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fixes travel as one column per field. A float column says in 2 bits whether
// its values are known, and in 5 on which of the grids they lie.

const (
	knownNone = 0
	knownAll  = 1
	knownSome = 2 // followed by a sequence of 0 and 1

	knownBits = 2
	gridBits  = 5
	gridIEEE  = 31 // not on any grid: IEEE 754 bits
	tickBits  = 4  // of UTC, a power of ten in nanoseconds
	maxTick   = 9
)

// fixFloats are the float fields in the order of their columns.
func fixFloats(f *Fix) [9]*float64 {
	return [9]*float64{&f.LatDeg, &f.LonDeg, &f.AltM, &f.GeoidM, &f.SpeedMPS, &f.CourseDeg, &f.HDOP, &f.VDOP, &f.PDOP}
}

// fixInts are the other fields in the order of their columns.
const (
	fixSats = iota
	fixMode
	fixQuality
	fixValid
	fixDoubt
	fixIntColumns
)

func fixInt(f *Fix, i int) int64 {
	switch i {
	case fixSats:
		return max(-1, int64(f.Sats))
	case fixMode:
		return int64(f.Mode)
	case fixQuality:
		return int64(f.Quality)
	case fixValid:
		if f.Valid {
			return 1
		}
		return 0
	default:
		return int64(f.Doubt)
	}
}

func setFixInt(f *Fix, i int, v int64) {
	switch i {
	case fixSats:
		f.Sats = int(max(-1, min(v, 1<<31-1)))
	case fixMode:
		f.Mode = Mode(v)
	case fixQuality:
		f.Quality = uint8(v)
	case fixValid:
		f.Valid = v != 0
	default:
		f.Doubt = Doubt(v)
	}
}

// receiverFixes are the fixes of one receiver, by batch and time, and how many
// each batch has.
type receiverFixes struct {
	name   string
	fixes  []*Fix
	counts []int64
}

// fixesByReceiver groups the fixes of all batches, in order of the names.
func (e *encoder) fixesByReceiver() []receiverFixes {
	type row struct {
		fix   *Fix
		batch int
	}
	groups := make(map[string][]row, 1)
	var names []string
	for b := range e.batches {
		for i := range e.batches[b].Fixes {
			f := &e.batches[b].Fixes[i]
			g, ok := groups[f.Receiver]
			if !ok {
				names = append(names, f.Receiver)
			}
			groups[f.Receiver] = append(g, row{f, b})
		}
	}
	slices.Sort(names)
	out := make([]receiverFixes, len(names))
	for i, name := range names {
		rows := groups[name]
		slices.SortStableFunc(rows, func(x, y row) int {
			return cmp.Or(cmp.Compare(x.batch, y.batch), cmp.Compare(x.fix.At.millis(), y.fix.At.millis()))
		})
		g := receiverFixes{name, make([]*Fix, len(rows)), make([]int64, len(e.batches))}
		for j, r := range rows {
			g.fixes[j] = r.fix
			g.counts[r.batch]++
		}
		out[i] = g
	}
	return out
}

// fixes writes one group of columns per receiver.
func (e *encoder) fixes() {
	for _, g := range e.fixesByReceiver() {
		e.out = protowire.AppendTag(e.out, bodyReceivers, protowire.BytesType)
		e.out = protowire.AppendString(e.out, utf8(g.name))
		e.number(int64(len(g.fixes)))
		if len(g.counts) > 1 {
			e.sequence(g.counts)
		}
		e.fixGroup(g.fixes)
	}
}

// fixGroup writes the columns of one receiver.
func (e *encoder) fixGroup(fixes []*Fix) {
	e.xs = e.xs[:0]
	for _, f := range fixes {
		e.xs = append(e.xs, f.At.millis())
	}
	e.sequence(e.xs)
	e.fixTimes(fixes)
	col := make([]float64, 0, len(fixes))
	for i := range fixFloats(fixes[0]) {
		col = col[:0]
		e.presence(len(fixes), func(j int) bool {
			v, ok := known(*fixFloats(fixes[j])[i])
			if ok {
				col = append(col, v)
			}
			return ok
		})
		e.floats(col)
	}
	for i := range fixIntColumns {
		e.xs = e.xs[:0]
		for _, f := range fixes {
			e.xs = append(e.xs, fixInt(f, i))
		}
		e.sequence(e.xs)
	}
}

// fixTimes writes UTC in the coarsest power of ten that loses nothing.
func (e *encoder) fixTimes(fixes []*Fix) {
	var ns []int64
	e.presence(len(fixes), func(j int) bool {
		t, ok := wallNanos(fixes[j].UTC)
		if ok {
			ns = append(ns, t)
		}
		return ok
	})
	if len(ns) == 0 {
		return
	}
	tick, unit := uint(maxTick), int64(time.Second)
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
	e.write(uint64(tick), tickBits)
	e.sequence(ns)
}

// presence writes which of n values are known; it asks for each once, in
// order.
func (e *encoder) presence(n int, isKnown func(int) bool) {
	e.xs = e.xs[:0]
	some := 0
	for i := range n {
		if isKnown(i) {
			e.xs = append(e.xs, 1)
			some++
		} else {
			e.xs = append(e.xs, 0)
		}
	}
	switch some {
	case 0:
		e.write(knownNone, knownBits)
	case n:
		e.write(knownAll, knownBits)
	default:
		e.write(knownSome, knownBits)
		e.sequence(e.xs)
	}
}

// floats writes known floats on the first grid that holds them all exactly.
func (e *encoder) floats(fs []float64) {
	if len(fs) == 0 {
		return
	}
	e.write(e.onGrid(fs), gridBits)
	e.sequence(e.xs)
}
