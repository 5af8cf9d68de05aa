package canlog

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"obu/can/frame"
)

// What follows is called from many places, rarely for candump's lines: the
// size of the program counts more than the call.

var errShort = fmt.Errorf("%w: it ends too early", ErrLine)

// badField says which part of a line is wrong.
//
//go:noinline
func badField(what string, text []byte) error {
	return fmt.Errorf("%w: %s %q", ErrLine, what, clip(text))
}

// clip bounds what of the input is repeated in messages and names.
//
//go:noinline
func clip(b []byte) []byte { return b[:min(len(b), 40)] }

// name keeps one string for each interface.
func (l *Reader) name(b []byte) string {
	if s, ok := l.ifaces[string(b)]; ok {
		return s
	}
	s := string(clip(b))
	if len(l.ifaces) < MaxInterfaces {
		l.ifaces[s] = s
	}
	return s
}

// bus names the interface of a log that numbers them.
func (l *Reader) bus(e *Entry, number []byte) bool {
	if _, ok := parseNumber(number, 10, 999); !ok {
		return false
	}
	var b [8]byte
	e.Interface = l.name(append(append(b[:0], "can"...), number...))
	return true
}

// maxWords bounds the words of a line that are told apart: 64 data bytes and
// what Vector writes around them.
const maxWords = 100

// split returns the words of a line between blanks, or separators, where sep is one; valid until the next call.
func (l *Reader) split(line []byte, sep byte) [][]byte {
	l.words = l.words[:0]
	for len(line) > 0 && len(l.words) < maxWords {
		var w []byte
		if sep == ' ' {
			w, line = word(line)
			if len(w) == 0 {
				break
			}
		} else {
			i := 0
			for i < len(line) && line[i] != sep && line[i] != ' ' {
				i++
			}
			w, line = line[:i], line[min(i+1, len(line)):]
		}
		l.words = append(l.words, w)
	}
	return l.words
}

// word returns the first word of s and what is behind it.
//
//go:noinline
func word(s []byte) (w, rest []byte) {
	s = bytes.TrimLeft(s, " \t")
	if i := bytes.IndexAny(s, " \t"); i >= 0 {
		return s[:i], bytes.TrimLeft(s[i:], " \t")
	}
	return s, nil
}

// parseNumber reads a number of base 10 or 16, with or without 0x.
//
//go:noinline
func parseNumber(s []byte, base, most uint32) (uint32, bool) {
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	n := uint64(0)
	for _, c := range s {
		d := unhex[c]
		if uint32(d) >= base {
			return 0, false
		}
		if n = n*uint64(base) + uint64(d); n > uint64(most) {
			return 0, false
		}
	}
	return uint32(n), len(s) > 0
}

// radix is the base of identifiers and data.
func (l *Reader) radix() uint32 {
	if l.head.decimal {
		return 10
	}
	return 16
}

// identify reads an identifier; above 11 bits it is an extended one.
func (l *Reader) identify(e *Entry, s []byte) bool {
	id, ok := parseNumber(s, l.radix(), frame.MaskExtended)
	e.ID, e.Extended = id, id > frame.MaskStandard
	return ok
}

// fill takes the first n words as data and checks the frame. What has more
// than 8 bytes is CAN FD.
func (l *Reader) fill(e *Entry, words [][]byte, n int) error {
	switch {
	case e.Remote:
		e.Len = uint8(n)
	case len(words) < n:
		return errShort
	case n > len(e.Data):
		return badField("65th data byte", words[64])
	default:
		for i, w := range words[:n] {
			v, ok := parseNumber(w, l.radix(), 0xFF)
			if !ok {
				return badField("data byte", w)
			}
			e.Data[i] = byte(v)
		}
		e.Len, e.FD = uint8(n), e.FD || n > 8
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrLine, err)
	}
	return nil
}

// busError is an error frame of a log that tells no class: CAN_ERR_PROT and
// CAN_ERR_BUSERROR of linux/can/error.h.
var busError = frame.Frame{ID: 0x88, Error: true, Len: 8}

// stamp reads a time with shift decimals less than seconds: 3 in ms, 6 in µs.
func (l *Reader) stamp(e *Entry, s []byte, shift int) bool {
	t, ok := parseUnits(s, shift)
	return ok && l.setTime(e, t)
}

// setTime makes the time of a line one of the log.
func (l *Reader) setTime(e *Entry, t Stamp) bool {
	h := &l.head
	if h.relative {
		h.last = min(h.last+t.Nanos, maxLogSeconds*1e9/2)
		t.Nanos = h.last
	}
	if t.Nanos > maxLogSeconds*1e9-h.start.Nanos {
		return false
	}
	e.Stamp = Stamp{h.start.Nanos + t.Nanos, max(t.Digits, h.start.Digits)}
	return true
}

// numbers returns the whole numbers in a text, 8 at most.
func numbers(s []byte) (list [8]int, n int) {
	for i := 0; i < len(s) && n < len(list); i++ {
		if s[i] < '0' || s[i] > '9' {
			continue
		}
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		list[n], _ = strconv.Atoi(string(s[from:min(i, from+9)]))
		n++
	}
	return list, n
}

// date returns a moment of a log's head. Its time zone is not told: it counts
// as UTC.
func date(year, month, day, hour, minute, second, ms int) (Stamp, bool) {
	if year < 1970 || year > 2261 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60 || ms > 999 {
		return Stamp{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, ms*1e6, time.UTC)
	return Stamp{t.UnixNano(), 3}, true
}

// european reads day, month, year, hour, minute, second and perhaps ms.
func european(s []byte) (Stamp, bool) {
	n, got := numbers(s)
	if got < 6 {
		return Stamp{}, false
	}
	return date(n[2], n[1], n[0], n[3], n[4], n[5], n[6])
}
