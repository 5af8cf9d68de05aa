package telemetry

import "math/bits"

// The models of format 2. The same ones serve every column, because columns
// of ten values cannot teach one of their own.

const (
	numberLen  = 6  // bits of a number's length
	levelCount = 14 // how noisy a column is lately, see noise
	onesMost   = 20 // a longer quotient is written by its length
)

// numberModel is for integers of any size: their length, then plain bits.
type numberModel [1 << numberLen]model

// smallModel is for integers that are mostly 0, else mostly small.
type smallModel [16]model

// noiseModel is for the residuals of a predictor.
type noiseModel [levelCount][onesMost]model

// seqModel is for sequences of one sort.
type seqModel struct {
	pred   [1 << predBits]model
	factor model
	first  numberModel
	second numberModel
	noise  numberModel
	peer   numberModel
	share  numberModel
	rest   noiseModel
}

// models is everything that adapts.
type models struct {
	source, clock, form, runs                 smallModel
	byCut                                     model
	known                                     [1 << knownBits]model
	grid                                      model
	signal, rows, states, texts               numberModel
	chars                                     [1 << 8]model
	times, cuts, values, fixes, flags, counts seqModel
}

// freshModels is where every envelope starts.
var freshModels = func() (m models) {
	m.byCut, m.grid = even, even
	for _, s := range []*smallModel{&m.source, &m.clock, &m.form, &m.runs} {
		fill(s[:], even)
	}
	for _, n := range []*numberModel{&m.signal, &m.rows, &m.states, &m.texts} {
		n.fresh()
	}
	fill(m.known[:], even)
	fill(m.chars[:], even)
	for _, s := range []*seqModel{&m.times, &m.cuts, &m.values, &m.fixes, &m.flags, &m.counts} {
		s.fresh()
	}
	return m
}()

// even holds a zero and a one equally probable, until it has seen either.
var even = model{zero: 1 << 15}

func fill(ms []model, m model) {
	for i := range ms {
		ms[i] = m
	}
}

// fresh holds lengths from 32 bits improbable, and from 16.
func (n *numberModel) fresh() {
	fill(n[:], even)
	n[1] = model{zero: 1<<16 - 1<<11, seen: 4}
	n[2] = model{zero: 1<<16 - 1<<14, seen: 2}
}

// fresh begins with residuals that are spread as the level says.
func (s *seqModel) fresh() {
	fill(s.pred[:], even)
	s.factor = model{zero: 1<<16 - 1<<12, seen: 4}
	for _, n := range []*numberModel{&s.first, &s.second, &s.noise, &s.peer, &s.share} {
		n.fresh()
	}
	for ctx := range s.rest {
		// the mean of what is written as ones, in 1/16: in the middle of those that choose these models
		mean := uint32(ctx)
		if ctx > 1 {
			mean = (5 + 2*uint32(ctx&1)) << min(ctx/2-1, 4) >> 1
		}
		fill(s.rest[ctx][:], model{zero: uint16(min(16<<16/(16+mean), 1<<16-1<<8)), seen: restTrust})
	}
}

const restTrust = 6

// tree writes n bits of v, each with the model of those before it.
func (w *rangeWriter) tree(v uint64, n uint, ms []model) {
	node := uint64(1)
	for n > 0 {
		n--
		b := v >> n & 1
		w.bit(b, &ms[node])
		node = node<<1 | b
	}
}

func (r *rangeReader) tree(n uint, ms []model) uint64 {
	node := uint64(1)
	for range n {
		node = node<<1 | r.bit(&ms[node])
	}
	return node - 1<<n
}

// number writes any integer.
func (w *rangeWriter) number(v int64, m *numberModel) { w.count(zigzag(v), m) }

func (r *rangeReader) number(m *numberModel) int64 { return unzigzag(r.count(m)) }

// count writes an integer from 0: the bits it has, then those below the first.
func (w *rangeWriter) count(z uint64, m *numberModel) {
	n := uint(bits.Len64(z))
	if n >= 63 {
		w.tree(63, numberLen, m[:])
		w.raw(z, 64)
		return
	}
	w.tree(uint64(n), numberLen, m[:])
	if n > 1 {
		w.raw(z, n-1)
	}
}

func (r *rangeReader) count(m *numberModel) uint64 {
	n := uint(r.tree(numberLen, m[:]))
	switch n {
	case 0:
		return 0
	case 63:
		return r.raw(64)
	}
	return 1<<(n-1) | r.raw(n-1)
}

// small writes an integer from 0: ones up to its value, then by its length.
func (w *rangeWriter) small(v uint64, m *smallModel) {
	for i := range uint64(len(m)) {
		if v == i {
			w.bit(0, &m[i])
			return
		}
		w.bit(1, &m[i])
	}
	w.long(v - uint64(len(m)))
}

func (r *rangeReader) small(m *smallModel) uint64 {
	for i := range m {
		if r.bit(&m[i]) == 0 {
			return uint64(i)
		}
	}
	return r.long() + uint64(len(m))
}

// long writes an integer from 0 without a model.
func (w *rangeWriter) long(v uint64) {
	n := uint(bits.Len64(v))
	w.raw(uint64(n), 7)
	if n > 1 {
		w.raw(v, n-1)
	}
}

func (r *rangeReader) long() uint64 {
	n := uint(r.raw(7))
	if n < 2 {
		return uint64(n)
	}
	n = min(n, 64)
	return 1<<(n-1) | r.raw(n-1)
}

// noise is how large the residuals of a column were lately: the mean of their
// zigzags in 1/16. It chooses how many low bits are plain and which models
// the rest has.
type noise struct {
	mean int64
	seen uint
}

const (
	noiseFrac   = 4
	noiseTrust  = 5  // residuals that the level in the stream counts for
	noiseMemory = 16 // residuals the mean goes over
	noiseMost   = 1 << 40
)

// noiseRates are 1/n in 1/65,536.
var noiseRates = func() (rates [noiseMemory + 1]int64) {
	for n := int64(1); n <= noiseMemory; n++ {
		rates[n] = 1 << 16 / n
	}
	return rates
}()

// levelOf is how the mean of so many zigzags stands in the stream: 0 when all
// are 0, else by its logarithm.
func levelOf(sum uint64, n int) uint64 {
	mean := sum / uint64(n)
	switch {
	case sum == 0:
		return 0
	case mean == 0 && 4*sum < uint64(n):
		return 1
	}
	return min(2+uint64(bits.Len64(mean)), 1<<numberLen-1)
}

// startNoise begins at the level that stands in the stream.
func startNoise(level uint64) noise {
	n := noise{seen: noiseTrust}
	switch level {
	case 1:
		n.mean = 2
	case 2:
		n.mean = 9
	default:
		n.mean = 12 << min(level-2, 40)
	}
	return n
}

// level returns the low bits and the models for the next residual.
func (n *noise) level() (k, ctx uint) {
	l := uint(bits.Len64(uint64(n.mean)))
	if l < 2 {
		return 0, l
	}
	frac := uint(n.mean>>(l-2)) & 1
	if l <= 6 {
		return 0, 2*(l-1) + frac
	}
	return l - 6, 12 + frac
}

func (n *noise) update(z uint64) {
	x := int64(min(z, noiseMost)) << noiseFrac
	if n.seen < noiseMemory {
		n.seen++
	}
	if rate := noiseRates[n.seen]; x > n.mean {
		n.mean += (x - n.mean) * rate >> 16
	} else {
		n.mean -= (n.mean - x) * rate >> 16
	}
}

// residual writes one residual's zigzag.
func (w *rangeWriter) residual(z uint64, n *noise, m *noiseModel) {
	k, ctx := n.level()
	ms := &m[ctx]
	q := z >> k
	w.ones(q, ms[:])
	if q >= onesMost {
		w.long(q - onesMost)
	}
	w.raw(z&(1<<k-1), k)
	n.update(z)
}

func (r *rangeReader) residual(n *noise, m *noiseModel) uint64 {
	k, ctx := n.level()
	ms := &m[ctx]
	q := r.ones(ms[:])
	if q == onesMost {
		q += r.long()
	}
	z := q<<k | r.raw(k)
	n.update(z)
	return z
}
