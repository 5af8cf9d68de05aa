package config

import (
	"reflect"
	"strconv"
	"strings"
)

// Schema returns the JSON Schema (draft 7, as editors of YAML read it) of a
// configuration file, of one in obu.yaml.d too: nothing is required but what an
// entry of a list has to have. It takes whatever Load does, and not all that it
// takes loads: no schema knows how long a duration is, or what needs what.
func Schema() string {
	w := schemaWriter{lines: strings.Split(example, "\n")}
	w.put(`{"$schema":"http://json-schema.org/draft-07/schema#","title":"obu.yaml",`)
	w.section(reflect.TypeFor[Config](), `"object"`, true, false)
	w.put("}\n")
	return w.b.String()
}

// schemaWriter writes the members of schemas. It has the example's lines, which
// explain the settings in the order in which they are declared.
type schemaWriter struct {
	b     strings.Builder
	lines []string
}

func (w *schemaWriter) put(text string) { w.b.WriteString(text) }

// explain returns what the example says of the next setting.
func (w *schemaWriter) explain(key string) (text string) {
	for len(w.lines) > 0 {
		line := strings.TrimSpace(w.lines[0])
		w.lines = w.lines[1:]
		if said, ok := strings.CutPrefix(line, "# "); ok {
			text += said + " "
		} else if strings.HasPrefix(strings.TrimLeft(line, "#- "), key+":") {
			break
		} else {
			text = ""
		}
	}
	return text
}

// section is a struct. Within an entry of a list nothing is merged from other
// files, so what is required has to stand there.
func (w *schemaWriter) section(t reflect.Type, kinds string, explained, entry bool) {
	w.put(`"type":[` + kinds + `,"null"],"additionalProperties":false,"properties":{`)
	required, sep := "", "\n"
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		key, ok := tag.Lookup("key")
		if !ok {
			continue
		}
		w.put(sep + strconv.Quote(key) + ":{")
		sep = ",\n"
		if text := ""; explained {
			if text = w.explain(key); tag.Get("max") != "" {
				text += "(" + boundsOf(tag) + ")"
			}
			if text = strings.TrimSpace(text); text != "" {
				w.put(`"description":` + strconv.Quote(text) + ",")
			}
		}
		if d := tag.Get("default"); d != "" {
			w.put(`"default":` + strconv.Quote(d) + ",")
		}
		w.setting(t.Field(i).Type, tag, explained, entry)
		w.put("}")
		if entry && tag.Get("required") != "" {
			required += "," + strconv.Quote(key)
		}
	}
	w.put("}")
	if required != "" {
		w.put(`,"required":[` + required[1:] + "]")
	}
}

func (w *schemaWriter) setting(t reflect.Type, tag reflect.StructTag, explained, entry bool) {
	if t.Kind() == reflect.Slice {
		w.put(`"type":["array","null"],"items":{`)
		defer w.put("}")
		t, entry = t.Elem(), true
		explained = explained && tag.Get("example") == ""
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() != reflect.Struct:
		w.word(t, tag)
	case t.Field(0).Tag.Get("key") == "enabled": // trips: true
		w.section(t, `"object","boolean"`, explained, entry)
	case t.Name() == "PID": // [0C, 0D]
		w.section(t, `"object","string","number"`, explained, entry)
	default:
		w.section(t, `"object"`, explained, entry)
	}
}

// word is one word, which may come from the environment. Numbers may be texts as
// well, and what YAML takes for a number (7E4, 007) may be a name.
func (w *schemaWriter) word(t reflect.Type, tag reflect.StructTag) {
	kinds, pattern := "", ""
	const size = `^\\+?[0-9.]+([kKMGT]?B|[KMGT]iB)`
	switch name := t.Name(); {
	case tag.Get("oneof") != "":
		w.put(`"anyOf":[{"type":"string","pattern":"\\$\\{"},{"enum":[null`)
		for _, word := range strings.Fields(tag.Get("oneof")) {
			w.put("," + strconv.Quote(word))
			if _, err := strconv.Atoi(word); err == nil {
				w.put("," + word)
			}
		}
		w.put("]}]")
		return
	case name == "bool":
		kinds, pattern = `"boolean",`, `^(true|false)$`
	case name == "int":
		kinds, pattern = `"integer",`, `^[-+]?[0-9_]+$`
		for _, b := range [...][2]string{{"min", "minimum"}, {"max", "maximum"}} {
			if limit := tag.Get(b[0]); limit != "" {
				w.put(strconv.Quote(b[1]) + ":" + limit + ",")
			}
		}
	case name == "Duration":
		pattern = `^\\+?([0-9.]+(ns|[uµμ]s|ms|s|m|h))+$`
	case name == "Size":
		pattern = size + "$"
	case name == "Rate":
		pattern = "^unlimited$|" + size + "/s$"
	case name == "Metres":
		pattern = `[0-9.] *k?m$`
	case name == "Speed":
		pattern = `[0-9.] *(km/h|m/s|mph)$`
	case name == "Acceleration":
		pattern = `[0-9.] *(m/s2|g)$`
	default:
		w.put(`"type":["string","number","boolean","null"]`)
		return
	}
	w.put(`"type":[` + kinds + `"string","null"],"pattern":"` + pattern + `|\\$\\{"`)
}
