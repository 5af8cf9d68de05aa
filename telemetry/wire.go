package telemetry

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one protobuf field as found on the wire. Fields of an unknown
// number, or with a wire type that the number does not have, are ignored.
type field struct {
	num protowire.Number
	typ protowire.Type
	u   uint64 // of varint, fixed32 and fixed64
	b   []byte // of length-delimited fields; shares the message's memory
}

// eachField calls do for every field of a message.
func eachField(p []byte, do func(field) error) error {
	for len(p) > 0 {
		num, typ, n := protowire.ConsumeTag(p)
		if n < 0 {
			return fmt.Errorf("decode tag: %w", ErrMalformed)
		}
		p = p[n:]
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.u, n = protowire.ConsumeVarint(p)
		case protowire.Fixed64Type:
			f.u, n = protowire.ConsumeFixed64(p)
		case protowire.BytesType:
			f.b, n = protowire.ConsumeBytes(p)
		default:
			n = protowire.ConsumeFieldValue(num, typ, p)
		}
		if n < 0 {
			return fmt.Errorf("decode field %d: %w", num, ErrMalformed)
		}
		p = p[n:]
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

func (f field) sint() int64 { return protowire.DecodeZigZag(f.u) }

func (f field) double() float64 {
	if f.typ != protowire.Fixed64Type {
		return 0
	}
	return math.Float64frombits(f.u)
}

func (f field) text() string { return utf8(string(f.b)) }

func (f field) wall() time.Time {
	if f.typ != protowire.VarintType {
		return time.Time{}
	}
	return fromNanos(f.sint())
}

// id copies an identifier of exactly the length of dst.
func (f field) id(dst []byte) error {
	if len(f.b) != len(dst) {
		return fmt.Errorf("decode id of %d bytes in field %d, want %d: %w", len(f.b), f.num, len(dst), ErrMalformed)
	}
	copy(dst, f.b)
	return nil
}

// numbers appends the entries of a repeated number, packed or not, up to
// limit entries.
func (f field) numbers(xs []uint64, limit int) ([]uint64, error) {
	if f.typ == protowire.VarintType {
		xs = append(xs, f.u)
	}
	for p := f.b; len(p) > 0; {
		x, n := protowire.ConsumeVarint(p)
		if n < 0 {
			return nil, fmt.Errorf("decode packed field %d: %w", f.num, ErrMalformed)
		}
		p = p[n:]
		if len(xs) >= limit {
			return nil, fmt.Errorf("decode field %d with more than %d entries: %w", f.num, limit, ErrTooLarge)
		}
		xs = append(xs, x)
	}
	if len(xs) > limit {
		return nil, fmt.Errorf("decode field %d with more than %d entries: %w", f.num, limit, ErrTooLarge)
	}
	return xs, nil
}
