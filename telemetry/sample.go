package telemetry

import (
	"fmt"
	"math"
	"strconv"
)

// Kind is the datatype of a Value.
type Kind uint8

// The kinds a Value can hold.
const (
	KindNone  Kind = iota // no value: the quality says why
	KindFloat             // IEEE 754 double
	KindInt               // signed 64-bit
	KindBool
	KindText  // UTF-8
	KindBytes // raw, shown as hexadecimal
)

var kindNames = [...]string{"none", "float", "int", "bool", "text", "bytes"}

// String returns the kind as it stands in JSON.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind-" + strconv.Itoa(int(k))
}

// Value is one reading: a float, int, bool, text or bytes. Two Values compare
// with ==; a Float NaN is stored as KindNone, so no NaN is ever printed or sent.
type Value struct {
	kind Kind
	bits uint64
	text string
}

// Float returns a value holding f; NaN and infinities become "no value".
func Float(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: KindFloat, bits: math.Float64bits(f)}
}

// Int returns a value holding i.
func Int(i int64) Value { return Value{kind: KindInt, bits: uint64(i)} }

// Bool returns a value holding b.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, bits: 1}
	}
	return Value{kind: KindBool}
}

// Text returns a value holding UTF-8 text.
func Text(s string) Value { return Value{kind: KindText, text: s} }

// Bytes returns a value holding a copy of raw bytes.
func Bytes(b []byte) Value { return Value{kind: KindBytes, text: string(b)} }

// Kind returns the datatype held.
func (v Value) Kind() Kind { return v.kind }

// Float returns the number held by a float, int or bool, else NaN.
func (v Value) Float() float64 {
	switch v.kind {
	case KindFloat:
		return math.Float64frombits(v.bits)
	case KindInt:
		return float64(int64(v.bits))
	case KindBool:
		return float64(v.bits)
	}
	return math.NaN()
}

// Int returns the integer held by an int or bool, else 0.
func (v Value) Int() int64 {
	if v.kind == KindInt || v.kind == KindBool {
		return int64(v.bits)
	}
	return 0
}

// Bool returns the truth held by a bool, else false.
func (v Value) Bool() bool { return v.kind == KindBool && v.bits == 1 }

// Text returns the text or the raw bytes held, else "".
func (v Value) Text() string { return v.text }

// String returns the value for people: numbers with every digit, bytes in
// hexadecimal, no value as "null".
func (v Value) String() string {
	switch v.kind {
	case KindFloat:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case KindInt:
		return strconv.FormatInt(v.Int(), 10)
	case KindBool:
		return strconv.FormatBool(v.Bool())
	case KindText:
		return v.text
	case KindBytes:
		return fmt.Sprintf("%X", v.text)
	}
	return "null"
}

// Quality says how far a value may be trusted.
type Quality uint8

// The qualities. Only QualityLive is a plain current reading.
const (
	QualityLive        Quality = iota
	QualityStale               // older than its source promises
	QualityAsleep              // the ECU did not answer: bus quiet or ignition off
	QualityUnsupported         // the ECU says it has no such value
	QualityDoubtful            // outside its declared range, or contradicted
	QualityReadTime            // good value, but stamped when read: the kernel's stamp was unusable
)

var qualityNames = [...]string{"live", "stale", "asleep", "unsupported", "doubtful", "read-time"}

// String returns the quality as it stands in JSON.
func (q Quality) String() string {
	if int(q) < len(qualityNames) {
		return qualityNames[q]
	}
	return "quality-" + strconv.Itoa(int(q))
}

// ParseQuality is the inverse of String for the known qualities.
func ParseQuality(s string) (Quality, error) {
	for i, n := range qualityNames {
		if n == s {
			return Quality(i), nil
		}
	}
	return 0, fmt.Errorf("parse quality %q: unknown", s)
}

// Source says who spoke: a bus and the ECU address or PGN on it and the
// method, or a receiver, or a camera. Two ECUs answering the same PID are two
// sources.
type Source struct {
	Bus     string // "can0", "gps", "obu", a camera's name
	Address string // "7E8", "18DAF110", "" when the bus has only one speaker
	Method  string // "obd", "dbc", "j1939", "uds", "nmea", "stat"
}

// String returns bus/address/method without empty parts.
func (s Source) String() string {
	out := s.Bus
	for _, p := range [...]string{s.Address, s.Method} {
		if p != "" {
			out += "/" + p
		}
	}
	return out
}

// Sample is one value of one signal from one source at one time.
type Sample struct {
	At      At
	Signal  *Signal
	Source  Source
	Value   Value
	Quality Quality
}
