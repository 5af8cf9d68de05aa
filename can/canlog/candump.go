package canlog

import (
	"bytes"

	"obu/can/frame"
)

// beginsCandump: every line of candump begins with its time, or has none and
// is "can0  7E8   [8]  03 41 0D 4A".
func beginsCandump(s []byte) bool {
	if s = bytes.TrimLeft(s, " "); s[0] == '(' {
		return true
	}
	_, rest := word(s)
	var l Reader
	var e Entry
	found, err := l.readPrinted(&e, rest)
	return found && err == nil
}

// readCandump reads a line that candump logs ("-l", "-L"),
// "(1725695599.863200) can0 7E8#03410D4A" with an optional direction behind
// it, or one that it prints.
func (l *Reader) readCandump(e *Entry, s []byte) (bool, error) {
	timed := false
	switch s = bytes.TrimLeft(s, " "); s[0] {
	case '\t': // explains the error frame above it
		return false, nil
	case '(':
		end := bytes.IndexByte(s, ')')
		if end < 0 {
			return false, ErrLine
		}
		if at := bytes.TrimSpace(s[1:end]); !l.candumpTime(e, at) {
			return false, badField("time", at)
		}
		s, timed = s[end+1:], true
	}
	iface, rest := word(s)
	frame, more := word(rest)
	if len(iface) == 0 || len(frame) == 0 {
		return false, ErrLine
	}
	if bytes.IndexByte(frame, '#') < 0 {
		if found, err := l.readPrinted(e, rest); !found || err != nil {
			return found, err
		}
		e.Interface = l.name(iface)
		return true, nil
	}
	if !timed || len(more) > 0 && string(more) != "R" && string(more) != "T" {
		return false, ErrLine
	}
	if !parseText(&e.Frame, frame) {
		return false, badField("frame", frame)
	}
	e.Interface = l.name(iface)
	return true, nil
}

// candumpTime reads seconds, or with -tA the date and time of the machine's zone.
func (l *Reader) candumpTime(e *Entry, s []byte) bool {
	if l.stamp(e, s, 0) {
		return true
	}
	n, got := numbers(s)
	at, ok := date(n[0], n[1], n[2], n[3], n[4], n[5], 0)
	e.Stamp = Stamp{at.Nanos + int64(n[6])*1000, 6}
	return ok && got == 7 && n[6] < 1e6 && len(s) == len("2014-04-22 00:57:03.803317")
}

// readPrinted reads a frame as candump prints it on a screen: "7E8   [8]  03
// 41 …", in front of it with -x "RX - -"; "[08]" is CAN FD.
func (l *Reader) readPrinted(e *Entry, s []byte) (bool, error) {
	w := l.split(s, ' ')
	if len(w) > 3 && (string(w[0]) == "RX" || string(w[0]) == "TX") {
		w = w[3:]
	}
	if len(w) < 2 || len(w[1]) < 3 || w[1][0] != '[' || w[1][len(w[1])-1] != ']' {
		return false, ErrLine
	}
	n, ok := parseNumber(w[1][1:len(w[1])-1], 10, 64)
	if !ok || !parseID(&e.Frame, w[0]) {
		return false, badField("frame", s)
	}
	e.FD = len(w[1]) > 3
	if len(w) > 2 && string(w[2]) == "remote" {
		e.Remote = true
	}
	return true, l.fill(e, w[2:], int(n))
}

// parseID reads an identifier of 3 digits or, extended or with the flag of an
// error frame in it, of 8.
func parseID(f *frame.Frame, s []byte) bool {
	if len(s) != 3 && len(s) != 8 {
		return false
	}
	var id uint32
	for _, c := range s {
		d := unhex[c]
		if d > 0xF {
			return false
		}
		id = id<<4 | uint32(d)
	}
	f.Extended = len(s) == 8
	if f.Extended && id&frame.Error != 0 {
		f.Error, f.Extended, id = true, false, id&^frame.Error
	}
	f.ID = id
	return true
}

// parseText reads a frame as candump prints it: ID#DATA, ID#R[length],
// ID##<flags>DATA for CAN FD, an error frame with its flag in the identifier.
// What it accepts passes Validate.
func parseText(f *frame.Frame, s []byte) bool {
	hash := bytes.IndexByte(s, '#')
	if hash < 0 || !parseID(f, s[:hash]) {
		return false
	}
	data := s[hash+1:]
	switch {
	case len(data) > 0 && data[0] == '#':
		if len(data) < 2 || unhex[data[1]] > 0xF {
			return false
		}
		f.FD, f.Flags, data = true, unhex[data[1]]&(frame.FlagBRS|frame.FlagESI), data[2:]
	case len(data) > 0 && data[0] == 'R':
		f.Remote = true
		if len(data) > 2 || len(data) == 2 && (data[1] < '0' || data[1] > '8') {
			return false
		}
		if len(data) == 2 {
			f.Len = data[1] - '0'
		}
		return f.Validate() == nil
	}
	if len(data)%2 != 0 || len(data) > 2*len(f.Data) {
		return false
	}
	for i := 0; i < len(data); i += 2 {
		hi, lo := unhex[data[i]], unhex[data[i+1]]
		if hi|lo > 0xF {
			return false
		}
		f.Data[i/2] = hi<<4 | lo
	}
	f.Len = uint8(len(data) / 2)
	return f.Validate() == nil
}

// unhex is the value of a hexadecimal digit, or 0xFF.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xFF
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()
