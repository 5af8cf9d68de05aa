package canlog

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"obu/can/frame"
)

// The columns of a log that is a table, in the letters of PEAK's $COLUMNS and
// some more; every other letter is a column that is passed over:
//
//	O  time since the start, in units of the format     C  time of day h:m:s:ms
//	T  kind of line or frame                            K  the same, of CRTD
//	I  identifier, extended with more than 4 digits     i  with more than 11 bits     k  if K says so
//	E  true: extended                                   B  number of the bus
//	L  length code      l  length in bytes              D  data up to the end
//
// Those of PEAK's versions; 2.x tells its own.
var trcColumns = [...]string{"1.0NOIlD", "1.1NOTIlD", "1.2NOBTIlD", "1.3NOBTIRlD", "2.0NOTIdlD", "2.1NOTBIdRLD"}

// readTable reads a line of a table without a head that matters.
func (l *Reader) readTable(e *Entry, s []byte) (bool, error) {
	h := &l.head
	if !h.begun && (bytes.IndexByte(s, h.format.sep) < 0 || len(h.format.prefix) > 0 && begins(s, h.format.prefix)) {
		return false, nil
	}
	h.columns = h.format.columns
	return l.readColumns(e, s)
}

// readColumns reads a line of a table.
func (l *Reader) readColumns(e *Entry, s []byte) (bool, error) {
	e.Interface = "can0"
	words := l.split(s, l.head.format.sep)
	length, code := -1, false
	for i, c := range []byte(l.head.columns) {
		if c == 'D' {
			words = words[min(i, len(words)):]
			break
		}
		if i >= len(words) {
			return false, errShort
		}
		w := words[i]
		ok, holds := true, true
		switch c {
		case 'O':
			ok = l.stamp(e, w, l.head.format.shift)
		case 'C':
			ok = l.timeOfDay(e, w)
		case 'B':
			ok = l.bus(e, w)
		case 'T':
			holds, ok = kind(&e.Frame, string(w))
		case 'K':
			holds, ok = l.kindCRTD(e, w)
		case 'I', 'i', 'k':
			holds, ok = l.column(e, w, c)
		case 'E':
			e.Extended = begins(w, "true")
		case 'L', 'l':
			var n uint32
			n, ok = parseNumber(w, 10, 64)
			length, code = int(n), c == 'L'
		}
		if !ok {
			return false, badField("column "+strconv.Itoa(i+1), w)
		}
		if !holds {
			return false, nil
		}
	}
	switch {
	case e.Error:
		e.Frame = busError
		return true, nil
	case length < 0:
		length = len(words)
	case len(words) > 0 && string(words[0]) == "RTR":
		e.Remote = true
	}
	if code {
		length = frame.DataLength(length, e.FD)
	}
	return true, l.fill(e, words, length)
}

// column reads an identifier.
func (l *Reader) column(e *Entry, w []byte, c byte) (holds, ok bool) {
	told := e.Extended
	switch {
	case string(w) == "FFFFFFFF": // a warning of PEAK's 1.x
		return false, true
	case e.Error:
		return true, true
	case !l.identify(e, w):
		return true, false
	case c == 'I':
		e.Extended = len(w) > 4
	case c == 'k':
		e.Extended = told
	}
	return true, true
}

// kind reads what kind of frame a line is about, or whether of none.
func kind(f *frame.Frame, w string) (holds, known bool) {
	switch w {
	case "Rx", "Tx", "DT":
	case "FD", "FB", "FE", "BI":
		f.FD = true
		if w != "FD" && w != "FE" {
			f.Flags = frame.FlagBRS
		}
		if w == "FE" || w == "BI" {
			f.Flags |= frame.FlagESI
		}
	case "RR":
		f.Remote = true
	case "ER", "Error":
		f.Error = true
	case "s", "x":
		f.Extended = w == "x"
	case "sr", "xr":
		f.Extended, f.Remote = w == "xr", true
	case "Warng", "ST", "EC", "EV": // states, counters and remarks
		return false, true
	default:
		return false, false
	}
	return true, true
}

// readTRC reads a line of PEAK's trace: times in ms.
func (l *Reader) readTRC(e *Entry, s []byte) (bool, error) {
	if s[0] != ';' {
		return l.readColumns(e, s)
	}
	h := &l.head
	if h.columns == "" {
		h.columns = trcColumns[0][3:] // 1.0 says nothing of itself
	}
	key, value, _ := strings.Cut(string(s), "=")
	ok := true
	switch {
	case key == ";$FILEVERSION":
		ok = false
		for _, v := range trcColumns {
			if v[:3] == value {
				h.columns, ok = v[3:], true
			}
		}
	case key == ";$COLUMNS":
		h.columns = strings.ReplaceAll(value, ",", "")
	case key == ";$STARTTIME": // days since 1899-12-30
		days, _ := strconv.ParseFloat(value, 64)
		days -= 25569
		if ok = days > 0 && days < maxLogSeconds/86400; ok {
			h.start = Stamp{int64(math.Round(days*86400e6)) * 1000, 6}
		}
	case h.start == Stamp{}:
		if i := strings.Index(key, "Start time: "); i > 0 {
			h.start, ok = european(s[i:])
		}
	}
	if !ok {
		return false, badField("head", s)
	}
	return false, nil
}

// beginsCRTD: "169.971289 CXX Info Type:crtd" or "1542473901.020305 1R11 213 00".
func beginsCRTD(s []byte) bool {
	at, rest := word(s)
	w, _ := word(rest)
	_, ok := parseUnits(at, 0)
	w = bytes.TrimLeft(w, "0123456789")
	return ok && (isCRTDFrame(w) || len(w) == 3 && w[0] == 'C')
}

func isCRTDFrame(w []byte) bool {
	switch string(w) {
	case "R11", "R29", "T11", "T29":
		return true
	}
	return false
}

// kindCRTD reads "2R29": other records than frames are to be passed over.
func (l *Reader) kindCRTD(e *Entry, w []byte) (holds, known bool) {
	kind := bytes.TrimLeft(w, "0123456789")
	if !isCRTDFrame(kind) {
		return false, true
	}
	number := w[:len(w)-len(kind)]
	if len(number) == 0 {
		number = []byte("1")
	}
	e.Extended = kind[1] == '2'
	return true, l.bus(e, number)
}

// readBusMaster reads a line of BUSMASTER.
func (l *Reader) readBusMaster(e *Entry, s []byte) (bool, error) {
	h := &l.head
	if !begins(s, "***") {
		h.columns = "C-BiTLD"
		return l.readColumns(e, s)
	}
	switch s = s[3:]; {
	case begins(s, "START DATE AND TIME"):
		var ok bool
		if h.start, ok = european(s); !ok {
			return false, badField("head", s)
		}
	case begins(s, "DEC"):
		h.decimal = true
	case begins(s, "RELATIVE"):
		h.relative = true
	case begins(s, "SYSTEM"): // times of day, not since the start
		h.start.Nanos -= h.start.Nanos % 86400e9
	}
	return false, nil
}

// timeOfDay reads h:m:s:ms, the last part in 0.1 ms where it has four digits.
func (l *Reader) timeOfDay(e *Entry, w []byte) bool {
	n, got := numbers(w)
	if got != 4 {
		return false
	}
	t := Stamp{int64(n[0]*3600+n[1]*60+n[2])*1e9 + int64(n[3])*1e6, 3}
	if n[3] > 999 {
		t = Stamp{t.Nanos - int64(n[3])*9e5, 4}
	}
	h := &l.head
	if !h.relative {
		if t.Nanos < h.last-int64(MostDisorder) { // past midnight
			h.start.Nanos += 86400e9
		}
		h.last = t.Nanos
	}
	return l.setTime(e, t)
}
