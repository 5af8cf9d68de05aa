package obd

import (
	"math"
	"time"

	"obu/telemetry"
)

// row is one PID of service 01. Rows without fields have a known size and no
// formula.
type row struct {
	size   uint8         // data bytes
	every  time.Duration // how often asking makes sense, see DefaultEvery
	fields []field
	second *field // in a byte more, which cars with banks 3 and 4 add
}

// field places one quantity in the data bytes of its PID: the big endian
// number of width bytes at byte at, shifted right and masked; value =
// Step.Value(number + offset) for floats, number*scale + offset for integers.
type field struct {
	signal *telemetry.Signal
	at     uint8
	width  uint8
	shift  uint8
	mask   uint32 // 0: every bit
	offset int64
	scale  int64  // of integers, and of numbers under wide; 0 means 1
	needs  uint8  // support bits in data byte 0; unsupported without them
	wide   uint8  // support bits in data byte 0 that say: the number counts scale steps
	absent uint32 // number that stands for "not there", when hasAbsent
	text   textCoder

	signed    bool // two's complement over width bytes
	hasAbsent bool
}

// textCoder is the reading of a number as text, and back.
type textCoder interface {
	format(n uint32) (s string, sure bool)
	parse(s string) (n uint32, ok bool)
}

func (f *field) number(data []byte) uint32 {
	var n uint32
	for _, b := range data[f.at : f.at+f.width] {
		n = n<<8 | uint32(b)
	}
	n >>= f.shift
	if f.mask != 0 {
		n &= f.mask
	}
	return n
}

// within reports whether data reaches to the end of the field.
func (f *field) within(data []byte) bool { return int(f.at+f.width) <= len(data) }

func (f *field) present(data []byte) bool {
	return !f.hasAbsent || f.number(data) != f.absent
}

// supported reports whether the ECU says that it has the quantity.
func (f *field) supported(data []byte) bool {
	return data[0]&f.needs == f.needs || f.wide != 0 && data[0]&f.wide == f.wide
}

// steps returns the number as a count of the signal's steps.
func (f *field) steps(data []byte) int64 {
	n := int64(f.number(data))
	if sign := int64(1) << (8*f.width - 1); f.signed && n >= sign {
		n -= 2 * sign
	}
	if f.wide != 0 && data[0]&f.wide == f.wide {
		n *= f.scale
	}
	return n + f.offset
}

func (f *field) read(data []byte) Reading {
	n := f.number(data)
	r := Reading{Signal: f.signal}
	switch f.signal.Kind {
	case telemetry.KindFloat:
		v := f.signal.Step.Value(f.steps(data))
		r.Value = telemetry.Float(v)
		if !f.signal.InRange(v) {
			r.Quality = telemetry.QualityDoubtful
		}
	case telemetry.KindInt:
		v := int64(n)*max(f.scale, 1) + f.offset
		r.Value = telemetry.Int(v)
		if !f.signal.InRange(float64(v)) {
			r.Quality = telemetry.QualityDoubtful
		}
	case telemetry.KindBool:
		r.Value = telemetry.Bool(n != 0)
	default:
		s, sure := f.text.format(n)
		r.Value = telemetry.Text(s)
		if !sure {
			r.Quality = telemetry.QualityDoubtful
		}
	}
	if !f.supported(data) {
		r.Quality = telemetry.QualityUnsupported
	}
	return r
}

// write puts v into data, rounded to the nearest step; it reports whether v
// can be expressed.
func (f *field) write(data []byte, v telemetry.Value) bool {
	var n int64
	switch f.signal.Kind {
	case telemetry.KindFloat:
		s := f.signal.Step
		n = int64(math.Round(v.Float()*float64(s.Den)/float64(s.Num))) - f.offset
	case telemetry.KindInt:
		n = int64(math.Round((v.Float() - float64(f.offset)) / float64(max(f.scale, 1))))
	case telemetry.KindBool:
		if v.Bool() {
			n = 1
		}
	default:
		u, ok := f.text.parse(v.Text())
		if !ok {
			return false
		}
		n = int64(u)
	}
	least, limit := int64(0), int64(1)<<(8*f.width)-1
	limit >>= f.shift
	if f.mask != 0 {
		limit &= int64(f.mask)
	}
	if f.signed {
		least, limit = -(limit+1)/2, limit/2
	}
	bits := f.needs
	if f.wide != 0 && n > limit {
		n, bits = (n+f.scale/2)/f.scale, f.wide
	}
	if v.Kind() == telemetry.KindNone || n < least || n > limit {
		return false
	}
	data[0] |= bits
	number := uint32(n) << f.shift
	for i := int(f.width) - 1; i >= 0; i-- {
		data[int(f.at)+i] |= byte(number)
		number >>= 8
	}
	return true
}
