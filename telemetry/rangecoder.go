package telemetry

// Format 2 writes its bits through a binary range coder: each bit costs what
// its model held improbable about it. The models adapt as they go, from the
// same start in every envelope, so that reader and writer need nothing else.

const (
	rangeTop   = 1 << 24 // below it the range is widened by a byte
	rangeScale = 12      // bits of a probability as the coder uses it
	rawMost    = 8       // bits without a model that are coded at once

	modelFloor = 32 // no probability is closer to 0 or 1 than this of 65,536
)

// model is how probable a zero is, in 1/65,536, and how sure that is.
type model struct{ zero, seen uint16 }

// modelRates are how far a model moves with a bit, by the bits it has seen: as
// a mean over all of them at first, then over about as many as there are rates.
var modelRates = func() (rates [modelMemory]uint32) {
	for i := range rates {
		rates[i] = 1 << 16 / (uint32(i) + 2)
	}
	return rates
}()

const modelMemory = 64 // a power of two: no bound is checked in modelRates

// update moves the model towards the bit.
func (m *model) update(bit uint64) {
	rate := modelRates[m.seen&(modelMemory-1)]
	if m.seen < modelMemory-1 {
		m.seen++
	}
	if bit == 0 {
		m.zero += uint16((1<<16 - modelFloor - uint32(m.zero)) * rate >> 16)
	} else {
		m.zero -= uint16((uint32(m.zero) - modelFloor) * rate >> 16)
	}
}

// rangeWriter is the encoding side.
type rangeWriter struct {
	buf []byte
	low uint32
	rng uint32
}

func (w *rangeWriter) start() { w.buf, w.low, w.rng = w.buf[:0], 0, 1<<32-1 }

// bit writes one bit with a model.
func (w *rangeWriter) bit(bit uint64, m *model) {
	bound := w.rng >> rangeScale * uint32(m.zero>>(16-rangeScale))
	if bit == 0 {
		w.rng = bound
	} else {
		w.add(bound)
		w.rng -= bound
	}
	m.update(bit)
	w.widen()
}

// ones writes q ones and, unless there are no more models, a zero, each with
// the model of its place. It is bit in a loop, written out because a writer
// spends most of its time here.
func (w *rangeWriter) ones(q uint64, ms []model) {
	low, rng := w.low, w.rng
	for i := range ms {
		m := &ms[i]
		bound := rng >> rangeScale * uint32(m.zero>>(16-rangeScale))
		rate := modelRates[m.seen&(modelMemory-1)]
		if m.seen < modelMemory-1 {
			m.seen++
		}
		zero := uint64(i) == q
		if zero {
			rng = bound
			m.zero += uint16((1<<16 - modelFloor - uint32(m.zero)) * rate >> 16)
		} else {
			rng -= bound
			m.zero -= uint16((uint32(m.zero) - modelFloor) * rate >> 16)
			if low += bound; low < bound {
				w.carry()
			}
		}
		for rng < rangeTop {
			w.buf = append(w.buf, byte(low>>24))
			low <<= 8
			rng <<= 8
		}
		if zero {
			break
		}
	}
	w.low, w.rng = low, rng
}

// raw writes the low n bits of v, at most 64, each as probable as not.
func (w *rangeWriter) raw(v uint64, n uint) {
	for n > 0 {
		k := min(n, rawMost)
		n -= k
		w.rng >>= k
		w.add(uint32(v>>n&(1<<k-1)) * w.rng)
		w.widen()
	}
}

func (w *rangeWriter) add(x uint32) {
	w.low += x
	if w.low < x {
		w.carry()
	}
}

// carry adds one to what is written.
func (w *rangeWriter) carry() {
	for i := len(w.buf) - 1; i >= 0; i-- {
		w.buf[i]++
		if w.buf[i] != 0 {
			break
		}
	}
}

func (w *rangeWriter) widen() {
	for w.rng < rangeTop {
		w.buf = append(w.buf, byte(w.low>>24))
		w.low <<= 8
		w.rng <<= 8
	}
}

// finish writes the fewest bytes that the reader, who reads zeros past the
// end, cannot take for anything else, and returns all.
func (w *rangeWriter) finish() []byte {
	for n := uint(0); n <= 4; n++ {
		mask := uint64(1)<<(32-8*n) - 1
		v := (uint64(w.low) + mask) &^ mask
		if v >= uint64(w.low)+uint64(w.rng) {
			continue
		}
		w.add(uint32(v - uint64(w.low)))
		for range n {
			w.buf = append(w.buf, byte(w.low>>24))
			w.low <<= 8
		}
		break
	}
	return w.buf
}

// rangeReader reads what rangeWriter wrote. Past the end it reads zeros; over
// counts them, and short tells when there were more than the writer can have
// left out.
type rangeReader struct {
	buf  []byte
	code uint32
	rng  uint32
	over int
}

func (r *rangeReader) start(p []byte) {
	r.buf, r.code, r.rng, r.over = p, 0, 1<<32-1, 0
	for range 4 {
		r.code = r.code<<8 | r.next()
	}
}

func (r *rangeReader) next() uint32 {
	if len(r.buf) == 0 {
		r.over++
		return 0
	}
	b := r.buf[0]
	r.buf = r.buf[1:]
	return uint32(b)
}

func (r *rangeReader) short() bool { return r.over > 4 }

func (r *rangeReader) bit(m *model) uint64 {
	bound := r.rng >> rangeScale * uint32(m.zero>>(16-rangeScale))
	bit := uint64(0)
	if r.code < bound {
		r.rng = bound
	} else {
		r.code -= bound
		r.rng -= bound
		bit = 1
	}
	m.update(bit)
	r.widen()
	return bit
}

// ones counts the ones before the next zero, each with the model of its place,
// and at most as many as there are models. It is bit in a loop, written out
// because a reader spends most of its time here.
func (r *rangeReader) ones(ms []model) uint64 {
	code, rng := r.code, r.rng
	for i := range ms {
		m := &ms[i]
		bound := rng >> rangeScale * uint32(m.zero>>(16-rangeScale))
		rate := modelRates[m.seen&(modelMemory-1)]
		if m.seen < modelMemory-1 {
			m.seen++
		}
		zero := code < bound
		if zero {
			rng = bound
			m.zero += uint16((1<<16 - modelFloor - uint32(m.zero)) * rate >> 16)
		} else {
			code -= bound
			rng -= bound
			m.zero -= uint16((uint32(m.zero) - modelFloor) * rate >> 16)
		}
		for rng < rangeTop {
			code = code<<8 | r.next()
			rng <<= 8
		}
		if zero {
			r.code, r.rng = code, rng
			return uint64(i)
		}
	}
	r.code, r.rng = code, rng
	return uint64(len(ms))
}

func (r *rangeReader) raw(n uint) (v uint64) {
	for n > 0 {
		k := min(n, rawMost)
		n -= k
		r.rng >>= k
		x := min(r.code/r.rng, 1<<k-1) // more is possible in damaged bytes only
		r.code -= x * r.rng
		v = v<<k | uint64(x)
		r.widen()
	}
	return v
}

func (r *rangeReader) widen() {
	for r.rng < rangeTop {
		r.code = r.code<<8 | r.next()
		r.rng <<= 8
	}
}
