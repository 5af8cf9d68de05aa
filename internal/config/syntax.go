package config

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
)

// prescan refuses what the YAML parser would misunderstand or choke on: tabs
// in the indentation and absurd nesting.
func prescan(src *source) *Error {
	depth := 0
	for i, line := range src.lines {
		body := strings.TrimLeft(line, " ")
		indent := len(line) - len(body)
		if strings.HasPrefix(body, "\t") && isContent(body) {
			return src.at(i+1, indent+1, "a tab is used to indent this line", "YAML wants spaces: replace each tab by two spaces")
		}
		lead := body[:len(body)-len(strings.TrimLeft(body, "-?! &*\t"))]
		if strings.Count(lead, " ") > maxDepth || indent > 8*maxDepth {
			return src.at(i+1, indent+1, "this is nested too deeply", "compare it with `obu config example`")
		}
		for j, r := range line {
			switch r {
			case '[', '{':
				depth++
			case ']', '}':
				depth = max(depth-1, 0)
			}
			if depth > maxDepth {
				return src.at(i+1, j+1, "too many brackets are open here", "close each `[` with `]` and each `{` with `}`")
			}
		}
	}
	return nil
}

// isContent reports whether a line is neither blank nor a comment.
func isContent(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && line[0] != '#'
}

// syntaxError says in plain words what the YAML parser stumbled over.
func syntaxError(src *source, err error) *Error {
	line, column, message := 1, 1, err.Error()
	if y, ok := err.(yaml.Error); ok {
		line, column = position(y.GetToken())
		message = y.GetMessage()
	}
	line = min(line, len(src.lines))
	says := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(message, w) {
				return true
			}
		}
		return false
	}
	if hint := missingColon(src); hint != nil {
		return hint
	}
	if hint := typographicError(src, line, says("quote")); hint != nil {
		return hint
	}
	switch {
	case says("quote"):
		return src.at(line, column, "a quote is opened here and never closed", "put the same quote at the end of the value")
	case says("'['", "']'", "'{'", "'}'", "sequence end token", "flow map", "sequence element"):
		return bracketError(src, line, column)
	case says("alias", "anchor"):
		return src.at(line, column, "YAML anchors and aliases (& and *) are not used here", "write the value out; if it begins with & or *, put it in quotes")
	case says("reserved character", "cannot start any token"):
		return src.at(line, column, "a value cannot begin with this character", "put the value in quotes")
	case says("mapping value") && strings.Count(src.lines[line-1], ": ") > 1:
		return src.at(line, column, "there are two colons in this line", "put the value in quotes if the second colon belongs to it")
	case says("non-map value", "value is not allowed", "mapping value", "unexpected key", "unexpected map key", "map key"):
		if odd := oddIndent(src); odd > 0 {
			line = odd
		}
		return src.at(line, indentOf(src.lines[line-1])+1, "the indentation of this line does not fit the lines above",
			"keys of one section begin in the same column; a section's keys stand two spaces further in")
	}
	return src.at(line, column, "this is not understood as YAML: "+message, "compare it with `obu config example`")
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// oddIndent returns the first line that begins in a column in which nothing
// can begin, or 0.
func oddIndent(src *source) int {
	open := []int{} // columns of the sections that are open
	opens := true   // the line before ended in a colon, or is the first
	for i, line := range src.lines {
		if !isContent(line) {
			continue
		}
		indent := indentOf(line)
		for len(open) > 0 && open[len(open)-1] > indent {
			open = open[:len(open)-1]
			opens = false
		}
		if len(open) == 0 || open[len(open)-1] < indent {
			if !opens {
				return i + 1
			}
			open = append(open, indent)
		}
		body := line[indent:]
		for strings.HasPrefix(body, "- ") { // an entry's keys begin behind the dash
			rest := strings.TrimLeft(body[1:], " ")
			indent += len(body) - len(rest)
			open = append(open, indent)
			body = rest
		}
		body, _, _ = strings.Cut(body, " #")
		opens = strings.HasSuffix(strings.TrimRight(body, " "), ":")
	}
	return 0
}

// bracketError finds the bracket that has no partner; line and column are
// where the parser gave up.
func bracketError(src *source, line, column int) *Error {
	type bracket struct {
		r            rune
		line, column int
	}
	var open []bracket
	partner := map[rune]rune{']': '[', '}': '{'}
	for i, text := range src.lines {
		var quote, before rune
		column := 0
		for _, r := range text {
			column++
			switch {
			case quote != 0:
				if r == quote {
					quote = 0
				}
			case r == '\'' || r == '"':
				quote = r
			case r == '#' && (before == ' ' || before == 0):
				quote = '\n' // the rest is a comment
			case r == '[' || r == '{':
				open = append(open, bracket{r, i + 1, column})
			case partner[r] != 0:
				if len(open) == 0 || open[len(open)-1].r != partner[r] {
					return src.at(i+1, column, fmt.Sprintf("there is no `%c` that belongs to this `%c`", partner[r], r), "remove it, or open it before")
				}
				open = open[:len(open)-1]
			}
			before = r
		}
	}
	if len(open) > 0 {
		o := open[len(open)-1]
		return src.at(o.line, o.column, fmt.Sprintf("this `%c` is never closed", o.r), "close it: [a, b] and {key: value, key: value}")
	}
	if hint := missingComma(src, line, column); hint != nil {
		return hint
	}
	return src.at(line, column, "brackets or braces are used wrongly here", "write [a, b] or {key: value}; if the bracket belongs to the value, put the value in quotes")
}

// missingColon looks for the most frequent slip: a known key without its
// colon, or without the space after it.
func missingColon(src *source) *Error {
	known := allKeys()
	for i, line := range src.lines {
		body := strings.TrimPrefix(strings.TrimLeft(line, " "), "- ")
		n := strings.IndexFunc(body, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
		if n < 0 {
			n = len(body)
		}
		if n == 0 || !known[body[:n]] {
			continue
		}
		key, rest := body[:n], body[n:]
		value := strings.TrimSpace(rest)
		what := fmt.Sprintf("there is no colon after `%s`", key)
		switch {
		case strings.HasPrefix(rest, ":") && len(rest) > 1 && rest[1] != ' ' && rest[1] != '\t':
			what, value = fmt.Sprintf("there is no space after `%s:`", key), rest[1:]
		case value == ": unix:": // YAML takes it for a key
			return src.at(i+1, strings.Index(line, "unix:")+1, "there is no path after unix:", "write the socket of the virtual car behind it, for example unix:/run/car/can0")
		case strings.HasPrefix(value, "="):
			value = strings.TrimSpace(value[1:])
		case value == "" && i+1 < len(src.lines) && indentOf(src.lines[i+1]) > indentOf(line):
		case strings.HasPrefix(rest, " ") && isContent(rest) && value[0] != ':' && !strings.Contains(value+" ", ": "):
		default:
			continue
		}
		cure := "write `" + strings.TrimSpace(key+": "+cut(value)) + "`"
		if key == "password" {
			cure = "write `password: …`"
		}
		return src.at(i+1, indentOf(line)+len(strings.TrimLeft(line, " "))-len(rest)+1, what, cure)
	}
	return nil
}

// cut shortens text for a message.
func cut(text string) string {
	if r := []rune(text); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return text
}
