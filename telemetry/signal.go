package telemetry

import "math"

// VSSVersion is the release of the COVESA Vehicle Signal Specification whose
// paths the signal names are; overlay paths are of the same release's
// overlays/extensions/OBD.
const VSSVersion = "6.0"

// Step is the resolution of a signal as a fraction: every reading is a whole
// number of steps, n*Num/Den in the signal's unit. The zero Step means
// unknown: values then travel as doubles. It is a fraction because SAE J1979
// percentages are 100/255 and no decimal is.
type Step struct {
	Num, Den int64
}

// IsZero reports whether no resolution is declared.
func (s Step) IsZero() bool { return s.Num == 0 || s.Den == 0 }

// Value returns n steps in the signal's unit. Decoders of sensors use it, so
// that encoder and decoder agree to the last bit.
func (s Step) Value(n int64) float64 { return float64(n*s.Num) / float64(s.Den) }

// Steps returns the whole number of steps that is v, and whether v is exactly
// that many: Value(n) == v.
func (s Step) Steps(v float64) (n int64, exact bool) {
	if s.IsZero() {
		return 0, false
	}
	r := math.Round(v * float64(s.Den) / float64(s.Num))
	if !(math.Abs(r) < 1<<52/math.Max(1, math.Abs(float64(s.Num)))) {
		return 0, false
	}
	n = int64(r)
	return n, s.Value(n) == v && !(v == 0 && math.Signbit(v))
}

// Level says which catalogue a signal's path comes from.
type Level uint8

// The catalogues, in the order of preference.
const (
	LevelCore    Level = iota // VSS core tree
	LevelOverlay              // Vehicle.OBD.*, the overlay that left the core tree in VSS 6.0
	LevelObu                  // Vehicle.Obu.*, ours
	LevelDynamic              // not in the table: a DBC signal, or a name of a newer version
)

// Signal declares one quantity: its name, unit, datatype, resolution and
// range. Signals are compared by Name. Those of the table are shared and must
// not be modified.
type Signal struct {
	Name  string  // VSS path, or Message.Signal of a DBC
	Unit  string  // VSS unit; "" for none
	Kind  Kind    // datatype of its values
	Step  Step    // resolution of float signals
	Min   float64 // physical range; Min == Max means undeclared
	Max   float64
	Level Level
}

// InRange reports whether v lies in the declared range, if one is declared.
func (s *Signal) InRange(v float64) bool { return s.Min == s.Max || s.Min <= v && v <= s.Max }

// Lookup returns the signal of the table with that VSS path.
func Lookup(name string) (*Signal, bool) {
	s, ok := signalByName[name]
	return s, ok
}

// Signals returns the whole table in order of declaration.
func Signals() []*Signal {
	out := make([]*Signal, 0, len(signalIDs))
	for _, t := range signalTables() {
		for i := range t {
			out = append(out, &t[i])
		}
	}
	return out
}

func signalTables() [4][]Signal {
	return [...][]Signal{obdSignals, obuSignals, sensorSignals, exhaustSignals}
}

var signalByName = func() map[string]*Signal {
	m := make(map[string]*Signal, len(signalIDs))
	for _, t := range signalTables() {
		for i := range t {
			m[t[i].Name] = &t[i]
		}
	}
	return m
}()
