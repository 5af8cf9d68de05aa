package telemetry

import (
	"errors"
	"math"
)

// Parts is where the bits of an envelope go.
type Parts struct {
	Header      int // all outside the columns and the body
	Columns     int // what the columns are: sources, numbers, clocks, forms, states, texts, declarations
	Cuts        int // which row is of which batch
	TimeStarts  int // of each clock: rows, predictor, first, period, coder
	Times       int // their residuals
	ValueStarts int // of each column: predictor, first, coder
	Values      int // their residuals
	Fixes       int
	Squeezed    int // what zstd takes away again
	Total       int
}

// Add adds what another envelope takes.
func (p *Parts) Add(q *Parts) {
	p.Header += q.Header
	p.Columns += q.Columns
	p.Cuts += q.Cuts
	p.TimeStarts += q.TimeStarts
	p.Times += q.Times
	p.ValueStarts += q.ValueStarts
	p.Values += q.Values
	p.Fixes += q.Fixes
	p.Squeezed += q.Squeezed
	p.Total += q.Total
}

// PartsOf encodes an envelope and says where its bits went. It walks the
// columns as EncodeEnvelope does, and fails when that makes other bits.
func PartsOf(env *Envelope) (p Parts, err error) {
	whole, err := EncodeEnvelope(env)
	if err != nil {
		return p, err
	}
	bits, rest, _, err := encodeColumns(env.Batches, env.moment(), Format)
	if err != nil {
		return p, err
	}
	w := partsWriter{encoder: new(encoder)}
	w.reset(env.Batches)
	if err := w.columns(&p, env.moment()); err != nil {
		return p, err
	}
	if string(bits) != string(w.dense.finish()) {
		return p, errors.New("the parts make other bits")
	}
	w.declareSignals()
	w.declareTexts()
	p.Columns += 8 * len(w.out)
	p.Squeezed = 8 * (len(w.out) - len(rest))
	p.Total = 8 * len(whole)
	p.Header = p.Total - 8*(len(bits)+len(rest))
	return p, nil
}

// partsWriter is the encoder, taken apart.
type partsWriter struct {
	*encoder
	from float64
}

// spent returns the bits since it was called last.
func (w *partsWriter) spent() int {
	at := float64(8*len(w.dense.buf)) + 32 - math.Log2(float64(w.dense.rng))
	n := math.Round(at - w.from)
	w.from += n
	return int(n)
}

func (w *partsWriter) columns(p *Parts, sent moment) error {
	w.dense = new(denseWriter)
	d := w.dense
	d.reset()
	if err := w.distribute(); err != nil {
		return err
	}
	h := hint{first: sent.at}
	d.count(uint64(len(w.cols)), &d.models.rows)
	if len(w.cols) > 0 {
		w.shareClocks()
		p.Columns += w.spent()
		h = w.denseCuts(h)
		p.Cuts += w.spent()
	}
	last := uint32(0)
	for i := range w.cols {
		c := &w.cols[i]
		last = w.denseSignal(c, last)
		w.denseSource(i)
		p.Columns += w.spent()
		if c.clock > 0 {
			h = w.denseClock(i, h)
			p.Columns += w.spent()
		} else {
			was := h
			h = w.denseClock(i, h)
			n := w.spent()
			times := w.ats[c.from : c.from+c.n]
			if len(was.follow) != len(times) {
				was.follow = nil
			}
			p.Times += min(n, residualBits(times, was))
			p.TimeStarts += n - min(n, residualBits(times, was))
		}
		w.values(c)
		d.small(uint64(c.form), &d.models.form)
		w.denseStates(c)
		p.Columns += w.spent()
		d.factored(w.xs, hint{peers: &d.peers}, &d.models.values)
		n := w.spent()
		p.Values += min(n, residualBits(w.xs, hint{}))
		p.ValueStarts += n - min(n, residualBits(w.xs, hint{}))
	}
	h.follow = nil
	w.denseFixes(h, sent)
	p.Fixes += w.spent()
	return nil
}

// residualBits is what a sequence takes without its start.
func residualBits(xs []int64, h hint) int {
	if len(xs) < 2 || constant(xs) {
		return 0
	}
	s := new(seqWriter)
	s.plan(xs, h)
	return noiseCost(sumOf(s.best), len(s.best))
}
