package can

import (
	"bytes"
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

// parseStamp reads seconds with up to nine decimals.
func parseStamp(s []byte) (Stamp, bool) {
	whole, frac, point := s, []byte(nil), bytes.IndexByte(s, '.')
	if point >= 0 {
		whole, frac = s[:point], s[point+1:]
	}
	if len(whole) == 0 || len(whole) > 10 || len(frac) > 9 || point >= 0 && len(frac) == 0 {
		return Stamp{}, false
	}
	var n int64
	for _, c := range whole {
		if c < '0' || c > '9' {
			return Stamp{}, false
		}
		n = n*10 + int64(c-'0')
	}
	if n >= maxLogSeconds {
		return Stamp{}, false
	}
	for i := range 9 {
		n *= 10
		if i < len(frac) {
			c := frac[i]
			if c < '0' || c > '9' {
				return Stamp{}, false
			}
			n += int64(c - '0')
		}
	}
	return Stamp{n, uint8(len(frac))}, true
}

// maxLogSeconds is the year 2262, where nanoseconds since 1970 end.
const maxLogSeconds = 1<<63/1_000_000_000 - 1
