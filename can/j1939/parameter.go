package j1939

import (
	"sort"

	"obu/telemetry"
)

// Parameters is how many suspect parameters Read knows; Reading.Number lies
// below it.
const Parameters = len(rows)

// Reading is one thing a message says.
type Reading struct {
	Number  int    // of the parameter; -1 for facts of Describe
	SPN     uint32 // 0 for facts
	Signal  *telemetry.Signal
	Value   telemetry.Value
	Quality telemetry.Quality
}

// Absent counts parameters that came without a value (J1939-71 clause 5.1.2).
type Absent struct {
	Missing uint64 // not available: every bit is set
	Failed  uint64 // the sender says that its sensor or switch is in error
	Special uint64 // FB to FD: reserved, or a word of this parameter alone
	Short   uint64 // beyond the received length
}

// Read appends the parameters a message of a group brings, and counts those
// that came without a value.
func Read(dst []Reading, pgn PGN, p []byte, a *Absent) []Reading {
	for i := sort.Search(len(rows), func(i int) bool { return rows[i].pgn >= pgn }); i < len(rows) && rows[i].pgn == pgn; i++ {
		r := &rows[i]
		if r.axle > 0 && (len(p) == 0 || p[0]>>4 != r.axle-1) {
			continue
		}
		raw, ok := r.raw(p)
		if !ok {
			a.Short++
			continue
		}
		if !r.valid(raw, a) {
			continue
		}
		dst = append(dst, Reading{Number: i, SPN: uint32(r.spn), Signal: &signals[i], Value: r.value(raw, &signals[i])})
	}
	return dst
}

// raw takes the bits of a parameter; it reports whether they were received.
func (r *row) raw(p []byte) (raw uint32, ok bool) {
	first, last := int(r.bit/8), int(r.bit+r.size-1)/8
	if last >= len(p) {
		return 0, false
	}
	for i := last; i >= first; i-- {
		raw = raw<<8 | uint32(p[i])
	}
	return raw >> (r.bit % 8) & (1<<r.size - 1), true
}

// spnSelectedGear has one word of its own among the special ones: FB is park, and
// with the scale of the group that is 126, as in VSS.
const spnSelectedGear = 524

// valid tells a value from the words that stand for none.
func (r *row) valid(raw uint32, a *Absent) bool {
	top, special := uint32(1)<<r.size-1, uint32(1)<<r.size-2
	if r.size >= 8 {
		raw >>= r.size - 8
		top, special = 0xFF, 0xFB
	}
	switch {
	case raw < special || raw == special && r.spn == spnSelectedGear:
		return true
	case raw == top:
		a.Missing++
	case raw == top-1:
		a.Failed++
	default:
		a.Special++
	}
	return false
}

func (r *row) value(raw uint32, s *telemetry.Signal) telemetry.Value {
	switch s.Kind {
	case telemetry.KindFloat:
		return telemetry.Float(s.Step.Value(int64(raw) + int64(r.offset)))
	case telemetry.KindBool:
		return telemetry.Bool(raw == 1)
	}
	return telemetry.Int(int64(raw)*int64(r.num) + int64(r.offset))
}

// Signal returns the signal of a parameter by its number.
func Signal(number int) *telemetry.Signal { return &signals[number] }
