package telemetry

// bitWriter appends bits, most significant first.
type bitWriter struct {
	buf []byte
	acc uint64
	n   uint // bits of acc not yet in buf, fewer than 8 between calls
}

// write appends the low n bits of v; n is at most 64.
func (w *bitWriter) write(v uint64, n uint) {
	if n > 32 {
		w.write(v>>32, n-32)
		v, n = v&(1<<32-1), 32
	}
	w.acc = w.acc<<n | v&(1<<n-1)
	w.n += n
	for w.n >= 8 {
		w.n -= 8
		w.buf = append(w.buf, byte(w.acc>>w.n))
	}
}

// finish pads the last byte with zeros and returns what was written.
func (w *bitWriter) finish() []byte {
	if w.n > 0 {
		w.write(0, 8-w.n)
	}
	return w.buf
}

// bitReader reads what bitWriter wrote. Past the end it returns zeros and sets
// short, which the caller checks once per sequence.
type bitReader struct {
	buf   []byte
	acc   uint64
	n     uint // bits of acc not yet read
	short bool
}

func (r *bitReader) fill(n uint) bool {
	for r.n < n {
		if len(r.buf) == 0 {
			r.short = true
			return false
		}
		r.acc = r.acc<<8 | uint64(r.buf[0])
		r.buf = r.buf[1:]
		r.n += 8
	}
	return true
}

// read returns the next n bits; n is at most 64.
func (r *bitReader) read(n uint) uint64 {
	if n > 32 {
		hi := r.read(n - 32)
		return hi<<32 | r.read(32)
	}
	if !r.fill(n) {
		return 0
	}
	r.n -= n
	return r.acc >> r.n & (1<<n - 1)
}

// ones counts the ones before the next zero, at most limit of them; the zero
// is consumed too, unless the limit was reached.
func (r *bitReader) ones(limit uint) uint {
	for q := uint(0); q < limit; q++ {
		if r.read(1) == 0 {
			return q
		}
	}
	return limit
}
