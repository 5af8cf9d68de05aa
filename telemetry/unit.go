package telemetry

import (
	"errors"
	"strings"
)

// Conversion turns numbers of one unit into those of another:
// (v*Num + Add) / Den, in whole numbers so that decimal factors stay exact. The
// zero Conversion leaves numbers as they are.
type Conversion struct{ Num, Add, Den int64 }

// Same reports whether numbers stay as they are.
func (c Conversion) Same() bool { return c.Num == c.Den && c.Add == 0 }

// What Convert refuses.
var (
	// ErrUnit: a word that stands for no unit that is known. Cure: another
	// spelling, as VSS has it (km/h, Celsius, percent).
	ErrUnit = errors.New("unknown unit")
	// ErrQuantity: units of two quantities, such as V and km/h.
	ErrQuantity = errors.New("units of different quantities")
)

// unit is one measure: base = (v*num + add) / den, of the first unit of its
// quantity. The first of its words is that of VSS.
type unit struct {
	words         string
	num, add, den int64
}

// units holds the measures of a vehicle, a quantity a line. gal is that of the
// USA, as is its mile.
var units = [...][]unit{
	{{"km/h kph kmh kmph", 1, 0, 1}, {"m/s mps", 18, 0, 5}, {"mph mi/h", 1609344, 0, 1e6}, {"kn knots knot kt", 1852, 0, 1000}, {"cm/s", 9, 0, 250}, {"mm/s", 9, 0, 2500}},
	{{"Celsius degC °C C", 1, 0, 1}, {"K Kelvin", 100, -27315, 100}, {"Fahrenheit degF °F F", 5, -160, 9}},
	{{"Pa", 1, 0, 1}, {"kPa", 1000, 0, 1}, {"hPa", 100, 0, 1}, {"mbar", 100, 0, 1}, {"bar", 100000, 0, 1}, {"MPa", 1e6, 0, 1}, {"psi lbf/in2", 6894757293168, 0, 1e9}, {"inHg", 3386389, 0, 1000}},
	{{"V Volt Volts", 1, 0, 1}, {"mV", 1, 0, 1000}, {"kV", 1000, 0, 1}},
	{{"A Amp Amps Ampere", 1, 0, 1}, {"mA", 1, 0, 1000}},
	{{"W Watt", 1, 0, 1}, {"kW", 1000, 0, 1}, {"PS", 73549875, 0, 1e5}, {"hp", 745699872, 0, 1e6}},
	{{"Wh", 1, 0, 1}, {"kWh", 1000, 0, 1}, {"kJ", 5, 0, 18}, {"MJ", 2500, 0, 9}},
	{{"Ah", 1, 0, 1}, {"mAh", 1, 0, 1000}},
	{{"m meter metre", 1, 0, 1}, {"km", 1000, 0, 1}, {"mm", 1, 0, 1000}, {"cm", 1, 0, 100}, {"mi mile miles", 1609344, 0, 1000}, {"ft feet", 3048, 0, 10000}, {"inch in", 254, 0, 10000}},
	{{"l liter litre liters litres", 1, 0, 1}, {"ml", 1, 0, 1000}, {"gal gallon gallons", 3785411784, 0, 1e9}},
	{{"percent % pct", 1, 0, 1}, {"ratio", 100, 0, 1}, {"‰ permille", 1, 0, 10}},
	{{"s sec second seconds", 1, 0, 1}, {"ms msec", 1, 0, 1000}, {"us µs usec", 1, 0, 1e6}, {"min minute minutes", 60, 0, 1}, {"h hr hour hours", 3600, 0, 1}, {"day days d", 86400, 0, 1}},
	{{"rpm 1/min /min r/min rev/min U/min", 1, 0, 1}, {"Hz 1/s", 60, 0, 1}},
	{{"degrees deg degree °", 1, 0, 1}, {"rad", 180e9, 0, 3141592654}},
	{{"degrees/s deg/s °/s", 1, 0, 1}, {"rad/s", 180e9, 0, 3141592654}},
	{{"m/s^2 m/s2 m/s² m/s/s m/ss", 1, 0, 1}, {"g gn", 980665, 0, 1e5}},
	{{"Nm N.m N*m N-m", 1, 0, 1}, {"lb-ft lbft ft-lb lbf.ft", 13558179483, 0, 1e10}},
	{{"kg", 1, 0, 1}, {"lb lbs", 45359237, 0, 1e8}, {"t", 1000, 0, 1}},
	{{"g/s", 1, 0, 1}, {"kg/h", 5, 0, 18}, {"lb/min", 45359237, 0, 6e6}},
	{{"l/h", 1, 0, 1}, {"l/min", 60, 0, 1}, {"gal/h gph", 3785411784, 0, 1e9}},
	{{"l/100km", 1, 0, 1}},
	{{"km/l", 1, 0, 1}, {"mpg", 1609344 * 125, 0, 473176473}},
	{{"ppm", 1, 0, 1}},
	{{"bytes byte", 1, 0, 1}},
	{{"N Newton", 1, 0, 1}, {"kN", 1000, 0, 1}},
}

// findUnit returns the quantity and the measure that a word stands for. Case
// counts where both spellings are there: mA and MA.
func findUnit(word string) (quantity int, u *unit) {
	word = strings.NewReplacer(" ", "", "_", "", "º", "°").Replace(word)
	for _, same := range [...]func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		for q := range units {
			for i := range units[q] {
				for w := range strings.FieldsSeq(units[q][i].words) {
					if same(w, word) {
						return q, &units[q][i]
					}
				}
			}
		}
	}
	return 0, nil
}

// UnitName returns a unit in the word of VSS, or as it is when it is not known.
func UnitName(word string) string {
	if _, u := findUnit(word); u != nil {
		name, _, _ := strings.Cut(u.words, " ")
		return name
	}
	return word
}

// KnownUnit reports whether a word stands for a unit.
func KnownUnit(word string) bool { _, u := findUnit(word); return u != nil }

// Convert returns how numbers of one unit become those of another. The error is
// ErrUnit or ErrQuantity.
func Convert(from, to string) (Conversion, error) {
	if from == to {
		return Conversion{1, 0, 1}, nil
	}
	q, a := findUnit(from)
	p, b := findUnit(to)
	switch {
	case a == nil || b == nil:
		return Conversion{}, ErrUnit
	case p != q:
		return Conversion{}, ErrQuantity
	}
	// base = (v*a.num + a.add)/a.den, and it is (w*b.num + b.add)/b.den
	n, d := divisor(a.num, b.num), divisor(a.den, b.den)
	c := Conversion{a.num / n * (b.den / d), (a.add*b.den - b.add*a.den) / (n * d), a.den / d * (b.num / n)}
	g := divisor(divisor(c.Num, c.Add), c.Den)
	return Conversion{c.Num / g, c.Add / g, c.Den / g}, nil
}

func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}
