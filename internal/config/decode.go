package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// decoder fills a Config from the merged tree and collects what is wrong.
type decoder struct {
	env     func(string) (string, bool)
	wrong   Errors
	origin  map[string]Origin
	places  map[string]place // of each key that is set, by path
	within  string           // what is missing elsewhere is not reported; ""
	partial bool             // a file could not be parsed: what is missing may stand there
	spare   bool             // it ran well with an older release: see checkSelection

	missing []missing       // required keys nobody set
	meant   map[string]bool // keys that an unknown one was probably meant to be
}

// missing is a required key that is not set.
type missing struct {
	path, key string
	where     place
	what, why string
}

func (d *decoder) fail(where place, what, cure string) *Error {
	e := where.fail(what, cure)
	d.wrong = append(d.wrong, e)
	return e
}

func (d *decoder) root(main *source, n *node, cfg *Config) {
	top := *n
	top.place = place{src: main} // what is missing is missing in the file as a whole
	d.structure("", &top, reflect.ValueOf(cfg).Elem())
	for _, m := range d.missing {
		if !d.partial && !d.meant[m.key] && strings.Contains(m.path, d.within) { // a misspelt key is one mistake, not two
			d.fail(m.where, m.what, m.why)
		}
	}
	d.conflicts(cfg)
}

// fieldsOf calls f for each configured field of a struct.
func fieldsOf(v reflect.Value, f func(tag reflect.StructTag, key string, field reflect.Value)) {
	for i := range v.NumField() {
		if key, ok := v.Type().Field(i).Tag.Lookup("key"); ok {
			f(v.Type().Field(i).Tag, key, v.Field(i))
		}
	}
}

// Default returns the configuration in which everything is at its default. It
// names no unit, no device and no broker.
func Default() Config {
	var c Config
	setDefaults(reflect.ValueOf(&c).Elem())
	return c
}

func setDefaults(v reflect.Value) {
	fieldsOf(v, func(tag reflect.StructTag, key string, field reflect.Value) {
		switch {
		case field.Kind() == reflect.Struct:
			setDefaults(field)
		case tag.Get("default") != "":
			if p := setScalar(field, tag.Get("default")); p != nil {
				panic("config: default of " + key + ": " + p.what) // a test sees it first
			}
		}
	})
}

// structure decodes a map into a struct that it sets to defaults first.
func (d *decoder) structure(path string, n *node, v reflect.Value) {
	setDefaults(v)
	set := map[string]bool{}
	for _, e := range n.entries {
		known := false
		fieldsOf(v, func(tag reflect.StructTag, key string, field reflect.Value) {
			if key != e.key {
				return
			}
			known = true
			p := child(path, key)
			set[key] = d.value(p, e, tag, field)
			d.places[p] = e.where
			d.origin[p] = Origin{e.where.src.file, e.where.line}
		})
		if !known {
			d.unknown(path, e, v)
		}
	}
	fieldsOf(v, func(tag reflect.StructTag, key string, field reflect.Value) {
		if set[key] {
			return
		}
		if field.Kind() == reflect.Struct { // its own required keys
			d.structure(child(path, key), &node{kind: kindMap, place: n.place}, field)
		}
		if why := tag.Get("required"); why != "" {
			d.missing = append(d.missing, missing{path, key, n.place, fmt.Sprintf("`%s` is missing%s", key, under(path)), why})
		}
	})
}

// under says where a key belongs, for people.
func under(path string) string {
	if path == "" {
		return ""
	}
	section := path
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		section = path[i+1:]
		if n, err := strconv.Atoi(section); err == nil {
			return fmt.Sprintf(" in entry %d of `%s`", n+1, lastWord(path[:i]))
		}
	}
	return fmt.Sprintf(" under `%s`", section)
}

func lastWord(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// value decodes one setting; false when it is not set after all, so that it
// counts as missing if it is required.
func (d *decoder) value(path string, e entry, tag reflect.StructTag, v reflect.Value) (set bool) {
	n := e.value
	if n.kind == kindNull {
		return false
	}
	switch {
	case v.Kind() == reflect.Struct:
		return d.section(path, e, v)
	case v.Kind() == reflect.Pointer:
		if n.kind == kindEmpty {
			if first := v.Type().Elem().Field(0); first.Tag.Get("required") != "" {
				d.fail(n.place, fmt.Sprintf("there is nothing under `%s`", e.key), fmt.Sprintf("add its settings below it, two spaces further in, beginning with `%s: …`, or remove the line", first.Tag.Get("key")))
			}
			return false
		}
		fresh := reflect.New(v.Type().Elem())
		d.section(path, e, fresh.Elem())
		v.Set(fresh)
	case v.Kind() == reflect.Slice:
		if n.kind == kindEmpty {
			cure := "write " + sample(e.key, tag) + ", for example"
			if v.Type().Elem().Kind() == reflect.Struct {
				cure = "add an entry below it, " + entryOf(v.Type().Elem(), "…")
			}
			d.fail(n.place, fmt.Sprintf("there is nothing under `%s`", e.key), cure+", or remove the line")
			return false
		}
		if v.Type().Elem().Kind() == reflect.String {
			d.words(path, e, tag, v)
			break
		}
		d.list(path, e, v)
	default:
		d.scalar(path, e, tag, v)
	}
	return true
}

func (d *decoder) section(path string, e entry, v reflect.Value) bool {
	switch e.value.kind {
	case kindEmpty:
		return false
	case kindMap:
		e.value.place = e.where
		d.structure(path, e.value, v)
	case kindList:
		d.fail(e.value.place, fmt.Sprintf("`%s` is one section, not a list", e.key), "remove the `- `")
	default:
		if first := v.Type().Field(0).Tag; first.Get("key") == "enabled" && (e.value.text == "true" || e.value.text == "false") {
			setDefaults(v)
			d.scalar(child(path, "enabled"), e, first, v.Field(0))
			break
		}
		if hint := missingColon(e.value.src); hint != nil && hint.Line == e.value.line {
			d.wrong = append(d.wrong, hint)
			d.meant[v.Type().Field(0).Tag.Get("key")] = true
			break
		}
		if first := v.Type().Field(0).Tag; first.Get("key") == "enabled" && e.value.kind == kindScalar && !strings.Contains(e.value.text, ":") {
			d.fail(e.value.place, fmt.Sprintf("`%s` is neither true nor false, nor a section", cut(e.value.text)), "write `"+e.key+": true`, or its settings in the lines below it, two spaces further in: "+strings.Join(keysOf(v), ", "))
			break
		}
		cure := "its settings stand in the lines below it, two spaces further in: " + strings.Join(keysOf(v), ", ")
		if first := v.Type().Field(0).Tag; first.Get("required") != "" {
			cure = fmt.Sprintf("its settings stand in the lines below it, two spaces further in: `%s: %s`", first.Get("key"), cut(e.value.text))
		}
		d.fail(e.value.place, fmt.Sprintf("`%s` is a section and has no value of its own", e.key), cure)
	}
	return true
}

// entryOf is an entry of a list of structs, by way of example.
func entryOf(elem reflect.Type, value string) string {
	return fmt.Sprintf("`- %s: %s`", elem.Field(0).Tag.Get("key"), cut(value))
}

func (d *decoder) list(path string, e entry, v reflect.Value) {
	elem := v.Type().Elem()
	short := elem == reflect.TypeFor[PID]() // an entry may be its first value alone
	if e.value.kind != kindList {
		cure := "begin each entry with `- `, for example " + entryOf(elem, "…")
		if short {
			cure = "put it in brackets: [0C, 0D]"
		}
		d.fail(e.value.place, fmt.Sprintf("`%s` is a list", e.key), cure)
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, len(e.value.items))
	for i, item := range e.value.items {
		p := index(path, i)
		one := reflect.New(elem).Elem()
		switch {
		case item.kind == kindMap:
			d.structure(p, item, one)
		case short && item.kind == kindScalar:
			setDefaults(one)
			d.scalar(p, entry{e.key, item.place, item}, elem.Field(0).Tag, one.Field(0))
		case short:
			d.fail(item.place, fmt.Sprintf("entry %d of `%s` is empty or a list", i+1, e.key), "write [0C, 0D], or {pid: 0C, period: 5s} for one with its own period")
		case item.kind == kindScalar:
			d.fail(item.place, fmt.Sprintf("entry %d of `%s` has no settings", i+1, e.key), "write "+entryOf(elem, item.text)+" and its other settings below it")
		default:
			d.fail(item.place, fmt.Sprintf("entry %d of `%s` is empty or a list", i+1, e.key), "write "+entryOf(elem, "…")+" and its other settings below it")
		}
		d.places[p] = item.place
		d.origin[p] = Origin{item.src.file, item.line}
		out = reflect.Append(out, one)
	}
	v.Set(out)
}

// scalar decodes one word and checks it against the field's tags.
func (d *decoder) scalar(path string, e entry, tag reflect.StructTag, v reflect.Value) {
	n := e.value
	switch n.kind {
	case kindEmpty:
		d.fail(n.place, fmt.Sprintf("`%s` has no value", e.key), "write one behind the colon, or remove the line")
		return
	case kindMap, kindList:
		what := "a list"
		if n.kind == kindMap {
			what = "a section"
		}
		d.fail(n.place, fmt.Sprintf("`%s` is one value, not %s", e.key, what), "write it in the same line: "+sample(e.key, tag))
		return
	}
	if !d.expand(n) {
		return
	}
	p := setScalar(v, n.text)
	if p == nil {
		p = checkTags(tag, v, n.text)
	}
	if p == nil {
		return
	}
	if n.env {
		p = &problem{"the value, which comes from the environment, is not right", "it has to look like " + sample(e.key, tag)}
	}
	d.fail(n.place, fmt.Sprintf("`%s`: %s", e.key, p.what), p.cure)
}

// sample returns a line that would be right.
func sample(key string, tag reflect.StructTag) string {
	for _, t := range [...]string{"example", "default"} {
		if s := tag.Get(t); s != "" {
			return "`" + key + ": " + s + "`"
		}
	}
	return "`" + key + ": …`"
}
