package telemetry

import (
	"math"
	"strings"
	"time"
)

const msec = int64(time.Millisecond)

// Round returns a rounded to the millisecond that samples and fixes carry on
// disk and on the wire; halves go up. Rounding twice changes nothing.
func (a At) Round() At { return At(a.millis() * msec) }

// millis returns a in whole milliseconds, rounded, such that the result can
// be turned back without overflow.
func (a At) millis() int64 {
	const most = math.MaxInt64 / msec
	ms := int64(a) / msec
	switch r := int64(a) % msec; {
	case r >= msec/2:
		ms++
	case r < -msec/2:
		ms--
	}
	return max(-most, min(ms, most))
}

func atMillis(ms int64) At {
	const most = math.MaxInt64 / msec
	return At(max(-most, min(ms, most)) * msec)
}

// The range of wall times that can be written as nanoseconds since 1970.
var (
	minWall = time.Unix(0, math.MinInt64)
	maxWall = time.Unix(0, math.MaxInt64)
)

// wallNanos returns t as nanoseconds since 1970, and false for the zero time
// and for times outside 1678-2262, which travel as unknown.
func wallNanos(t time.Time) (int64, bool) {
	if t.IsZero() || t.Before(minWall) || t.After(maxWall) {
		return 0, false
	}
	return t.UnixNano(), true
}

// wallMillis is wallNanos in milliseconds, rounded down.
func wallMillis(t time.Time) (int64, bool) {
	if _, ok := wallNanos(t); !ok {
		return 0, false
	}
	return t.UnixMilli(), true
}

func fromNanos(ns int64) time.Time { return time.Unix(0, ns).UTC() }

func fromMillis(ms int64) time.Time {
	const most = math.MaxInt64 / msec
	return time.UnixMilli(max(-most, min(ms, most))).UTC()
}

// known maps infinities to NaN: neither is a number a receiver can mean.
func known(f float64) (float64, bool) {
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// utf8 returns s with every invalid byte replaced, as protobuf and JSON want.
func utf8(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
