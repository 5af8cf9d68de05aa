package dbc

import (
	"bytes"
	"strconv"
	"strings"
)

// Flag bits of an identifier in the file.
const (
	flagExtended = 1 << 31
	flagSpecial  = 1 << 30 // with the other flag: the message of signals that have none

	maskStandard = 1<<11 - 1
	maskExtended = 1<<29 - 1
)

// independent is the name of the message that holds signals without one.
const independent = "VECTOR__INDEPENDENT_SIG_MSG"

// message reads `BO_ 2364540158 EEC1: 8 Vector__XXX`.
func (p *parser) message() {
	line := p.line
	p.current, p.silent = nil, false
	id := uint32(p.unsigned("the identifier of a message", 32))
	name := p.name("the name of a message")
	p.accept(':')
	size := p.unsigned("the size of a message", 32)
	if p.err != nil {
		return
	}
	p.endLine() // the sender
	if id&(flagExtended|flagSpecial) == flagExtended|flagSpecial || string(name) == independent {
		p.silent = true
		return
	}
	if len(p.file.Messages) >= MaxMessages {
		p.err = tooMany("messages", MaxMessages)
		return
	}
	key := flagged(id)
	m := &Message{Name: p.text(name), ID: key & maskExtended, Extended: key&flagExtended != 0, Size: int(min(size, MaxSize)), line: line}
	if m.Extended && id&flagExtended == 0 {
		p.warn(line, "identifier %d of message %s has more than 11 bits but not the flag of 29: it is taken for one of 29 bits", id, clip(name))
	}
	if size > MaxSize {
		p.warn(line, "message %s has %d bytes; it is read up to byte %d", clip(name), size, MaxSize)
	}
	if first := p.byID[key]; first != nil {
		p.warn(line, "message %s has the identifier of %s (line %d): it was left out", clip(name), first.Name, first.line)
		p.silent = true
		return
	}
	p.byID[key], p.key = m, key
	p.file.Messages = append(p.file.Messages, m)
	p.current = m
}

// flagged is the identifier under which a message is kept: 11 bits, or 29 and
// flagExtended. One with more than 11 bits that lacks the flag has 29. One
// with flagSpecial alone carries, above its 11 bits, the first byte of its
// payload, as databases of Toyota do.
func flagged(id uint32) uint32 {
	switch {
	case id&flagExtended == 0 && id&flagSpecial != 0:
		return id & maskStandard
	case id > maskStandard:
		return id&maskExtended | flagExtended
	}
	return id
}

// signal reads ` SG_ Speed m2 : 7|16@0+ (0.01,0) [0|250] "km/h" Gateway`.
func (p *parser) signal() {
	line := p.line
	if p.current == nil {
		if !p.silent {
			p.orphans++
		}
		p.endLine()
		return
	}
	name := p.name("the name of a signal")
	s := &Signal{line: line}
	if p.blanks(); p.err == nil && (p.pos == len(p.src) || p.src[p.pos] == '\n') {
		p.fail("`:` expected behind the name of a signal, but the line ends")
		return
	}
	if p.peek() != ':' {
		p.multiplex(s, p.name("`:` or a multiplexer mark"))
	}
	p.expect(':')
	p.layout(s)
	if p.err != nil {
		return
	}
	if p.peek() == '"' {
		s.Unit = p.text(p.quoted(theUnit))
	}
	if p.err != nil {
		return
	}
	p.endLine() // the receivers
	s.Name = p.text(name)
	m := p.current
	key := signalKey{p.key, s.Name}
	switch {
	case p.count >= MaxSignals:
		p.err = tooMany("signals", MaxSignals)
		return
	case p.signals[key] != nil:
		p.warn(line, "message %s has a signal %s already (line %d): this one was left out", m.Name, s.Name, p.signals[key].line)
		return
	}
	p.count++
	p.signals[key] = s
	m.Signals = append(m.Signals, s)
}

// multiplex reads M, m0 or m0M.
func (p *parser) multiplex(s *Signal, mark []byte) {
	text := string(mark)
	s.selector = strings.HasSuffix(text, "M")
	digits, dependent := strings.CutPrefix(strings.TrimSuffix(text, "M"), "m")
	s.multiplexed = dependent
	if dependent {
		n, err := strconv.ParseUint(digits, 10, 64)
		if err == nil {
			s.ranges = []Range{{n, n}}
			return
		}
	} else if text == "M" {
		return
	}
	p.fail("`%s` is no multiplexer mark (M, m0, m0M)", clip(mark))
}

// layout reads `7|16@0+ (0.01,0) [0|250]`.
func (p *parser) layout(s *Signal) {
	start := p.unsigned("the start bit", 32)
	p.expect('|')
	length := p.unsigned("the length", 32)
	p.expect('@')
	order := p.name("byte order and sign")
	p.expect('(')
	s.factor = p.number("the factor")
	p.expect(',')
	s.offset = p.number("the offset")
	p.expect(')')
	if p.accept('[') {
		s.Min = p.number("the minimum").near
		p.expect('|')
		s.Max = p.number("the maximum").near
		p.expect(']')
	}
	if p.err != nil {
		return
	}
	switch string(order) {
	case "0+", "0-", "1+", "1-":
		s.BigEndian, s.Signed = order[0] == '0', order[1] == '-'
	default:
		p.fail("`@%s` is not a byte order (0 or 1) and a sign (+ or -)", clip(order))
	}
	switch {
	case length < 1 || length > MaxBits:
		p.fail("a signal of %d bits cannot be decoded (1 to %d can)", length, MaxBits)
	case start >= 8*MaxSize:
		p.fail("start bit %d lies beyond the longest message of %d bytes", start, MaxSize)
	}
	s.Start, s.Length = int(start), int(length)
}

// number wants a decimal.
func (p *parser) number(what string) decimal {
	w := p.name(what)
	if p.err != nil {
		return decimal{}
	}
	d, ok := parseDecimal(string(w))
	if !ok {
		p.fail("%s `%s` is not a number", what, clip(w))
	}
	return d
}

// text keeps a text of the file, bounded.
func (p *parser) text(b []byte) string {
	t := toText(bytes.TrimSpace(b))
	if len(t) > maxText {
		t = strings.ToValidUTF8(t[:maxText], "")
	}
	return t
}
