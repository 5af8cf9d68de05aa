package dbc

import (
	"bytes"
	"errors"
	"fmt"
	"sort"
)

// ErrFile is wrapped by everything that refuses a whole file.
var ErrFile = errors.New("not a usable DBC file")

// parser builds a File statement by statement.
type parser struct {
	scanner
	file *File

	current *Message // that SG_ lines belong to; nil: they are left out
	key     uint32   // under which it is kept
	silent  bool     // and nobody needs to hear of it
	orphans int      // signals left out with their message
	known   int      // statements of the format

	byID    map[uint32]*Message // by the identifier with its flag bits
	signals map[signalKey]*Signal
	tables  map[string][]Choice
	choices int
	ranges  int
	count   int

	formats  []string // the words of VFrameFormat
	format   attribute
	protocol attribute
	framing  map[*Message]string // VFrameFormat where the file sets it
}

// signalKey names a signal: identifier with its flag bits, short name.
type signalKey struct {
	id   uint32
	name string
}

// Parse reads a DBC file; name stands in messages. What cannot be read is left
// out and listed in the file's Warnings. An error wraps ErrFile and says what
// to do.
func Parse(name string, data []byte) (*File, error) {
	fail := func(format string, args ...any) (*File, error) {
		return nil, fmt.Errorf("%s: %w: %s", name, ErrFile, fmt.Sprintf(format, args...))
	}
	switch {
	case len(data) > MaxFile:
		return fail("it has more than %d MiB; export the messages that are needed into a smaller file", MaxFile>>20)
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		return fail("it is saved as UTF-16; save it again as UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte{0xEF, 0xBB, 0xBF})
	if bytes.IndexByte(data, '\n') < 0 {
		data = bytes.ReplaceAll(data, []byte{'\r'}, []byte{'\n'})
	}
	p := &parser{
		scanner: scanner{src: data, line: 1}, file: &File{Name: name},
		byID: make(map[uint32]*Message), signals: make(map[signalKey]*Signal), tables: make(map[string][]Choice),
		framing: make(map[*Message]string),
	}
	for p.peek() != 0 || p.pos < len(p.src) {
		if p.statement(); p.err != nil && errors.Is(p.err, errTooMuch) {
			return fail("line %d: %v", p.line, p.err)
		}
	}
	if p.known == 0 {
		return fail("no line of it reads like `BO_ 513 EngineData: 8 ECU`; export the database as DBC")
	}
	p.finish()
	return p.file, nil
}

// errTooMuch ends the reading of a file that is past a bound.
var errTooMuch = errors.New("too much for one file")

func tooMany(what string, most int) error {
	return fmt.Errorf("%w: more than %d %s; export the messages that are needed into a smaller file", errTooMuch, most, what)
}

// keywords maps the first word of a statement to its reader; a nil reader
// means that the statement says nothing a decoder needs.
func (p *parser) keyword(word []byte) (read func(), ok bool) {
	switch string(word) {
	case "VERSION":
		return func() { p.quoted(theVersion) }, true
	case "NS_":
		return p.newSymbols, true
	case "BS_", "BU_":
		return p.words, true
	case "BO_":
		return p.message, true
	case "SG_":
		return p.signal, true
	case "VAL_":
		return p.values, true
	case "VAL_TABLE_":
		return p.valueTable, true
	case "BA_DEF_":
		return p.define, true
	case "BA_DEF_DEF_":
		return p.defaultValue, true
	case "BA_":
		return p.attribute, true
	case "SIG_VALTYPE_":
		return p.valueType, true
	case "SG_MUL_VAL_":
		return p.multiplexRanges, true
	case "CM_", "EV_", "ENVVAR_DATA_", "EV_DATA_", "BO_TX_BU_", "SIG_GROUP_", "SIG_TYPE_REF_", "SGTYPE_", "SGTYPE_VAL_",
		"SIGTYPE_VALTYPE_", "BA_DEF_SGTYPE_", "BA_SGTYPE_", "BA_DEF_REL_", "BA_REL_", "BA_DEF_DEF_REL_", "BU_SG_REL_",
		"BU_EV_REL_", "BU_BO_REL_", "CAT_DEF_", "CAT_", "FILTER", "NS_DESC_":
		return nil, true
	}
	return nil, false
}

// statement reads one; whatever is wrong with it is listed and skipped.
func (p *parser) statement() {
	start, line := p.pos, p.line
	word := p.word()
	read, ok := p.keyword(word)
	switch {
	case !ok && len(word) == 0: // stray punctuation, most often a second `;`
		p.pos++
		if c := p.src[p.pos-1]; c != ';' {
			p.warn(line, "a stray `%s` was skipped with what follows it on the line", clip(p.src[p.pos-1:p.pos]))
			p.endLine()
		}
		return
	case !ok && bytes.HasPrefix(word, []byte("//")):
		p.endLine()
		return
	case !ok:
		p.warn(line, "`%s` is no keyword of the format; the statement was left out", clip(word))
		p.skip()
		return
	}
	p.known++
	if read == nil {
		p.skip()
		return
	}
	read()
	if p.err == nil || errors.Is(p.err, errTooMuch) {
		return
	}
	p.warn(line, "%v; the statement `%s …` was left out: correct it in the tool that wrote the file", p.err, clip(firstWords(p.src[start:])))
	p.err = nil
	p.twice += p.pos - start
	p.pos, p.line = start, line // whatever it swallowed may be good
	p.resume()
	if p.twice > maxTwice {
		p.err = fmt.Errorf("%w: mistakes in every line; is this a DBC file?", errTooMuch)
	}
}

// firstWords returns the beginning of a statement, enough to find it.
func firstWords(b []byte) []byte {
	b = bytes.TrimLeft(b[:min(len(b), 38)], " \t\r\n")
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		b = b[:i]
	}
	return bytes.TrimSpace(b)
}

// skip passes over a statement: to its `;` outside of texts, or to a line that
// begins with a keyword.
func (p *parser) skip() {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; c {
		case ';':
			p.pos++
			return
		case '"':
			if p.quoted("a text"); p.err != nil {
				p.warn(p.line, "%v; the statement was left out", p.err)
				p.err = nil
				p.resume()
				return
			}
			continue
		case '\n':
			p.pos++
			p.line++
			if p.atKeyword() {
				return
			}
			continue
		}
		p.pos++
	}
}

// resume goes on behind a statement that could not be read: at the next line
// that begins with a keyword.
func (p *parser) resume() {
	for {
		p.endLine()
		if p.pos >= len(p.src) {
			return
		}
		p.pos++
		p.line++
		if p.atKeyword() {
			return
		}
	}
}

// atKeyword reports whether the line that begins here begins with a keyword.
func (p *parser) atKeyword() bool {
	at := p.pos
	p.blanks()
	i := p.pos
	for i < len(p.src) && i-p.pos < 20 && !delimiters[p.src[i]] {
		i++
	}
	_, ok := p.keyword(p.src[p.pos:i])
	p.pos = at
	return ok
}

func (p *parser) warn(line int, format string, args ...any) {
	if len(p.file.Warnings) >= maxWarnings {
		p.file.More++
		return
	}
	p.file.Warnings = append(p.file.Warnings, Warning{p.file.Name, line, fmt.Sprintf(format, args...)})
}

// newSymbols skips the list of keywords behind NS_: words alone on their line.
func (p *parser) newSymbols() {
	p.accept(':')
	for p.peek() != 0 {
		at, line := p.pos, p.line
		if len(p.word()) == 0 {
			return
		}
		p.blanks()
		if p.pos < len(p.src) && p.src[p.pos] != '\n' {
			p.pos, p.line = at, line
			return
		}
	}
}

// words skips what stands behind BS_ and BU_, whose lists may have several
// lines and have no end mark.
func (p *parser) words() {
	p.accept(':')
	p.endLine()
	for p.pos < len(p.src) {
		p.pos++
		p.line++
		at := p.pos
		p.blanks()
		indented := p.pos > at && p.pos < len(p.src) && p.src[p.pos] != '\n'
		p.pos = at
		if !indented || p.atKeyword() {
			return
		}
		p.endLine()
	}
}

// finish does what needs the whole file.
func (p *parser) finish() {
	if p.orphans > 0 {
		p.warn(p.line, "%d signals were left out with the messages they belong to", p.orphans)
	}
	for _, m := range p.file.Messages {
		p.setFraming(m)
		p.link(m)
		for _, s := range m.Signals {
			sort.SliceStable(s.Choices, func(i, j int) bool { return s.Choices[i].Value < s.Choices[j].Value })
		}
	}
	if len(p.file.Messages) == 0 {
		p.warn(p.line, "the file defines no message (BO_), so nothing can be decoded with it")
	}
	sort.SliceStable(p.file.Warnings, func(i, j int) bool { return p.file.Warnings[i].Line < p.file.Warnings[j].Line })
}
