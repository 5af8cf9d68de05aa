package dbc

import (
	"bytes"
	"slices"
	"strconv"
)

// maxDepth bounds selectors that depend on selectors; real files have two.
const maxDepth = 8

// multiplexRanges reads `SG_MUL_VAL_ 513 Speed Mode 0-3, 5-5;`.
func (p *parser) multiplexRanges() {
	line := p.line
	id := uint32(p.unsigned("the identifier of a message", 32))
	name := p.name("the name of a signal")
	parent := p.name("the name of a multiplexer")
	var ranges []Range
	for p.err == nil && p.peek() != ';' && startsNumber(p.peek()) {
		low, high, ok := bytes.Cut(p.word(), []byte("-"))
		if !ok {
			high = low
		}
		a, errA := strconv.ParseUint(string(low), 10, 64)
		b, errB := strconv.ParseUint(string(high), 10, 64)
		if errA != nil || errB != nil || a > b {
			p.fail("a range of multiplexer values is written 0-3")
			return
		}
		ranges = append(ranges, Range{a, b})
		p.accept(',')
		if p.ranges++; p.ranges > maxRanges {
			p.err = tooMany("ranges of SG_MUL_VAL_", maxRanges)
			return
		}
	}
	p.accept(';')
	if p.err != nil {
		return
	}
	if s := p.find(line, id, name); s != nil {
		s.parent, s.multiplexed = p.text(parent), true
		if len(ranges) > 0 {
			s.ranges = ranges
		}
	}
}

// link drops the signals of a message that cannot be decoded, ties each
// multiplexed one to its selector, and gives long names.
func (p *parser) link(m *Message) {
	named := make(map[string]*Signal, len(m.Signals))
	var only *Signal // the selector that depends on no other
	selectors := 0
	for _, s := range m.Signals {
		named[s.Name] = s
		if s.selector && !s.multiplexed {
			only = s
			selectors++
		}
	}
	kept := m.Signals[:0]
	for _, s := range m.Signals {
		if s.Length > 0 && p.tie(m, s, named, only, selectors) {
			kept = append(kept, s)
		}
	}
	clear(m.Signals[len(kept):])
	m.Signals = p.reachable(m, kept)
	for _, s := range m.Signals {
		if s.long != "" {
			s.Name = s.long
		}
	}
}

// tie finds the selector of a signal and reports whether it can ever be read.
func (p *parser) tie(m *Message, s *Signal, named map[string]*Signal, only *Signal, selectors int) bool {
	if !s.multiplexed {
		return true
	}
	if s.parent == "" {
		switch {
		case selectors == 1:
			s.parentSignal = only
		case selectors == 0:
			p.warn(s.line, "message %s has no multiplexer (M) that signal %s could depend on: it was left out", m.Name, s.Name)
		default:
			p.warn(s.line, "message %s has several multiplexers (M), and no SG_MUL_VAL_ says on which signal %s depends: it was left out", m.Name, s.Name)
		}
		return s.parentSignal != nil
	}
	s.parentSignal = named[s.parent]
	if s.parentSignal == nil || s.parentSignal.Length == 0 || s.parentSignal.Float {
		p.warn(s.line, "message %s has no usable multiplexer %s that signal %s could depend on: it was left out", m.Name, s.parent, s.Name)
		return false
	}
	depth := 0
	for up := s; up.multiplexed; depth++ {
		if up.parent != "" {
			up = named[up.parent]
		} else {
			up = only
		}
		if up == nil || depth >= maxDepth {
			p.warn(s.line, "multiplexer %s of signal %s depends on itself or on more than %d others: the signal was left out", s.parent, s.Name, maxDepth)
			return false
		}
	}
	return true
}

// reachable drops signals whose selector was dropped.
func (p *parser) reachable(m *Message, signals []*Signal) []*Signal {
	kept := make(map[*Signal]bool, len(signals))
	for _, s := range signals {
		kept[s] = true
	}
	return slices.DeleteFunc(signals, func(s *Signal) bool {
		for up := s.parentSignal; up != nil; up = up.parentSignal {
			if !kept[up] {
				p.warn(s.line, "signal %s of message %s depends on multiplexer %s, which was left out: so was this one", s.Name, m.Name, up.Name)
				return true
			}
		}
		return false
	})
}
