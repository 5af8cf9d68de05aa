package dbc

import (
	"bytes"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// scanner walks the text of a file. The first thing that is not as expected
// sticks in err and makes all reads until the next statement return nothing.
type scanner struct {
	src  []byte
	pos  int
	line int // of pos, from 1
	err  error

	twice int // bytes read in vain, that are read again
}

// maxTwice bounds the time a file of nothing but mistakes costs.
const maxTwice = 8 * MaxFile

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}

// blanks skips spaces within a line.
func (s *scanner) blanks() {
	for s.pos < len(s.src) && isBlank(s.src[s.pos]) {
		s.pos++
	}
}

// space skips spaces and line ends.
func (s *scanner) space() {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; {
		case c == '\n':
			s.line++
		case !isBlank(c):
			return
		}
		s.pos++
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v' }

// peek returns the next byte behind spaces, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

// delimiters end a word.
var delimiters = func() (t [256]bool) {
	for _, c := range []byte(" \t\r\n\f\v:;,|@()[]\"") {
		t[c] = true
	}
	return t
}()

// word reads what stands before the next space or delimiter.
func (s *scanner) word() []byte {
	s.space()
	start := s.pos
	for s.pos < len(s.src) && !delimiters[s.src[s.pos]] {
		s.pos++
	}
	return s.src[start:s.pos]
}

// peekWord is word without moving.
func (s *scanner) peekWord() []byte {
	at, line := s.pos, s.line
	w := s.word()
	s.pos, s.line = at, line
	return w
}

// accept takes one punctuation byte, if it comes next.
func (s *scanner) accept(c byte) bool {
	if s.err != nil || s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// expect wants one punctuation byte.
func (s *scanner) expect(c byte) {
	if s.err == nil && !s.accept(c) {
		s.fail("`%c` expected, but %s comes", c, s.next())
	}
}

// next describes what comes, for messages.
func (s *scanner) next() string {
	if s.peek() == 0 && s.pos >= len(s.src) {
		return "the end of the file"
	}
	if w := s.peekWord(); len(w) > 0 {
		return "`" + clip(w) + "`"
	}
	return strconv.QuoteRune(rune(s.src[s.pos]))
}

// clip returns text of the file as it may stand in a message.
func clip(b []byte) string {
	if len(b) > 40 {
		return toText(b[:40]) + "…"
	}
	return toText(b)
}

// name wants a word.
func (s *scanner) name(what string) []byte {
	if s.err != nil {
		return nil
	}
	w := s.word()
	if len(w) == 0 {
		s.fail("%s expected, but %s comes", what, s.next())
	}
	return w
}

// unsigned wants a whole number.
func (s *scanner) unsigned(what string, bits int) uint64 {
	w := s.name(what)
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(string(bytes.TrimPrefix(w, []byte("+"))), 10, bits)
	if err != nil {
		s.fail("%s `%s` is not a whole number below %d bits", what, clip(w), bits)
	}
	return n
}

// What quoted wants to find in one line; a comment may have several.
const (
	theVersion = "the version"
	theUnit    = "the unit"
)

// quoted wants a text in quotation marks; it may have several lines. A
// backslash before a quotation mark belongs to the text, unless it ends the
// statement there: `"C:\";`.
func (s *scanner) quoted(what string) []byte {
	if s.err != nil {
		return nil
	}
	if s.peek() != '"' {
		s.fail("%s in quotation marks expected, but %s comes", what, s.next())
		return nil
	}
	start, line := s.pos+1, s.line
	oneLine := what == theVersion || what == theUnit
scan:
	for i := start; i < len(s.src); i++ {
		switch s.src[i] {
		case '\n':
			if oneLine { // else the text would end where the next one begins
				break scan
			}
			s.line++
		case '"':
			if i > start && s.src[i-1] == '\\' && !endsStatement(s.src[i+1:]) {
				continue
			}
			s.pos = i + 1
			return s.src[start:i]
		}
	}
	if !oneLine {
		s.twice += len(s.src) - start
	}
	s.line = line // the next statement is looked for behind this line
	s.fail("the quotation mark that opens %s is never closed", what)
	return nil
}

func endsStatement(b []byte) bool {
	for _, c := range b[:min(len(b), 8)] {
		if c == ';' {
			return true
		}
		if !isBlank(c) {
			return false
		}
	}
	return false
}

// endLine skips the rest of the line.
func (s *scanner) endLine() {
	if i := bytes.IndexByte(s.src[s.pos:], '\n'); i >= 0 {
		s.pos += i
	} else {
		s.pos = len(s.src)
	}
}

// cp1252 are the bytes 80-9F of the Windows code page; the five it leaves
// undefined are those of ISO 8859-1.
var cp1252 = [32]rune{
	0x20AC, 0x81, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8D, 0x017D, 0x8F,
	0x90, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x9D, 0x017E, 0x0178,
}

// toText returns a text of the file in UTF-8: it is that already, or CP1252,
// of which ISO 8859-1 is a part. Each text is judged alone: files are edited
// with several tools.
func toText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	out := make([]rune, len(b))
	for i, c := range b {
		if out[i] = rune(c); c >= 0x80 && c < 0xA0 {
			out[i] = cp1252[c-0x80]
		}
	}
	return string(out)
}
