package canlog

import (
	"strconv"
	"time"
)

// Stamp is the time of a recorded frame as the log prints it: seconds since
// 1970 (or since the recording began), with the digits it had.
type Stamp struct {
	Nanos  int64
	Digits uint8 // behind the decimal point, 0-9
}

// String returns the stamp with the digits of the log: "1725695599.863200".
func (s Stamp) String() string { return string(s.Append(nil)) }

// Append appends String to b. It is a JSON number.
func (s Stamp) Append(b []byte) []byte {
	b = strconv.AppendInt(b, s.Nanos/1e9, 10)
	if s.Digits == 0 {
		return b
	}
	frac := strconv.AppendInt(nil, s.Nanos%1e9+1e9, 10) // 1 and nine digits
	b = append(b, '.')
	return append(b, frac[1:1+min(s.Digits, 9)]...)
}

// Time returns the stamp as wall time, UTC.
func (s Stamp) Time() time.Time { return time.Unix(0, s.Nanos).UTC() }

// parseUnits reads a decimal number of seconds, or of units that are shift
// decimals less, as a time down to the nanosecond.
func parseUnits(s []byte, shift int) (Stamp, bool) {
	var n int64
	frac := -1 // digits behind the point
	for _, c := range s {
		switch {
		case c == '.' && frac < 0 && len(s) > 1 && s[0] != '.':
			frac = 0
			continue
		case c < '0' || c > '9' || n > (1<<63-10)/10:
			return Stamp{}, false
		case frac >= 0:
			frac++
		}
		n = n*10 + int64(c-'0')
	}
	if len(s) == 0 || frac == 0 || frac+shift > 9 {
		return Stamp{}, false
	}
	frac = max(frac, 0) + shift
	for range 9 - frac {
		if n > maxLogSeconds*1e9/10 {
			return Stamp{}, false
		}
		n *= 10
	}
	return Stamp{n, uint8(frac)}, n < maxLogSeconds*1e9
}

// maxLogSeconds is the year 2262, where nanoseconds since 1970 end.
const maxLogSeconds = 1<<63/1_000_000_000 - 1
