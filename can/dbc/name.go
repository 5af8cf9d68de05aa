package dbc

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"

	"obu/telemetry"
)

// Name says under which path of VSS a signal of a file goes on.
type Name struct {
	Signal string // Message.Signal
	Path   string
	Unit   string // of the path, where the agent does not know it; ""
	From   string // what the file's numbers are in, where it does not say; ""
}

// ErrName is wrapped by what Apply refuses. Cure: in its text.
var ErrName = errors.New("a signal cannot have this name")

// target is what a Name makes of a signal.
type target struct {
	signal telemetry.Signal
	known  bool // the path's datatype is
	by     telemetry.Conversion
}

// Apply names a signal of a File that is not compiled yet. The numbers are
// converted to the unit of the path; found is false when the file has no such
// signal.
func (f *File) Apply(n Name) (found bool, err error) {
	m, s := f.find(n.Signal)
	if s == nil {
		return false, nil
	}
	refuse := func(what, cure string) (bool, error) {
		return true, fmt.Errorf("%w: %s as %s: %s; %s", ErrName, n.Signal, n.Path, what, cure)
	}
	t := target{by: telemetry.Conversion{Num: 1, Den: 1}}
	t.signal, t.known = telemetry.Declared(n.Path)
	if !t.known {
		t.signal = telemetry.Signal{Name: n.Path, Unit: telemetry.UnitName(n.Unit), Level: telemetry.LevelDynamic}
	} else if n.Unit != "" && telemetry.UnitName(n.Unit) != t.signal.Unit {
		return refuse("the path is in "+orNone(t.signal.Unit), "remove `unit`")
	}
	from := n.From
	if from == "" {
		from = s.Unit
	}
	switch {
	case t.signal.Unit == "" && t.known:
		if telemetry.KnownUnit(from) {
			return refuse("its numbers are in "+from+" and the path has no unit", "choose another path")
		}
	case t.signal.Unit == "":
		t.signal.Unit = telemetry.UnitName(from)
	default:
		switch t.by, err = telemetry.Convert(from, t.signal.Unit); {
		case from == "":
			return refuse("the file does not say in which unit it is, and the path is in "+t.signal.Unit, "add `from`, for example from: "+t.signal.Unit)
		case errors.Is(err, telemetry.ErrUnit):
			if n.From != "" && !telemetry.KnownUnit(from) {
				return refuse("`from`: "+from+" is no unit that is known", "write the file's one as VSS does, or usual: "+t.signal.Unit+" as the path has it, mph, degF, psi")
			}
			return refuse("nothing converts "+from+" to "+t.signal.Unit, "say with `from` in which unit the file's numbers are")
		case err != nil:
			return refuse(from+" does not fit "+t.signal.Unit, "choose another path, or say with `from` what the file's numbers are in")
		}
	}
	s.target = &t
	if what, cure := s.unfit(m); what != "" {
		s.target = nil
		return refuse(what, cure)
	}
	return true, nil
}

func orNone(unit string) string {
	if unit == "" {
		return "no unit"
	}
	return unit
}

// find returns a signal by Message.Signal.
func (f *File) find(name string) (*Message, *Signal) {
	message, signal, _ := strings.Cut(name, ".")
	for _, m := range f.Messages {
		if m.Name != message {
			continue
		}
		for _, s := range m.Signals {
			if s.Name == signal {
				return m, s
			}
		}
	}
	return nil, nil
}

// unfit says why the values of a signal are not of its path's datatype: a path
// of whole numbers takes no fractions, one of true and false no third word.
func (s *Signal) unfit(m *Message) (what, cure string) {
	const own = "leave it under its own name, or under a path of Vehicle.Obu"
	if !s.target.known {
		return "", ""
	}
	a, b, den, exact := s.scaled()
	switch s.target.signal.Kind {
	case telemetry.KindFloat:
		return "", ""
	case telemetry.KindInt:
		if _, fits := largest(s, a, b); s.Float || !exact || den != 1 || !fits {
			return "the path has whole numbers and the signal has fractions", own
		}
		return "", ""
	case telemetry.KindBool:
		switch plain := !s.Float && !s.Signed && exact && a == 1 && b == 0 && den == 1; {
		case plain && (s.Length == 1 || s.Length == 2 && m.J1939):
			return "", ""
		case plain:
			return fmt.Sprintf("the path is true or false and the signal has %d bits", s.Length), own
		}
	}
	return "the path is no number, or true or false where the signal is a number", own
}

// scaled returns the whole numbers of (raw*a + b) / den, in the unit of the
// path a signal is named for; false where 63 bits do not hold them.
func (s *Signal) scaled() (a, b, den int64, ok bool) {
	a, b, den, ok = common(s.factor, s.offset)
	if s.target == nil || !ok || s.target.by.Same() {
		return a, b, den, ok
	}
	c := s.target.by
	shift, ok1 := times(c.Add, den)
	a, ok2 := times(a, c.Num)
	b, ok3 := times(b, c.Num)
	den, ok4 := times(den, c.Den)
	if !ok1 || !ok2 || !ok3 || !ok4 || magnitude(shift) > math.MaxInt64/2 || magnitude(b) > math.MaxInt64/2 {
		return 0, 0, 0, false
	}
	b += shift
	g := gcd(gcd(a, b), den)
	return a / g, b / g, den / g, true
}

func times(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	return a * b, hi == 0 && lo <= math.MaxInt64
}

// near returns factor and offset as doubles, in the unit of the path.
func (s *Signal) near() (factor, offset float64) {
	factor, offset = s.factor.near, s.offset.near
	if s.target != nil && !s.target.by.Same() {
		c := s.target.by
		num, den := float64(c.Num), float64(c.Den)
		return factor * num / den, (float64(offset*num) + float64(c.Add)) / den
	}
	return factor, offset
}
