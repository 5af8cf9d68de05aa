package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

type kind uint8

const (
	kindNull   kind = iota // said to be nothing: ~ or null
	kindEmpty              // nothing behind the colon
	kindScalar             // one word
	kindMap
	kindList
)

// place is where a node stands.
type place struct {
	src          *source
	line, column int
}

func (p place) fail(what, cure string) *Error { return p.src.at(p.line, p.column, what, cure) }

// node is a YAML value with its place. Scalars keep the text that was written,
// so that 007 stays 007 and no is a name if a name is wanted.
type node struct {
	kind kind
	place
	text    string // of a scalar, after ${ENV}
	env     bool   // text comes from the environment: never shown
	entries []entry
	items   []*node
}

// entry is one line of a map.
type entry struct {
	key   string
	where place // of the key
	value *node
}

func (n *node) lookup(key string) (*entry, bool) {
	for i := range n.entries {
		if n.entries[i].key == key {
			return &n.entries[i], true
		}
	}
	return nil, false
}

// maxDepth bounds nesting; a real file has five levels. The YAML parser is
// recursive, so deeper input is refused before it sees it.
const maxDepth = 32

// parseTree parses one file into a map node; nil when the file holds nothing.
func parseTree(src *source) (root *node, wrong Errors) {
	if e := prescan(src); e != nil {
		return nil, Errors{e}
	}
	defer func() {
		if p := recover(); p != nil { // the library gave up on something odd
			root, wrong = nil, Errors{src.at(1, 0, "this is not understood as YAML", "compare it with `obu config example`")}
		}
	}()
	file, err := parser.ParseBytes([]byte(strings.Join(src.lines, "\n")+"\n"), 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, Errors{syntaxError(src, err)}
	}
	var body ast.Node
	for _, doc := range file.Docs {
		if doc == nil || doc.Body == nil {
			continue
		}
		if body != nil {
			line, column := position(doc.Body.GetToken())
			return nil, Errors{src.at(line, column, "a second YAML document begins here", "remove the `---` line before it: one file is one configuration")}
		}
		body = doc.Body
	}
	if body == nil {
		return nil, nil
	}
	b := builder{src: src}
	root = b.build(body)
	if len(b.wrong) == 0 && root.kind != kindMap {
		e := root.fail("this is not a list of `key: value` lines", "compare it with `obu config example`")
		if hint := missingColon(src); hint != nil {
			e = hint
		}
		return nil, Errors{e}
	}
	return root, b.wrong
}

// builder turns the library's tree into ours, and collects what a
// configuration may not contain.
type builder struct {
	src   *source
	wrong Errors
}

func (b *builder) place(tk *token.Token) place {
	line, column := position(tk)
	return place{b.src, line, column}
}

func position(tk *token.Token) (line, column int) {
	if tk == nil || tk.Position == nil {
		return 1, 1
	}
	return max(tk.Position.Line, 1), max(tk.Position.Column, 1)
}

func (b *builder) build(n ast.Node) *node {
	if n == nil {
		return &node{kind: kindEmpty, place: place{b.src, 1, 1}}
	}
	out := &node{place: b.place(n.GetToken())}
	switch v := n.(type) {
	case *ast.MappingNode:
		b.mapping(out, v.Values)
	case *ast.MappingValueNode:
		b.mapping(out, []*ast.MappingValueNode{v})
	case *ast.SequenceNode:
		out.kind = kindList
		for _, item := range v.Values {
			out.items = append(out.items, b.build(item))
		}
	case *ast.NullNode:
		out.kind = kindEmpty
		if tk := v.GetToken(); tk != nil && tk.Type == token.NullType && strings.TrimSpace(tk.Origin) != "" {
			out.kind = kindNull
		}
	case *ast.StringNode:
		out.kind, out.text = kindScalar, v.Value
	case *ast.LiteralNode:
		out.kind = kindScalar
		if v.Value != nil {
			out.text = strings.TrimSpace(v.Value.Value)
		}
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		b.refuse(out, "YAML anchors and aliases (& and *) are not used here", "write the value out; if it begins with & or *, put it in quotes")
	case *ast.TagNode, *ast.DirectiveNode:
		b.refuse(out, "YAML tags and directives (! and %) are not used here", "remove it; if the value begins with ! or %, put it in quotes")
	case ast.ScalarNode: // numbers, booleans, .inf: the written word
		out.kind, out.text = kindScalar, strings.TrimSpace(n.GetToken().Value)
	default:
		b.refuse(out, "this is not understood here", "compare it with `obu config example`")
	}
	return out
}

func (b *builder) refuse(n *node, what, cure string) {
	n.kind = kindNull
	b.wrong = append(b.wrong, n.fail(what, cure))
}

func (b *builder) mapping(out *node, values []*ast.MappingValueNode) {
	out.kind = kindMap
	for i, v := range values {
		if v == nil || v.Key == nil {
			continue
		}
		tk := v.Key.GetToken()
		e := entry{where: b.place(tk), value: b.build(v.Value)}
		if i == 0 {
			out.place = e.where
		}
		switch v.Key.(type) {
		case *ast.MergeKeyNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MappingKeyNode:
			b.wrong = append(b.wrong, e.where.fail("this is not a plain key", "a key is one word, for example `unit:`"))
			continue
		case *ast.StringNode:
			e.key = v.Key.(*ast.StringNode).Value
		default:
			e.key = strings.TrimSpace(tk.Value)
		}
		if e.value.kind == kindEmpty {
			e.value.place = e.where
		}
		if first, ok := out.lookup(e.key); ok {
			b.wrong = append(b.wrong, e.where.fail(fmt.Sprintf("`%s` is here a second time; it is already in line %d", e.key, first.where.line),
				"keep one of the two; entries of a list begin with `- `"))
			continue
		}
		out.entries = append(out.entries, e)
	}
}

// prescan refuses what the YAML parser would misunderstand or choke on: tabs
// in the indentation and absurd nesting.
func prescan(src *source) *Error {
	depth := 0
	for i, line := range src.lines {
		body := strings.TrimLeft(line, " ")
		indent := len(line) - len(body)
		if strings.HasPrefix(body, "\t") && strings.TrimSpace(body) != "" && !strings.HasPrefix(strings.TrimSpace(body), "#") {
			return src.at(i+1, indent+1, "a tab is used to indent this line", "YAML wants spaces: replace each tab by two spaces")
		}
		dashes := strings.Count(body[:len(body)-len(strings.TrimLeft(body, "-?! &*\t"))], " ")
		if dashes > maxDepth || indent > 8*maxDepth {
			return src.at(i+1, indent+1, "this is nested too deeply", "compare it with `obu config example`")
		}
		for j, r := range line {
			switch r {
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			if depth > maxDepth {
				return src.at(i+1, j+1, "too many brackets are open here", "close each `[` with `]` and each `{` with `}`")
			}
		}
		depth = max(depth, 0)
	}
	return nil
}

// syntaxError says in plain words what the YAML parser stumbled over.
func syntaxError(src *source, err error) *Error {
	line, column, message := 1, 1, err.Error()
	if y, ok := err.(yaml.Error); ok {
		line, column = position(y.GetToken())
		message = y.GetMessage()
	}
	line = min(line, len(src.lines))
	if hint := missingColon(src); hint != nil {
		return hint
	}
	text := src.lines[line-1]
	switch {
	case strings.Contains(message, "quoted text") || strings.Contains(message, "quote"):
		return src.at(line, column, "a quote is opened here and never closed", "put the same quote at the end of the value")
	case strings.Contains(message, "']'") || strings.Contains(message, "'['") || strings.Contains(message, "sequence end token"):
		return src.at(line, column, "the brackets of a list do not match", "a list is written [a, b, c], or one `- ` line for each entry")
	case strings.Contains(message, "'}'") || strings.Contains(message, "'{'") || strings.Contains(message, "flow map"):
		return src.at(line, column, "the braces do not match", "write {key: value, key: value}, or one `key: value` line for each")
	case strings.Contains(message, "alias") || strings.Contains(message, "anchor"):
		return src.at(line, column, "YAML anchors and aliases (& and *) are not used here", "write the value out; if it begins with & or *, put it in quotes")
	case strings.Contains(message, "reserved character") || strings.Contains(message, "cannot start any token"):
		return src.at(line, column, "a value cannot begin with this character", "put the value in quotes")
	case strings.Count(text, ": ") > 1 && strings.Contains(message, "mapping value"):
		return src.at(line, column, "there are two colons in this line", "put the value in quotes if the second colon belongs to it")
	case indentOf(text)%2 == 1 || strings.Contains(message, "non-map value") || strings.Contains(message, "value is not allowed in this context") ||
		strings.Contains(message, "unexpected key name") || strings.Contains(message, "map key"):
		return src.at(line, indentOf(text)+1, "the indentation of this line does not fit the lines above", "keys of one section begin in the same column; a section's keys stand two spaces further in")
	}
	return src.at(line, column, "this is not understood as YAML: "+message, "compare it with `obu config example`")
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// missingColon looks for the most frequent slip: a known key without its
// colon, or without the space after it.
func missingColon(src *source) *Error {
	known := allKeys()
	for i, line := range src.lines {
		body := strings.TrimPrefix(strings.TrimLeft(line, " "), "- ")
		n := strings.IndexFunc(body, func(r rune) bool { return (r < 'a' || r > 'z') && r != '_' })
		if n <= 0 || !known[body[:n]] {
			continue
		}
		column := len(line) - len(body) + n + 1
		key, rest := body[:n], body[n:]
		switch {
		case rest[0] == ':' && len(rest) > 1 && rest[1] != ' ' && rest[1] != '\t':
			return src.at(i+1, column, fmt.Sprintf("there is no space after `%s:`", key), "write `"+key+": "+cut(rest[1:])+"`")
		case rest[0] == ' ' && strings.TrimSpace(rest) != "" && !strings.Contains(rest, ": ") && !strings.HasSuffix(rest, ":") && !strings.HasPrefix(strings.TrimSpace(rest), "#") && !strings.HasPrefix(strings.TrimSpace(rest), ":"):
			return src.at(i+1, column, fmt.Sprintf("there is no colon after `%s`", key), "write `"+key+": "+cut(strings.TrimSpace(rest))+"`")
		case rest[0] == '=':
			return src.at(i+1, column, fmt.Sprintf("there is no colon after `%s`", key), "write `"+key+": "+cut(strings.TrimSpace(rest[1:]))+"`, not `=`")
		}
	}
	return nil
}

// cut shortens text for a cure.
func cut(text string) string {
	if r := []rune(text); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return text
}

// child returns the path of a key or list index under path.
func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return child(path, strconv.Itoa(i)) }
