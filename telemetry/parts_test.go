package telemetry

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Parts is where the bits of an envelope go.
type Parts struct {
	Header      int // all outside the body, and its tag and length
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
// columns as encodeBody does, and fails when that makes another body.
func PartsOf(env *Envelope) (p Parts, err error) {
	e := new(encoder)
	e.reset(env.Batches)
	at := func() int { return 8*len(e.buf) + int(e.n) }
	if err := e.distribute(); err != nil {
		return p, err
	}
	if len(e.cols) > 0 {
		e.shareClocks()
		e.writeCuts()
	}
	p.Cuts = at()
	var h hint
	for i := range e.cols {
		c := &e.cols[i]
		from := at()
		if c.clock == 0 {
			was, times := h, e.ats[c.from:c.from+c.n]
			h = e.writeClock(i, h)
			if len(was.follow) != len(times) {
				was.follow = nil
			}
			n := residualBits(times, was)
			p.Times += n
			p.TimeStarts += at() - from - n
		}
		e.values(c)
		from = at()
		e.sequence(e.xs)
		n := residualBits(e.xs, hint{})
		p.Values += n
		p.ValueStarts += at() - from - n
	}
	e.describe()
	p.Columns = 8 * len(e.out)
	from := at()
	e.fixes()
	p.Fixes = at() - from + 8*len(e.out) - p.Columns
	if bits := e.finish(); len(bits) > 0 {
		e.out = protowire.AppendTag(e.out, bodyBits, protowire.BytesType)
		e.out = protowire.AppendBytes(e.out, bits)
	}
	raw, how := compress(e.out)
	if how != compressNone {
		p.Squeezed = 8 * (len(e.out) - len(raw))
	}
	body, _, err := encodeBody(env.Batches)
	if err != nil {
		return p, err
	}
	if string(raw) != string(body) {
		return p, fmt.Errorf("the parts make another body: %d bytes, not %d", len(raw), len(body))
	}
	whole, err := EncodeEnvelope(env)
	p.Header = 8 * (len(whole) - len(body))
	p.Total = 8 * len(whole)
	return p, err
}

// residualBits is what a sequence takes without its start.
func residualBits(xs []int64, h hint) int {
	if len(xs) < 2 || constant(xs) {
		return 0
	}
	s := &seqCoder{}
	b := s.plan(xs, h)
	n := b.cost - numberCost(b.first-h.first)
	switch b.pred {
	case predNumbers:
		return n
	case predPhase, predStride:
		n -= numberCost(b.second - h.second)
	}
	return n - coderBits
}
