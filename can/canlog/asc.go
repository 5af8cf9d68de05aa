package canlog

import (
	"bytes"
	"strings"

	"obu/can/frame"
)

// readASC reads a line of Vector's ASC. Events that are no frames, such as
// statistics, states and J1939 transfers put together, are passed over.
func (l *Reader) readASC(e *Entry, s []byte) (bool, error) {
	w := l.split(s, ' ')
	t, ok := parseUnits(w[0], 0)
	if !ok {
		return false, l.readASCHead(s, w)
	}
	if !l.setTime(e, t) { // of every event: it may be relative
		return false, badField("time", w[0])
	}
	if len(w) < 3 {
		return false, nil
	}
	fd := begins(w[1], "CANFD")
	if fd {
		w = w[1:]
	}
	if len(w) < 3 || !l.bus(e, w[1]) {
		return false, nil // of another kind of bus, or of the recorder
	}
	if fd {
		return l.readASCFD(e, w[2:])
	}
	return l.readASCClassic(e, w[2:])
}

const trigger = "Begin Triggerblock"

// readASCHead reads what stands above and between the frames.
func (l *Reader) readASCHead(s []byte, w [][]byte) error {
	h := &l.head
	switch {
	case begins(s, "base "):
		for _, x := range w {
			h.decimal = h.decimal || begins(x, "dec")
			h.relative = h.relative || begins(x, "relative")
		}
	case begins(s, "date "):
		var ok bool
		if h.start, ok = vectorDate(s[5:]); !ok {
			return badField("date", s)
		}
	case begins(s, trigger):
		// The times of further triggers count from the first one, too.
		if at, ok := vectorDate(s[len(trigger):]); ok && !h.fixed {
			h.start, h.fixed = at, true
		}
	case begins(s, "//"), begins(s, "End Triggerblock"), begins(s, "internal events"), begins(s, "no internal events"):
	default:
		return ErrLine
	}
	return nil
}

// readASCClassic reads "123x Rx d 8 01 02 …", "123 Tx r 8" and "ErrorFrame".
func (l *Reader) readASCClassic(e *Entry, w [][]byte) (bool, error) {
	if begins(w[0], "ErrorFrame") {
		e.Frame = busError
		return true, nil
	}
	if len(w) < 3 || !isDirection(w[1]) {
		return false, nil // statistics and the like
	}
	if !l.identifyASC(e, w[0]) {
		return false, badField("identifier", w[0])
	}
	data := w[min(4, len(w)):]
	n, counted := uint32(0), false
	if len(w) > 3 {
		n, counted = parseNumber(w[3], l.radix(), 64)
	}
	switch {
	case string(w[2]) == "r":
		e.Remote = true
		if !counted {
			n = 0
		}
	case string(w[2]) != "d" || !counted:
		return false, badField("length", w[min(3, len(w)-1)])
	}
	if n <= 15 { // above it is no length code, but a length
		n = uint32(frame.DataLength(int(n), false))
	}
	return true, l.fill(e, data, int(n))
}

// readASCFD reads "Rx 300 [name] BRS ESI DLC length data… duration length flags …".
func (l *Reader) readASCFD(e *Entry, w [][]byte) (bool, error) {
	if !isDirection(w[0]) || len(w) < 2 {
		return false, nil
	}
	if begins(w[1], "ErrorFrame") {
		e.Frame = busError
		return true, nil
	}
	if !l.identifyASC(e, w[1]) {
		return false, badField("identifier", w[1])
	}
	w = w[2:]
	if len(w) > 0 && (len(w[0]) != 1 || w[0][0] != '0' && w[0][0] != '1') {
		w = w[1:] // the name of the message
	}
	if len(w) < 4 {
		return false, errShort
	}
	code, ok := parseNumber(w[2], 16, 15)
	n, ok2 := parseNumber(w[3], 10, 64)
	if !ok || !ok2 {
		return false, badField("length", w[3])
	}
	data := w[4:]
	flags := uint32(0)
	if i := int(n) + 2; i < len(data) {
		flags, _ = parseNumber(data[i], 16, 1<<32-1)
	}
	switch {
	case flags&ascRemote != 0 && n == 0:
		e.Remote, n = true, code
	case flags == 0 || flags&ascEDL != 0 || string(w[0]) == "1":
		e.FD, e.Flags = true, w[0][0]&1|w[1][0]&1<<1
	}
	return true, l.fill(e, data, int(n))
}

// Flags of a CANFD line.
const (
	ascRemote = 1 << 4
	ascEDL    = 1 << 12 // the frame is in the format of CAN FD
)

func isDirection(w []byte) bool {
	return strings.EqualFold(string(w), "Rx") || strings.EqualFold(string(w), "Tx")
}

// identifyASC reads an identifier with an x behind it when it is extended.
func (l *Reader) identifyASC(e *Entry, w []byte) bool {
	text, extended := bytes.CutSuffix(w, []byte("x"))
	ok := l.identify(e, text)
	e.Extended = extended
	return ok
}

// vectorDate reads "Sat Sep 30 10:06:13.191 PM 2017", in English or German.
func vectorDate(s []byte) (Stamp, bool) {
	_, rest := word(s)
	name, rest := word(rest)
	text := strings.ToLower(string(rest))
	month := 0
	for i, names := range [...]string{"jan", "feb", "mar mär mrz", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"} {
		if len(name) >= 3 && strings.Contains(names, strings.ToLower(string(name))) {
			month = i + 1
		}
	}
	n, got := numbers(rest)
	if got == 5 { // no ms
		n[5], n[4] = n[4], 0
	}
	switch hour := n[1] % 12; {
	case strings.Contains(text, " am"):
		n[1] = hour
	case strings.Contains(text, " pm"):
		n[1] = hour + 12
	}
	at, ok := date(n[5], month, n[0], n[1], n[2], n[3], n[4])
	return at, ok && (got == 5 || got == 6)
}
