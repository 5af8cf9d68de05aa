package dbc

import (
	"encoding/binary"
	"math"
	"math/bits"

	"obu/telemetry"
)

// Emit takes one value. The raw one is what Signal.Text wants: two's
// complement for signed signals, the bits for others.
type Emit func(s *Signal, raw int64, v telemetry.Value)

// Find returns the message a frame belongs to, nil when the file knows none.
// An identifier that stands in the file goes before a PGN.
func (d *Decoder) Find(id uint32, extended bool) *Message {
	if !extended {
		if int(id) < len(d.standard) {
			return d.standard[id]
		}
		return nil
	}
	if m := d.extended[id]; m != nil || len(d.groups) == 0 {
		return m
	}
	return d.groups[PGN(id)]
}

// Decode calls emit for each signal the payload carries. It reports whether
// the file knows the message, and how many of its signals (or multiplexers)
// lie beyond the payload and are absent for that. It allocates nothing.
func (d *Decoder) Decode(id uint32, extended bool, data []byte, emit Emit) (known bool, short int) {
	m := d.Find(id, extended)
	if m == nil {
		return false, 0
	}
	return true, d.Read(m, data, emit)
}

// Read is Decode for a message that Find returned.
func (d *Decoder) Read(m *Message, data []byte, emit Emit) (short int) {
	steps := m.steps
	var little uint64
	if len(data) >= 8 {
		little = binary.LittleEndian.Uint64(data)
	} else {
		for i, b := range data {
			little |= uint64(b) << (8 * i)
		}
	}
	big := bits.ReverseBytes64(little)
	for i := 0; i < len(steps); i++ {
		st := &steps[i]
		if int(st.need) > len(data) {
			short++
			if st.out == outSelect {
				i += int(st.factor)
			}
			continue
		}
		word := little
		if st.big {
			word = big
		}
		word <<= st.left & 63
		if st.far {
			word = st.farWord(data)
		}
		raw := int64(word >> (st.unused & 63))
		if st.signed {
			raw = int64(word) >> (st.unused & 63)
		}
		switch st.out {
		case outInt:
			emit(st.signal, raw, telemetry.Int(raw*st.factor+st.offset))
		case outFraction:
			emit(st.signal, raw, telemetry.Float(float64(raw*st.factor+st.offset)/st.scale))
		case outSelect:
			if !d.selected(st, word>>(st.unused&63)) {
				i += int(st.factor)
			}
		default:
			emit(st.signal, raw, st.value(raw))
		}
	}
	return short
}

// selected reports whether a selector's value lies in the ranges of a block.
func (d *Decoder) selected(st *step, raw uint64) bool {
	for _, r := range d.ranges[st.offset>>32 : st.offset&math.MaxUint32] {
		if r.Low <= raw && raw <= r.High {
			return true
		}
	}
	return false
}

// value turns the bits of the rarer kinds of signals into a value. The
// conversions around the products forbid fused operations: every machine gives
// the same bits.
func (st *step) value(raw int64) telemetry.Value {
	number := float64(raw)
	switch {
	case st.out == outUnsigned && raw >= 0:
		return telemetry.Int(raw)
	case st.out == outBool && raw > 1:
		return telemetry.Value{} // in error, or not available: no third truth
	case st.out == outBool:
		return telemetry.Bool(raw == 1)
	case st.out == outUnsigned:
		return telemetry.Float(float64(uint64(raw)))
	case st.out == outFloat32:
		number = float64(math.Float32frombits(uint32(raw)))
	case st.out == outFloat64:
		number = math.Float64frombits(uint64(raw))
	case !st.signed:
		number = float64(uint64(raw))
	}
	return telemetry.Float(float64(number*st.scale) + st.shift)
}

// farWord reads a signal that does not lie in the first eight bytes of a
// payload altogether; its bits come back at the top of the word.
func (st *step) farWord(data []byte) uint64 {
	span := data[st.base:st.need] // at most nine bytes
	var word, ninth uint64
	if st.big {
		for i, b := range span[:min(len(span), 8)] {
			word |= uint64(b) << (56 - 8*i)
		}
		if len(span) == 9 {
			ninth = uint64(span[8])
		}
		return word<<st.left | ninth>>(8-st.left)
	}
	for i, b := range span[:min(len(span), 8)] {
		word |= uint64(b) << (8 * i)
	}
	if len(span) == 9 {
		ninth = uint64(span[8])
	}
	return (word>>st.left | ninth<<(64-st.left)) << st.unused
}
