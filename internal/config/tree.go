package config

import (
	"fmt"
	"strconv"
	"strings"

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
	plain   bool   // a scalar written without quotes
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
			line, column := position(firstToken(doc.Body))
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

// firstToken is where a node begins; the library says where its colon is.
func firstToken(n ast.Node) *token.Token {
	switch v := n.(type) {
	case *ast.MappingNode:
		if len(v.Values) > 0 && v.Values[0].Key != nil && !v.IsFlowStyle {
			return v.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return v.Key.GetToken()
	}
	return n.GetToken()
}

func (b *builder) build(n ast.Node) *node {
	if n == nil {
		return &node{kind: kindEmpty, place: place{b.src, 1, 1}}
	}
	out := &node{place: b.place(firstToken(n))}
	switch v := n.(type) {
	case *ast.MappingNode:
		b.mapping(out, v.Values, v.IsFlowStyle)
	case *ast.MappingValueNode:
		b.mapping(out, []*ast.MappingValueNode{v}, v.IsFlowStyle)
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
		if isPlain(v.GetToken()) {
			out.plain, out.text = true, b.unquote(out.place, v.Value)
		}
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

// mapping builds the settings of a section; in braces they may lack a comma.
func (b *builder) mapping(out *node, values []*ast.MappingValueNode, braces bool) {
	out.kind = kindMap
	for _, v := range values {
		if v == nil || v.Key == nil {
			continue
		}
		tk := v.Key.GetToken()
		e := entry{where: b.place(tk), value: b.build(v.Value)}
		switch v.Key.(type) {
		case *ast.MergeKeyNode, *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MappingKeyNode:
			b.wrong = append(b.wrong, e.where.fail("this is not a plain key", "a key is one word, for example `unit:`"))
			continue
		case *ast.StringNode:
			e.key = v.Key.(*ast.StringNode).Value
			if isPlain(tk) {
				e.key = b.unquote(e.where, e.key)
			}
		default:
			e.key = strings.TrimSpace(tk.Value)
		}
		if e.value.kind == kindEmpty {
			e.value.place = e.where
		}
		b.add(out, e)
		if braces && e.value.plain {
			for _, more := range b.separate(&e) {
				b.add(out, more)
			}
		}
	}
}

// add appends one setting to a section, or says that it is there already.
func (b *builder) add(out *node, e entry) {
	if first, ok := out.lookup(e.key); ok {
		b.wrong = append(b.wrong, e.where.fail(fmt.Sprintf("`%s` is here a second time; it is already in line %d", e.key, first.where.line),
			"keep one of the two; entries of a list begin with `- `"))
		return
	}
	out.entries = append(out.entries, e)
}

// child returns the path of a key or list index under path.
func child(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func index(path string, i int) string { return child(path, strconv.Itoa(i)) }
