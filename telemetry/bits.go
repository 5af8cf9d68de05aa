package telemetry

import (
	"encoding/binary"
	"math/bits"
)

// bitWriter appends bits, most significant first.
type bitWriter struct {
	buf []byte
	acc uint64
	n   uint // low bits of acc that are not yet in buf, fewer than 32 between calls
}

// write appends the low n bits of v; n is at most 64.
func (w *bitWriter) write(v uint64, n uint) {
	if n > 32 {
		w.write(v>>32, n-32)
		v, n = v&(1<<32-1), 32
	}
	w.acc = w.acc<<n | v&(1<<n-1)
	w.n += n
	if w.n >= 32 {
		w.n -= 32
		w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(w.acc>>w.n))
	}
}

// finish pads the last byte with zeros and returns what was written.
func (w *bitWriter) finish() []byte {
	w.write(0, -w.n%8)
	for w.n > 0 {
		w.n -= 8
		w.buf = append(w.buf, byte(w.acc>>w.n))
	}
	return w.buf
}

// bitReader reads what bitWriter wrote. Past the end it returns zeros and sets
// short, which the caller checks once per sequence.
type bitReader struct {
	buf   []byte
	acc   uint64
	n     uint // low bits of acc not yet read
	short bool
}

// more takes as many bytes into acc as it has room for.
func (r *bitReader) more() {
	if len(r.buf) >= 8 {
		k := (64 - r.n) &^ 7
		r.acc = r.acc<<k | binary.BigEndian.Uint64(r.buf)>>(64-k)
		r.buf = r.buf[k/8:]
		r.n += k
		return
	}
	for r.n <= 56 && len(r.buf) > 0 {
		r.acc = r.acc<<8 | uint64(r.buf[0])
		r.buf = r.buf[1:]
		r.n += 8
	}
}

// read returns the next n bits; n is at most 64.
func (r *bitReader) read(n uint) uint64 {
	if n > 32 {
		hi := r.read(n - 32)
		return hi<<32 | r.read(32)
	}
	if r.n < n {
		if r.more(); r.n < n {
			r.short = true
			return 0
		}
	}
	r.n -= n
	return r.acc >> r.n & (1<<n - 1)
}

// ones counts the ones before the next zero, at most limit of them, which is
// at most 32; the zero is consumed too, unless the limit was reached.
func (r *bitReader) ones(limit uint) uint {
	if r.n <= limit {
		r.more()
	}
	q := uint(bits.LeadingZeros64(^(r.acc << (64 - r.n)))) // zeros follow the last bit
	switch {
	case q >= limit:
		r.n -= limit
		return limit
	case q >= r.n:
		r.n, r.short = 0, true
		return q
	}
	r.n -= q + 1
	return q
}
