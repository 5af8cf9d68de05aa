package telemetry

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// seconds is a time or a duration in JSON: a decimal number of seconds with
// as many digits as it needs, up to nanoseconds.
type seconds int64

// MarshalJSON writes every digit and no exponent.
func (s seconds) MarshalJSON() ([]byte, error) {
	var b []byte
	abs := uint64(s)
	if s < 0 {
		b, abs = append(b, '-'), -abs
	}
	b = strconv.AppendUint(b, abs/uint64(time.Second), 10)
	if frac := abs % uint64(time.Second); frac != 0 {
		b = append(b, '.')
		b = append(b, strings.TrimRight(fmt.Sprintf("%09d", frac), "0")...)
	}
	return b, nil
}

// UnmarshalJSON reads a decimal number exactly; digits beyond nanoseconds are
// refused.
func (s *seconds) UnmarshalJSON(b []byte) error {
	text := string(b)
	if text == "null" {
		return nil
	}
	whole, frac, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if len(frac) > 9 {
		return fmt.Errorf("read seconds %.40q: more than 9 decimals", text)
	}
	ns, err := strconv.ParseInt(whole+frac+"000000000"[len(frac):], 10, 64)
	if strings.HasPrefix(text, "-") {
		ns, err = strconv.ParseInt("-"+whole+frac+"000000000"[len(frac):], 10, 64)
	}
	if err != nil {
		return fmt.Errorf("read seconds %.40q: want a decimal number", text)
	}
	*s = seconds(ns)
	return nil
}

// number is a float that may be unknown: NaN is null.
type number float64

// MarshalJSON writes the shortest digits that read back as the same number.
func (n number) MarshalJSON() ([]byte, error) {
	if f, ok := known(float64(n)); ok {
		return appendFloat(nil, f), nil
	}
	return []byte("null"), nil
}

// UnmarshalJSON reads null as NaN.
func (n *number) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*n = number(math.NaN())
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("read number %.40q: %w", b, err)
	}
	*n = number(f)
	return nil
}

// appendFloat appends the shortest exact digits, without an exponent where a
// person would not write one.
func appendFloat(b []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-9 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, 64)
}

// wallJSON is a wall time: RFC 3339 in UTC, the zero time is null.
type wallJSON time.Time

// MarshalJSON writes as many digits of the second as there are.
func (w wallJSON) MarshalJSON() ([]byte, error) {
	if _, ok := wallNanos(time.Time(w)); !ok {
		return []byte("null"), nil
	}
	return json.Marshal(time.Time(w).UTC().Format(time.RFC3339Nano))
}

// UnmarshalJSON reads null as the zero time.
func (w *wallJSON) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*w = wallJSON{}
		return nil
	}
	var t time.Time
	if err := json.Unmarshal(b, &t); err != nil {
		return fmt.Errorf("read time: %w", err)
	}
	*w = wallJSON(t.UTC())
	return nil
}

// many is an array of at most maxElements, so that a short payload of
// many empty objects cannot claim much memory.
type many[T any] []T

// UnmarshalJSON reads element by element.
func (m *many[T]) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('[') {
		return fmt.Errorf("read array: %w", ErrMalformed)
	}
	for dec.More() {
		if len(*m) >= maxElements {
			return fmt.Errorf("read array of more than %d elements: %w", maxElements, ErrTooLarge)
		}
		var v T
		if err := dec.Decode(&v); err != nil {
			return err
		}
		*m = append(*m, v)
	}
	return nil
}

// MarshalText and UnmarshalText let identifiers stand in JSON as they are
// printed.

// MarshalText writes 32 hexadecimal digits.
func (b BootID) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (b *BootID) UnmarshalText(p []byte) error { return parseHex(b[:], string(p)) }

// MarshalText writes 16 hexadecimal digits.
func (s StoreID) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *StoreID) UnmarshalText(p []byte) error { return parseHex(s[:], string(p)) }

// MarshalText writes 32 hexadecimal digits.
func (c ClipID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (c *ClipID) UnmarshalText(p []byte) error { return parseHex(c[:], string(p)) }

// MarshalText writes the name of the class.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads the name of a class; "class-9" is one of a newer version.
func (c *Class) UnmarshalText(p []byte) error {
	known, err := ParseClass(string(p))
	if err == nil {
		*c = known
		return nil
	}
	n, ok := numbered(string(p), "class-")
	if !ok {
		return err
	}
	*c = Class(n)
	return nil
}

// MarshalText writes the name of the quality.
func (q Quality) MarshalText() ([]byte, error) { return []byte(q.String()), nil }

// UnmarshalText reads the name of a quality; "quality-9" is one of a newer
// version.
func (q *Quality) UnmarshalText(p []byte) error {
	known, err := ParseQuality(string(p))
	if err == nil {
		*q = known
		return nil
	}
	n, ok := numbered(string(p), "quality-")
	if !ok {
		return err
	}
	*q = Quality(n)
	return nil
}

// MarshalText writes the name of the kind.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name of a kind; "kind-9" is one of a newer version.
func (k *Kind) UnmarshalText(p []byte) error {
	for i, name := range kindNames {
		if name == string(p) {
			*k = Kind(i)
			return nil
		}
	}
	n, ok := numbered(string(p), "kind-")
	if !ok {
		return fmt.Errorf("parse kind %.40q: unknown", p)
	}
	*k = Kind(n)
	return nil
}

var levelNames = [...]string{"core", "overlay", "obu", "dynamic"}

// String returns the level as it stands in JSON.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "level-" + strconv.Itoa(int(l))
}

// MarshalText writes the name of the level.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the name of a level; "level-9" is one of a newer version.
func (l *Level) UnmarshalText(p []byte) error {
	for i, name := range levelNames {
		if name == string(p) {
			*l = Level(i)
			return nil
		}
	}
	n, ok := numbered(string(p), "level-")
	if !ok {
		return fmt.Errorf("parse level %.40q: unknown", p)
	}
	*l = Level(n)
	return nil
}

// numbered reads the number behind a prefix.
func numbered(s, prefix string) (uint8, bool) {
	digits, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.ParseUint(digits, 10, 8)
	return uint8(n), ok && err == nil
}

// hash is a SHA-256 in JSON.
type hash [32]byte

// MarshalText writes 64 hexadecimal digits.
func (h hash) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText is the inverse of MarshalText.
func (h *hash) UnmarshalText(p []byte) error { return parseHex(h[:], string(p)) }
