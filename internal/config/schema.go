package config

import (
	"encoding/json"
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
	root := w.section(reflect.TypeFor[Config](), true, false)
	root["$schema"], root["title"] = "http://json-schema.org/draft-07/schema#", "obu.yaml"
	text, err := json.MarshalIndent(root, "", " ")
	if err != nil {
		panic("config: schema: " + err.Error()) // maps, lists and words alone
	}
	return string(text) + "\n"
}

type schema map[string]any

// schemaWriter has the example's lines, which explain the settings in the order
// in which they are declared.
type schemaWriter struct{ lines []string }

// explain returns what the example says of the next setting.
func (w *schemaWriter) explain(key string) string {
	var text []string
	for len(w.lines) > 0 {
		line := strings.TrimSpace(w.lines[0])
		w.lines = w.lines[1:]
		if said, ok := strings.CutPrefix(line, "# "); ok {
			text = append(text, said)
		} else if strings.HasPrefix(strings.TrimLeft(line, "#- "), key+":") {
			break
		} else {
			text = nil
		}
	}
	return strings.Join(text, " ")
}

// section is the schema of a struct. Within an entry of a list nothing is merged
// from other files, so what is required has to stand there.
func (w *schemaWriter) section(t reflect.Type, explained, entry bool) schema {
	keys := schema{}
	out := schema{"type": []string{"object", "null"}, "additionalProperties": false, "properties": keys}
	if t.Field(0).Tag.Get("key") == "enabled" {
		out["type"] = []string{"object", "boolean", "null"} // trips: true
	}
	var required []string
	for i := range t.NumField() {
		tag := t.Field(i).Tag
		key, ok := tag.Lookup("key")
		if !ok {
			continue
		}
		text := ""
		if explained {
			text = w.explain(key)
		}
		s := w.setting(t.Field(i).Type, tag, explained, entry)
		if bounds := boundsOf(tag); bounds != "use at least " {
			text += " (" + bounds + ")"
		}
		if text = strings.TrimSpace(text); text != "" {
			s["description"] = text
		}
		if d := tag.Get("default"); d != "" {
			s["default"] = d
		}
		if keys[key] = s; entry && tag.Get("required") != "" {
			required = append(required, key)
		}
	}
	if required != nil {
		out["required"] = required
	}
	return out
}

func (w *schemaWriter) setting(t reflect.Type, tag reflect.StructTag, explained, entry bool) schema {
	switch t.Kind() {
	case reflect.Pointer:
		return w.section(t.Elem(), explained, entry)
	case reflect.Struct:
		return w.section(t, explained, entry)
	case reflect.Slice:
		var items schema
		if elem := t.Elem(); elem.Kind() == reflect.Struct {
			items = w.section(elem, explained && tag.Get("example") == "", true)
			items["type"] = "object"
			if elem == reflect.TypeFor[PID]() {
				items["type"] = []string{"object", "string", "number"} // [0C, 0D]
			}
		} else {
			items = wordSchema(elem, tag)
		}
		return schema{"type": []string{"array", "null"}, "items": items}
	}
	return wordSchema(t, tag)
}

// inEnv passes a value that comes from the environment.
const inEnv = `|\$\{`

// Patterns of quantities, which have to be texts since they have a unit.
const sizePattern = `^\+?[0-9.]+([kKMGT]?B|[KMGT]iB)`

var quantities = map[reflect.Type]string{
	reflect.TypeFor[Duration]():     `^\+?([0-9.]+(ns|[uµμ]s|ms|s|m|h))+$`,
	reflect.TypeFor[Size]():         sizePattern + "$",
	reflect.TypeFor[Rate]():         "^unlimited$|" + sizePattern + "/s$",
	reflect.TypeFor[Metres]():       `[0-9.] *k?m$`,
	reflect.TypeFor[Speed]():        `[0-9.] *(km/h|m/s|mph)$`,
	reflect.TypeFor[Acceleration](): `[0-9.] *(m/s2|g)$`,
}

// wordSchema is the schema of one word. Numbers may be texts as well, and what
// YAML takes for a number (7E4, 007) may be a name.
func wordSchema(t reflect.Type, tag reflect.StructTag) schema {
	if list := tag.Get("oneof"); list != "" {
		words := []any{nil}
		for _, word := range strings.Fields(list) {
			words = append(words, word)
			if n, err := strconv.Atoi(word); err == nil {
				words = append(words, n)
			}
		}
		return schema{"anyOf": []schema{{"enum": words}, {"type": "string", "pattern": inEnv[1:]}}}
	}
	if pattern := quantities[t]; pattern != "" {
		return schema{"type": []string{"string", "null"}, "pattern": pattern + inEnv}
	}
	switch {
	case t.Kind() == reflect.Bool:
		return schema{"type": []string{"boolean", "string", "null"}, "pattern": "^(true|false)$" + inEnv}
	case t == reflect.TypeFor[int]():
		out := schema{"type": []string{"integer", "string", "null"}, "pattern": "^[-+]?[0-9_]+$" + inEnv}
		for word, key := range map[string]string{"min": "minimum", "max": "maximum"} {
			if n, err := strconv.Atoi(tag.Get(word)); err == nil {
				out[key] = n
			}
		}
		return out
	}
	return schema{"type": []string{"string", "number", "boolean", "null"}}
}
