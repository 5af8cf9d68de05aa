package dbc

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"

	"obu/telemetry"
)

// Decoder is a compiled File. It is never changed: several goroutines may use
// it at once.
type Decoder struct {
	file     *File
	standard []*Message // by 11-bit identifier; nil where there is none
	extended map[uint32]*Message
	groups   map[uint32]*Message // by PGN
	ranges   []Range
	signals  int
}

// step is one signal, or the entrance to the signals of one multiplexer value:
// then factor is how many steps to pass over when the value is another, and
// offset spans its ranges.
type step struct {
	signal *Signal
	factor int64   // of whole numbers
	offset int64   // same
	scale  float64 // the divisor of outFraction, the factor of a double
	shift  float64 // the offset of a double
	need   uint16  // bytes of the message the signal reaches into
	base   uint16  // first of them, where far
	left   uint8   // bits to shift the word so that the signal stands at its top
	unused uint8   // bits of the word that are not the signal's
	out    out
	big    bool // the word is the payload's, first byte on top; else the last
	signed bool
	far    bool // the signal is not in the first eight bytes altogether
}

// out is how bits become a value.
type out uint8

const (
	outInt      out = iota // raw*factor + offset
	outFraction            // (raw*factor + offset) / scale
	outUnsigned            // all 64 bits: what no int64 holds becomes a double
	outDouble              // raw*scale + shift
	outFloat32
	outFloat64
	outBool   // raw 0 or 1
	outSelect // no value: the entrance to a multiplexed block
)

// exactDouble is up to where every whole number is a double.
const exactDouble = 1 << 53

// Compile makes the tables of a file, and completes its signals' Telemetry.
func Compile(f *File) *Decoder {
	d := &Decoder{file: f, extended: make(map[uint32]*Message), groups: make(map[uint32]*Message)}
	for _, m := range f.Messages {
		children := make(map[*Signal][]*Signal)
		for _, s := range m.Signals {
			s.Number = d.signals
			d.signals++
			children[s.parentSignal] = append(children[s.parentSignal], s)
		}
		m.steps = d.block(nil, m, children, children[nil])
		if !m.Extended {
			if d.standard == nil {
				d.standard = make([]*Message, maskStandard+1)
			}
			d.standard[m.ID] = m
			continue
		}
		d.extended[m.ID] = m
		if pgn := PGN(m.ID); m.J1939 && d.groups[pgn] == nil {
			d.groups[pgn] = m
		}
	}
	return d
}

// File returns what the Decoder was compiled from.
func (d *Decoder) File() *File { return d.file }

// Signals returns how many signals the file has; Signal.Number lies below it.
func (d *Decoder) Signals() int { return d.signals }

// J1939 reports whether messages of it are matched by PGN.
func (d *Decoder) J1939() bool { return len(d.groups) > 0 }

// block appends the signals that depend on parent in the same way: their own
// steps first, then a block for each set of selector values.
func (d *Decoder) block(steps []step, m *Message, children map[*Signal][]*Signal, signals []*Signal) []step {
	for _, s := range signals {
		steps = append(steps, compileSignal(m, s))
	}
	for _, s := range signals {
		for _, same := range alike(children[s]) {
			at := len(steps)
			gate := locate(s)
			gate.out, gate.offset = outSelect, int64(len(d.ranges))<<32
			d.ranges = append(d.ranges, same[0].ranges...)
			gate.offset |= int64(len(d.ranges))
			steps = d.block(append(steps, gate), m, children, same)
			steps[at].factor = int64(len(steps) - at - 1)
		}
	}
	return steps
}

// alike parts signals into those with the same ranges, in the file's order.
func alike(signals []*Signal) (groups [][]*Signal) {
	index := make(map[string]int)
	var key []byte
	for _, s := range signals {
		key = key[:0]
		for _, r := range s.ranges {
			key = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(key, r.Low), r.High)
		}
		i, ok := index[string(key)]
		if !ok {
			i = len(groups)
			index[string(key)] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], s)
	}
	return groups
}

// Beyond returns the first signal that ends behind its message: in a frame of the
// length that the file says it has no value.
func (d *Decoder) Beyond() (w Warning, found bool) {
	for _, m := range d.file.Messages {
		for i := range m.Signals {
			s := m.Signals[i]
			if st := locate(s); m.Size > 0 && int(st.need) > m.Size && (!found || s.line < w.Line) {
				w, found = Warning{d.file.Name, s.line, s.Telemetry.Name + " reaches into byte " + strconv.Itoa(int(st.need)) + " of a message of " + strconv.Itoa(m.Size)}, true
			}
		}
	}
	return w, found
}

// locate says where the bits of a signal are. The start bit of a big-endian
// signal is its highest, and bits count down within a byte and on in the next.
func locate(s *Signal) step {
	st := step{signal: s, unused: uint8(64 - s.Length), big: s.BigEndian, signed: s.Signed}
	first := s.Start
	if s.BigEndian {
		first = s.Start&^7 + 7 - s.Start&7
	}
	end := first + s.Length
	st.need = uint16((end + 7) / 8)
	switch {
	case end > 64:
		st.far, st.base = true, uint16(first/8)
		st.left = uint8(first % 8)
	case s.BigEndian:
		st.left = uint8(first)
	default:
		st.left = uint8(64 - end)
	}
	return st
}

func compileSignal(m *Message, s *Signal) step {
	st := locate(s)
	s.Telemetry = telemetry.Signal{Name: m.Name + "." + s.Name, Unit: s.Unit, Kind: telemetry.KindFloat, Level: telemetry.LevelDynamic}
	if m.J1939 {
		s.reserve()
	}
	if s.Min < s.Max {
		s.Telemetry.Min, s.Telemetry.Max = s.Min, s.Max
	}
	kind := telemetry.KindNone
	if t := s.target; t != nil {
		s.Telemetry.Name, s.Telemetry.Unit, s.Telemetry.Level = t.signal.Name, t.signal.Unit, t.signal.Level
		s.Telemetry.Min, s.Telemetry.Max, kind = t.signal.Min, t.signal.Max, t.signal.Kind
	}
	st.scale, st.shift = s.near()
	if s.Float {
		st.out = outFloat32
		if s.Length == 64 {
			st.out = outFloat64
		}
		return st
	}
	a, b, den, exact := s.scaled()
	bound, fits := largest(s, a, b)
	whole := exact && den == 1 && kind != telemetry.KindFloat
	switch {
	case kind == telemetry.KindBool:
		st.out, s.Telemetry.Kind = outBool, telemetry.KindBool
	case whole && (fits || a == 1 && b == 0 && s.Signed):
		st.out, s.Telemetry.Kind = outInt, telemetry.KindInt
	case whole && a == 1 && b == 0:
		st.out, s.Telemetry.Kind = outUnsigned, telemetry.KindInt
	case exact && fits && bound <= exactDouble && den <= exactDouble:
		st.out, st.scale = outFraction, float64(den)
		s.Telemetry.Step = telemetry.Step{Num: gcd(a, b), Den: den}
	default:
		st.out = outDouble
	}
	st.factor, st.offset = a, b
	return st
}

// reserve finds the raw values of a J1939 parameter that are none.
func (s *Signal) reserve() {
	top := int64(1)<<(s.Length&63) - 1
	switch {
	case s.Signed || s.Float:
		return
	case s.Length == 2:
		s.reserved = 2
	case s.Length == 8 || s.Length == 16 || s.Length == 24 || s.Length == 32:
		s.reserved = 0xFB << (s.Length - 8)
	default:
		return
	}
	if s.Min < s.Max && s.factor.near > 0 {
		if last := math.Round((s.Max - s.offset.near) / s.factor.near); last >= float64(s.reserved) && last < float64(top) {
			s.reserved = int64(last) + 1
		}
	}
}

// largest returns the largest magnitude of raw*a+b over all raw values, and
// whether it is below 2^63.
func largest(s *Signal, a, b int64) (uint64, bool) {
	raw := uint64(math.MaxUint64) >> (64 - s.Length)
	if s.Signed {
		raw = 1 << (s.Length - 1)
	}
	hi, lo := bits.Mul64(raw, magnitude(a))
	sum, carry := bits.Add64(lo, magnitude(b), 0)
	return sum, hi == 0 && carry == 0 && sum <= math.MaxInt64
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}
