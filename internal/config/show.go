package config

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
)

// Mask stands for a secret in what Show returns.
const Mask = "********"

//go:embed example.yaml
var example string

// Example returns a commented configuration that shows every setting. What has
// a default is set to it; what has none is given by way of example.
func Example() string { return example }

// Show returns the resolved configuration as YAML, each value with the file
// and line it comes from, secrets masked.
func Show(c *Config) string {
	return render(c, renderOptions{origins: true, mask: true})
}

// Hash returns 16 hexadecimal digits that change when a setting does. Secrets
// do not count, so that the hash may be published.
func (c Config) Hash() string {
	sum := sha256.Sum256([]byte(render(&c, renderOptions{mask: true})))
	return hex.EncodeToString(sum[:8])
}

type renderOptions struct {
	origins bool
	mask    bool
}

// render writes c as YAML that Parse reads back to the same Config.
func render(c *Config, opt renderOptions) string {
	r := renderer{opt: opt, origin: c.origin}
	r.structure("", "", reflect.ValueOf(c).Elem())
	return r.b.String()
}

type renderer struct {
	b      strings.Builder
	opt    renderOptions
	origin map[string]Origin
}

// structure writes the fields of v; indent is what stands before each line.
func (r *renderer) structure(path, indent string, v reflect.Value) {
	fieldsOf(v, func(tag reflect.StructTag, key string, field reflect.Value) {
		p := child(path, key)
		switch {
		case field.Kind() == reflect.Pointer:
			if !field.IsNil() {
				r.line(indent, key+":", "")
				r.structure(p, nested(indent), field.Elem())
			}
		case field.Kind() == reflect.Struct:
			r.line(indent, key+":", "")
			r.structure(p, nested(indent), field)
		case field.Type() == reflect.TypeFor[[]string]():
			if field.Len() > 0 {
				words := make([]string, field.Len())
				for i := range words {
					words[i] = quote(field.Index(i).String())
				}
				r.line(indent, key+": ["+strings.Join(words, ", ")+"]", r.from(p))
			}
		case field.Kind() == reflect.Slice:
			if field.Len() > 0 {
				r.line(indent, key+":", "")
				for i := range field.Len() {
					r.structure(index(p, i), nested(indent)+"- ", field.Index(i))
				}
			}
		case tag.Get("default") == "" && field.IsZero() && !strings.HasSuffix(indent, "- "):
			return // nothing is said about it
		default:
			text := fmt.Sprint(field.Interface())
			if tag.Get("secret") != "" && r.opt.mask {
				text = Mask
			}
			r.line(indent, key+": "+quote(text), r.from(p))
		}
		indent = strings.Repeat(" ", len(indent)) // only the first line of an entry has the dash
	})
}

// nested is the indentation of what stands under a line with indent.
func nested(indent string) string { return strings.Repeat(" ", len(indent)+2) }

func (r *renderer) line(indent, text, comment string) {
	r.b.WriteString(indent + text)
	if comment != "" {
		r.b.WriteString("  # " + comment)
	}
	r.b.WriteByte('\n')
}

// from says where the value at path comes from.
func (r *renderer) from(path string) string {
	if !r.opt.origins {
		return ""
	}
	o, ok := r.origin[path]
	if !ok { // a short entry of a list: [0C, 0D]
		if i := strings.LastIndexByte(path, '.'); i > 0 && strings.HasSuffix(path, ".pid") {
			o, ok = r.origin[path[:i]]
		}
	}
	if !ok || o.File == "" {
		return "default"
	}
	return fmt.Sprintf("%s:%d", strings.Join(strings.Fields(o.File), " "), o.Line)
}

// quote writes text so that Parse reads the same text back.
func quote(text string) string {
	plain := text != "" && text != "~" && !strings.EqualFold(text, "null")
	for i, r := range text {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '/' || r == '_'
		if !letter && (i == 0 || !strings.ContainsRune("-.:@+", r)) || r == ':' && i == len(text)-1 {
			plain = false
		}
	}
	if plain {
		return text
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ReplaceAll(text, "${", "$${") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7F || r == 0x85 || r == 0xA0 || r == 0x2028 || r == 0x2029 || r == 0xFEFF:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
