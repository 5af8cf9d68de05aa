package dbc

import (
	"math"
	"math/bits"
	"strconv"
)

// decimal is a number of a file: exactly num/10^places where that fits, and
// the nearest double in any case.
type decimal struct {
	num    int64
	places int
	exact  bool
	near   float64
}

// maxPlaces is where ten to the power no longer fits 63 bits.
const maxPlaces = 18

// parseDecimal reads a number as DBC files have it: sign, decimals, exponent.
func parseDecimal(text string) (decimal, bool) {
	near, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(near, 0) || math.IsNaN(near) {
		return decimal{}, false
	}
	d := decimal{near: near}
	var n uint64
	places, i, negative := 0, 0, false
	if text[0] == '-' || text[0] == '+' {
		negative, i = text[0] == '-', 1
	}
	point := false
	for ; i < len(text); i++ {
		c := text[i]
		if c == '.' {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		hi, lo := bits.Mul64(n, 10)
		if hi != 0 || lo > math.MaxInt64-9 {
			return d, true
		}
		n = lo + uint64(c-'0')
		if point {
			places++
		}
	}
	if i < len(text) {
		if c := text[i]; c != 'e' && c != 'E' {
			return d, true // hexadecimal and the like: the double has it
		}
		e, err := strconv.Atoi(text[i+1:])
		if err != nil || e < -400 || e > 400 {
			return d, true
		}
		places -= e
	}
	for places > 0 && n%10 == 0 {
		n, places = n/10, places-1
		if n == 0 {
			places = 0
		}
	}
	for ; places < 0 && n != 0; places++ {
		hi, lo := bits.Mul64(n, 10)
		if hi != 0 || lo > math.MaxInt64 {
			return d, true
		}
		n = lo
	}
	if places > maxPlaces {
		return d, true
	}
	d.num, d.places, d.exact = int64(n), max(places, 0), true
	if negative {
		d.num = -d.num
	}
	return d, true
}

// common brings two exact decimals to one denominator and reduces the three
// numbers: a/den and b/den.
func common(x, y decimal) (a, b, den int64, ok bool) {
	if !x.exact || !y.exact {
		return 0, 0, 0, false
	}
	places := max(x.places, y.places)
	a, okA := timesTen(x.num, places-x.places)
	b, okB := timesTen(y.num, places-y.places)
	den, okDen := timesTen(1, places)
	if !okA || !okB || !okDen {
		return 0, 0, 0, false
	}
	g := gcd(gcd(a, b), den)
	return a / g, b / g, den / g, true
}

func timesTen(n int64, times int) (int64, bool) {
	for range times {
		if n > math.MaxInt64/10 || n < -math.MaxInt64/10 {
			return 0, false
		}
		n *= 10
	}
	return n, true
}

// gcd returns the greatest common divisor, not negative.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	if a < 0 {
		return -a
	}
	return a
}
