package dbc

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// attribute is a value as the file writes it.
type attribute struct {
	text string
	set  bool
}

// values reads `VAL_ 513 Gear 0 "P" 1 "R" ;`, or with the name of a table in
// place of the list. Values of environment variables are skipped.
func (p *parser) values() {
	word := p.name("the identifier of a message")
	id, err := strconv.ParseUint(string(word), 10, 32)
	if p.err != nil || err != nil {
		p.skip()
		return
	}
	line := p.line
	name := p.name("the name of a signal")
	var list []Choice
	if c := p.peek(); c != ';' && !startsNumber(c) {
		list = p.tables[p.text(p.name("a value"))]
	} else {
		list = p.list()
	}
	p.accept(';')
	if p.err != nil {
		return
	}
	if s := p.find(line, uint32(id), name); s != nil {
		s.Choices = list
	}
}

// valueTable reads `VAL_TABLE_ Gears 0 "P" 1 "R" ;`.
func (p *parser) valueTable() {
	name := p.name("the name of a value table")
	list := p.list()
	p.accept(';')
	if p.err == nil {
		p.tables[p.text(name)] = list
	}
}

func startsNumber(c byte) bool { return c >= '0' && c <= '9' || c == '-' || c == '+' }

// list reads number and text, again and again.
func (p *parser) list() []Choice {
	var list []Choice
	for p.err == nil && startsNumber(p.peek()) {
		line := p.line
		word := string(bytes.TrimPrefix(p.word(), []byte("+")))
		text := p.quoted("a value's name")
		if p.err != nil {
			return nil
		}
		if p.choices++; p.choices > MaxChoices {
			p.err = tooMany("named values", MaxChoices)
			return nil
		}
		n, ok := wholeNumber(word)
		if !ok {
			p.warn(line, "`%s` is no whole number of 64 bits: the value's name was left out", clip([]byte(word)))
			continue
		}
		list = append(list, Choice{n, p.text(text)})
	}
	return list
}

// wholeNumber reads a raw value: above 2^63 it is the same bits, below zero.
func wholeNumber(s string) (int64, bool) {
	s, _ = strings.CutSuffix(s, ".0")
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, true
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return int64(n), err == nil
}

// find returns a signal that a statement speaks of. Of those that belong to no
// message nobody needs to hear.
func (p *parser) find(line int, id uint32, name []byte) *Signal {
	s := p.signals[signalKey{flagged(id), p.text(name)}]
	if s == nil && id&flagSpecial == 0 {
		p.warn(line, "no signal %s in a message %d: what this line says of it was left out", clip(name), id)
	}
	return s
}

// define reads `BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN";`
// and keeps the words of that one alone.
func (p *parser) define() {
	if p.peek() != '"' {
		p.word()
	}
	name := p.quoted("the name of an attribute")
	if p.err != nil {
		return
	}
	if string(name) == "VFrameFormat" && string(p.peekWord()) == "ENUM" {
		p.word()
		p.formats = nil
		for p.peek() == '"' && len(p.formats) < 32 {
			p.formats = append(p.formats, p.text(p.quoted("a word of VFrameFormat")))
			p.accept(',')
		}
	}
	if p.err == nil {
		p.skip()
	}
}

// defaultValue reads `BA_DEF_DEF_ "ProtocolType" "J1939";`.
func (p *parser) defaultValue() {
	name := p.quoted("the name of an attribute")
	value := p.value()
	if p.err != nil {
		return
	}
	switch string(name) {
	case "VFrameFormat":
		p.format = attribute{value, true}
	case "ProtocolType":
		if !p.protocol.set {
			p.protocol.text = value
		}
	}
}

// value reads a number or a text, and the `;` behind it.
func (p *parser) value() string {
	var v string
	if p.peek() == '"' {
		v = p.text(p.quoted("the value"))
	} else if p.peek() != ';' {
		v = p.text(p.name("the value"))
	}
	p.accept(';')
	return v
}

// attribute reads `BA_ "SPN" SG_ 2364540158 EngineSpeed 190;`.
func (p *parser) attribute() {
	name := string(p.quoted("the name of an attribute"))
	if p.err != nil {
		return
	}
	switch string(p.peekWord()) {
	case "BO_":
		p.word()
		id := uint32(p.unsigned("the identifier of a message", 32))
		value := p.value()
		if m := p.byID[flagged(id)]; p.err == nil && m != nil {
			p.ofMessage(m, name, value)
		}
	case "SG_":
		p.word()
		id := uint32(p.unsigned("the identifier of a message", 32))
		signal := p.name("the name of a signal")
		value := p.value()
		if s := p.signals[signalKey{flagged(id), p.text(signal)}]; p.err == nil && s != nil {
			ofSignal(s, name, value)
		}
	case "BU_", "EV_":
		p.skip()
	default:
		value := p.value()
		if p.err == nil && name == "ProtocolType" {
			p.protocol = attribute{value, true}
		}
	}
}

func (p *parser) ofMessage(m *Message, name, value string) {
	switch name {
	case "VFrameFormat":
		p.framing[m] = p.formatWord(value)
	case "GenMsgCycleTime":
		if d, ok := parseDecimal(value); ok && d.near > 0 && d.near < 1e9 {
			m.Cycle = time.Duration(d.near * float64(time.Millisecond))
		}
	case "SystemMessageLongSymbol":
		if value != "" {
			m.Name = value
		}
	}
}

func ofSignal(s *Signal, name, value string) {
	switch name {
	case "SPN":
		if n, err := strconv.ParseUint(value, 10, 19); err == nil {
			s.SPN = uint32(n)
		}
	case "SystemSignalLongSymbol":
		if value != "" {
			s.long = value
		}
	}
}

// vectorFormats are the words of VFrameFormat where a file does not list them.
var vectorFormats = []string{"StandardCAN", "ExtendedCAN", "reserved", "J1939PG"}

// formatWord returns the word for a value of VFrameFormat, which is an index
// or the word itself.
func (p *parser) formatWord(value string) string {
	words := p.formats
	if len(words) == 0 {
		words = vectorFormats
	}
	if i, err := strconv.Atoi(value); err == nil && i >= 0 && i < len(words) {
		return words[i]
	}
	return value
}

// setFraming decides how frames of a message are recognised. The null address
// (FE) as the source of a broadcast group is what J1939 databases write for
// "any": no ECU sends with it.
func (p *parser) setFraming(m *Message) {
	word, own := p.framing[m]
	if !own && p.format.set {
		word = p.formatWord(p.format.text)
	}
	m.FD = strings.HasSuffix(word, "_FD")
	if !m.Extended {
		return
	}
	template := m.ID&0xFF == 0xFE && m.ID>>16&0xFF >= 240
	m.J1939 = word == "J1939PG" || template || !own && strings.HasPrefix(p.protocol.text, "J1939")
}

// valueType reads `SIG_VALTYPE_ 1025 Torque : 1;`: 1 is a float of 32 bits, 2
// one of 64.
func (p *parser) valueType() {
	line := p.line
	id := uint32(p.unsigned("the identifier of a message", 32))
	name := p.name("the name of a signal")
	p.accept(':')
	kind := p.unsigned("the type of a value", 8)
	p.accept(';')
	if p.err != nil {
		return
	}
	s := p.find(line, id, name)
	if s == nil || kind == 0 {
		return
	}
	if kind == 1 && s.Length == 32 || kind == 2 && s.Length == 64 {
		s.Float = true
		return
	}
	p.warn(line, "signal %s has %d bits, which is no float of type %d (1: 32 bits, 2: 64): it was left out", s.Name, s.Length, kind)
	s.Length = 0 // link drops it
}
