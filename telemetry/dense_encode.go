package telemetry

import (
	"math/bits"
	"slices"
	"strings"
)

// The columns of format 2: what format 1 spreads over fields of the body and
// plain bits is one stream of the range coder, column after column.

// denseWriter writes it; the encoder keeps it between uses.
type denseWriter struct {
	seqWriter
	clocks  []int // columns with times of their own, the one used last in front
	strings []string
	peers   peers
	tracks  bool    // format 3
	ats     []int64 // of the fixes at hand
}

// moment is when an envelope was sent, which its times are near.
type moment struct {
	at   int64 // ms since boot of the content; 0 when it is another boot's
	wall int64 // ms since 1970; 0 when unknown
}

// knownTexts are the texts a reader has before it reads any. The list is part
// of the format.
var knownTexts = [...]string{"", "can0", "obd", "7E8", "gps", "obu", "stat", "can1", "dbc", "j1939", "uds", "nmea", "7E9", "7EA", "7EB", "00", "18DAF110"}

func (d *denseWriter) reset() {
	d.models = freshModels
	d.start()
	d.clocks = d.clocks[:0]
	d.peers.reset()
	d.strings = append(d.strings[:0], knownTexts[:]...)
}

// columns writes the samples and the fixes.
func (e *encoder) columns(sent moment, format int) error {
	if e.dense == nil {
		e.dense = new(denseWriter)
	}
	d := e.dense
	d.reset()
	d.tracks = format >= FormatTrack
	if err := e.distribute(); err != nil {
		return err
	}
	h := hint{first: sent.at}
	d.count(uint64(len(e.cols)), &d.models.rows)
	if len(e.cols) > 0 {
		e.shareClocks()
		h = e.denseCuts(h)
	}
	last := uint32(0)
	for i := range e.cols {
		c := &e.cols[i]
		last = e.denseSignal(c, last)
		e.denseSource(i)
		h = e.denseClock(i, h)
		e.values(c)
		d.small(uint64(c.form), &d.models.form)
		e.denseStates(c)
		d.factored(e.xs, hint{peers: &d.peers}, &d.models.values)
	}
	h.follow = nil
	e.denseFixes(h, sent)
	return nil
}

// denseCuts writes when each batch after the first begins.
func (e *encoder) denseCuts(h hint) hint {
	if len(e.batches) == 1 {
		return h
	}
	e.findCuts()
	e.dense.factored(e.cuts[1:], h, &e.dense.models.cuts)
	return hint{first: e.cuts[1]}
}

// denseSignal writes the number of a column's signal, which rises from column
// to column, and returns it.
func (e *encoder) denseSignal(c *column, last uint32) uint32 {
	number := e.signalNumber(c)
	e.dense.count(uint64(number-last), &e.dense.models.signal)
	return number
}

// denseSource writes the source of column i: 0, that of the column before; 1,
// a new one; else the place of one seen before.
func (e *encoder) denseSource(i int) {
	d, c := e.dense, &e.cols[i]
	if i > 0 && c.speaker == e.cols[i-1].speaker {
		d.small(0, &d.models.source)
		return
	}
	if at := e.numbered[c.speaker]; at > 0 {
		d.small(uint64(1+at), &d.models.source)
		return
	}
	e.sourceNumber(c)
	s := c.source
	d.small(1, &d.models.source)
	d.text(s.Bus)
	d.text(s.Address)
	d.text(s.Method)
}

// text writes a text: 0 and its bytes, or its place among those known.
func (d *denseWriter) text(s string) {
	s = strings.Clone(utf8(s))
	if at := slices.Index(d.strings, s); at >= 0 {
		d.count(uint64(at+1), &d.models.texts)
		return
	}
	d.count(0, &d.models.texts)
	d.count(uint64(len(s)), &d.models.rows)
	for i := range len(s) {
		d.tree(uint64(s[i]), 8, d.models.chars[:])
	}
	d.strings = append(d.strings, s)
}

// denseClock writes the times of column i: 0 and its own, or the place of the
// column it shares them with among those that have some.
func (e *encoder) denseClock(i int, h hint) hint {
	d, c := e.dense, &e.cols[i]
	if c.clock > 0 {
		owner := i - int(c.clock)
		at := slices.Index(d.clocks, owner)
		d.small(uint64(at+1), &d.models.clock)
		copy(d.clocks[1:at+1], d.clocks[:at])
		d.clocks[0] = owner
		return h
	}
	d.small(0, &d.models.clock)
	d.clocks = slices.Insert(d.clocks, 0, i)
	times := e.ats[c.from : c.from+c.n]
	d.number(int64(c.n-len(h.follow)), &d.models.rows)
	e.denseRows(i, times)
	left := hint{first: times[0], follow: times}
	if len(h.follow) != len(times) {
		h.follow = nil
	}
	left.second = d.hinted(times, h, &d.models.times)
	return left
}

// denseRows writes which rows of column i are of which batch.
func (e *encoder) denseRows(i int, times []int64) {
	d, nb := e.dense, len(e.batches)
	if nb == 1 {
		return
	}
	counts := e.starts[i*nb : (i+1)*nb]
	if cut := newCutter(e.cuts, times); cut.agrees(counts) {
		d.bit(1, &d.models.byCut)
		return
	}
	d.bit(0, &d.models.byCut)
	e.xs = e.xs[:0]
	for _, n := range counts {
		e.xs = append(e.xs, int64(n))
	}
	d.sequence(e.xs, &d.models.counts)
}

// denseStates writes the states of a column: the number of runs, 0 when all
// rows are in the usual one.
func (e *encoder) denseStates(c *column) {
	d := e.dense
	d.small(uint64(len(c.states)/2), &d.models.runs)
	for _, x := range c.states {
		d.count(uint64(x), &d.models.states)
	}
}

// factored writes a sequence whose numbers may have a common factor beside a
// remainder: a sensor whose steps are coarser than the column's.
func (d *denseWriter) factored(xs []int64, h hint, m *seqModel) {
	if len(xs) < 3 {
		d.hinted(xs, h, m)
		return
	}
	f := factorOf(xs)
	if f > 1 {
		rest := ((xs[0] % f) + f) % f
		d.ys = d.ys[:0]
		for _, x := range xs {
			d.ys = append(d.ys, (x-rest)/f)
		}
		coarse := h.coarse(f, rest)
		if d.plan(d.ys, coarse).cost+factorCost+bits.Len64(uint64(f))+bits.Len64(uint64(rest)) < d.plan(xs, h).cost {
			d.bit(1, &m.factor)
			d.count(uint64(f), &m.second)
			d.count(uint64(rest), &m.second)
			d.hinted(d.ys, coarse, m)
			return
		}
	}
	d.bit(0, &m.factor)
	d.hinted(xs, h, m)
}

// coarse is the hint for a sequence less rest and divided by f.
func (h hint) coarse(f, rest int64) hint {
	return hint{first: (h.first - rest) / f, peers: h.peers, glide: h.glide}
}

// factorCost is what factor and remainder take beyond their bits.
const factorCost = 10

// factorOf returns the largest factor of all differences, or 1.
func factorOf(xs []int64) int64 {
	f := int64(0)
	for i := 1; i < len(xs) && f != 1; i++ {
		if xs[i] < -phaseMax || xs[i] > phaseMax || xs[i-1] < -phaseMax || xs[i-1] > phaseMax {
			return 1
		}
		d := max(xs[i]-xs[i-1], xs[i-1]-xs[i])
		for d != 0 {
			f, d = d, f%d
		}
	}
	return max(f, 1)
}
