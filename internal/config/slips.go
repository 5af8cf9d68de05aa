package config

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/token"
)

// Slips that the YAML parser takes for part of a value, so that nobody would
// be told: a comma that is missing between two settings in braces, and quotes
// as word processors write them. The builder reports them and goes on with
// what was meant, so that one slip is one mistake.

// isPlain reports whether a word was written without quotes.
func isPlain(tk *token.Token) bool {
	return tk == nil || tk.Type != token.SingleQuoteType && tk.Type != token.DoubleQuoteType
}

// typographic are quotes that look like quotes and mean nothing in YAML; of
// these an apostrophe may also begin a word.
const (
	typographic = "“”„‟‘’‚‛«»‹›″′＂´"
	apostrophe  = '’'
)

const typographicCure = "use plain quotes, \" or ', or none; a typographic one that belongs to the value stands between plain quotes"

func typographicProblem(r rune) string {
	return fmt.Sprintf("`%c` is a typographic quote, as word processors write it", r)
}

// unquote reports a plain word that begins with a typographic quote, and
// returns what stands between them.
func (b *builder) unquote(where place, text string) string {
	first, n := utf8.DecodeRuneInString(text)
	last, m := utf8.DecodeLastRuneInString(text)
	closed := len(text) > n && strings.ContainsRune(typographic+`"'`, last)
	if !strings.ContainsRune(typographic, first) || n == 0 || first == apostrophe && !closed {
		return text
	}
	b.wrong = append(b.wrong, where.fail(typographicProblem(first), typographicCure))
	text = text[n:]
	if closed {
		text = text[:len(text)-m]
	}
	return text
}

// typographicError reports the first typographic quote at the beginning of a
// word, or anywhere, in a line the parser did not understand; nil when there
// is none.
func typographicError(src *source, line int, anywhere bool) *Error {
	before := ':' // the last that is no blank
	for i, r := range []rune(src.lines[line-1]) {
		switch {
		case r == '#' && before != ':':
			return nil // a comment
		case strings.ContainsRune(typographic, r) && (anywhere || strings.ContainsRune(":-[{,", before)):
			return src.at(line, i+1, typographicProblem(r), typographicCure)
		case r != ' ':
			before = r
		}
	}
	return nil
}

// comma reports that a comma is missing before a key.
func comma(where place, key string) *Error {
	return where.fail(fmt.Sprintf("there is no comma before `%s`", key), "settings in braces have a comma between them: {key: value, key: value}")
}

// separate reports what a plain value in braces has swallowed because a comma
// is missing, and returns it as the settings it was meant to be.
func (b *builder) separate(e *entry) (more []entry) {
	for n := e.value; ; n = more[len(more)-1].value {
		text := n.text
		before, rest, ok := strings.Cut(text+" ", ": ")
		if !ok {
			return more
		}
		i := strings.LastIndexAny(before, " \t") + 1
		key := before[i:]
		if i == 0 || !allKeys()[key] {
			b.wrong = append(b.wrong, n.fail("there are two colons in this value", "put it in quotes if the second colon belongs to it"))
			return more
		}
		where := n.after(text, i)
		b.wrong = append(b.wrong, comma(where, key))
		n.text = strings.TrimSpace(before[:i])
		value := &node{kind: kindScalar, text: strings.TrimSpace(rest)}
		value.place = n.after(text, len(text)-len(strings.TrimLeft(strings.TrimSuffix(rest, " "), " \t")))
		if value.text == "" {
			value.kind, value.place = kindEmpty, where
		}
		more = append(more, entry{key: key, where: where, value: value})
	}
}

// after returns the place i bytes into the text of a plain word, or that of
// the word when the line does not hold it as it is.
func (p place) after(text string, i int) place {
	line := []rune(p.src.lines[min(max(p.line, 1), len(p.src.lines))-1])
	word := []rune(text)
	if from := p.column - 1; from >= 0 && from+len(word) <= len(line) && string(line[from:from+len(word)]) == text {
		p.column += utf8.RuneCountInString(text[:i])
	}
	return p
}

// missingComma looks for a known key at the spot where the parser gave up
// inside braces.
func missingComma(src *source, line, column int) *Error {
	text := []rune(src.lines[line-1])
	if column > len(text) {
		return nil
	}
	key, _, ok := strings.Cut(string(text[column-1:]), ":")
	if !ok || !allKeys()[key] {
		return nil
	}
	return comma(place{src, line, column}, key)
}
