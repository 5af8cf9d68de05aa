package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Sentinels of what Load and Parse return, for errors.Is.
var (
	// ErrLater is wrapped by each Error about a key that this release names and
	// does not have yet. Cure: remove the key, or install a later release.
	ErrLater = errors.New("comes with a later release")
	// ErrUnreadable is wrapped by each Error about a file that could not be
	// read at all. Cure: its path and its permissions.
	ErrUnreadable = errors.New("configuration file cannot be read")
)

// Error is one mistake: where it stands, what is wrong and how to cure it.
type Error struct {
	File    string // path as it was given
	Line    int    // from 1; 0 when the file as a whole is meant
	Column  int    // from 1, in characters; 0 when the line as a whole is meant
	Text    string // the line, as it stands in the file
	Problem string // what is wrong, without a full stop
	Cure    string // what to do about it, without a full stop
	Err     error  // ErrLater, ErrUnreadable or nil
}

// Error returns several lines: position and problem, the line with a caret
// under the spot, and the cure.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
		if e.Column > 0 {
			fmt.Fprintf(&b, ":%d", e.Column)
		}
	}
	b.WriteString(": ")
	b.WriteString(e.Problem)
	if e.Line > 0 {
		text, caret := excerpt(e.Text, e.Column)
		fmt.Fprintf(&b, "\n%5d | %s", e.Line, text)
		if e.Column > 0 {
			fmt.Fprintf(&b, "\n      | %s^", strings.Repeat(" ", caret))
		}
	}
	if e.Cure != "" {
		b.WriteString("\n  cure: ")
		b.WriteString(e.Cure)
	}
	return b.String()
}

// Unwrap returns ErrLater, ErrUnreadable or nil.
func (e *Error) Unwrap() error { return e.Err }

// maxExcerpt is how much of a line is shown; more does not fit a terminal.
const maxExcerpt = 100

// excerpt returns the part of a line around column, printable, and how many
// characters of it stand before that column.
func excerpt(text string, column int) (shown string, before int) {
	var runes []rune
	for _, r := range strings.TrimRight(text, "\r\n") {
		switch {
		case r == '\t':
			r = '→'
		case r < ' ' || r == 0x7F || r == utf8.RuneError:
			r = '·'
		}
		runes = append(runes, r)
	}
	before = min(max(column-1, 0), len(runes))
	from := 0
	if before > maxExcerpt*3/4 {
		from = before - maxExcerpt/2
	}
	to := min(len(runes), from+maxExcerpt)
	shown = string(runes[from:to])
	before -= from
	if from > 0 {
		shown = "…" + shown
		before++
	}
	if to < len(runes) {
		shown += "…"
	}
	return shown, before
}

// Errors is every mistake found, in the order of files and lines. It is what
// Load and Parse return when they return an error.
type Errors []*Error

// Error returns all of them, an empty line between two.
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, one := range e {
		all[i] = one.Error()
	}
	return strings.Join(all, "\n\n")
}

// Unwrap returns the mistakes for errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

// OnlyLater reports whether nothing is wrong but keys of a later release.
func (e Errors) OnlyLater() bool {
	return len(e) > 0 && !slices.ContainsFunc(e, func(one *Error) bool { return !errors.Is(one, ErrLater) })
}
