package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// unknown reports a key that a struct does not have, with the best guess at
// what was meant.
func (d *decoder) unknown(path string, e entry, v reflect.Value) {
	full := child(plainPath(path), e.key)
	if later()[full] {
		d.fail(e.where, fmt.Sprintf("`%s`%s comes with a later release", e.key, under(path)), "remove it until then").Err = ErrLater
		return
	}
	keys := keysOf(v)
	what := fmt.Sprintf("unknown key `%s`%s", e.key, under(path))
	homes := homesOf(e.key)
	if word, value, ok := strings.Cut(e.key, " "); ok && slices.Contains(keys, word) {
		d.meant[word] = true
		if word == "password" {
			value = "…"
		}
		d.fail(e.where, fmt.Sprintf("there is no colon after `%s`", word), "write `"+word+": "+cut(strings.TrimSpace(value))+"`")
		return
	}
	switch meant, ok := nearest(e.key, keys); {
	case ok:
		d.meant[meant] = true
		section := child(plainPath(path), meant)
		walkSchema(reflect.TypeFor[Config](), "", func(path, key string) { // with what stands under it
			if path == section {
				d.meant[key] = true
			}
		})
		d.fail(e.where, what, fmt.Sprintf("did you mean `%s`?", meant))
	case len(homes) > 0:
		d.meant[e.key] = true
		d.fail(e.where, what, fmt.Sprintf("it belongs under %s; indent it there", orList(homes)))
	default:
		d.fail(e.where, what, "possible here: "+strings.Join(keys, ", "))
	}
}

// plainPath is a path without list indices.
func plainPath(path string) string {
	var out []string
	for part := range strings.SplitSeq(path, ".") {
		if part != "" && strings.Trim(part, "0123456789") != "" {
			out = append(out, part)
		}
	}
	return strings.Join(out, ".")
}

func keysOf(v reflect.Value) []string {
	var keys []string
	fieldsOf(v, func(_ reflect.StructTag, key string, _ reflect.Value) { keys = append(keys, key) })
	return keys
}

// walkSchema calls f for each key there is, with the path of its section.
func walkSchema(t reflect.Type, path string, f func(path, key string)) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for i := range t.NumField() {
		if key, ok := t.Field(i).Tag.Lookup("key"); ok {
			f(path, key)
			walkSchema(t.Field(i).Type, child(path, key), f)
		}
	}
}

// homesOf returns the sections that do have a key.
func homesOf(key string) []string {
	var homes []string
	walkSchema(reflect.TypeFor[Config](), "", func(path, k string) {
		if k == key && path != "" {
			homes = append(homes, "`"+path+"`")
		}
	})
	return homes
}

func allKeys() map[string]bool {
	keys := map[string]bool{}
	walkSchema(reflect.TypeFor[Config](), "", func(_, key string) { keys[key] = true })
	return keys
}

// nearest returns the word that one or two slips of the finger turn into the
// one given.
func nearest(word string, words []string) (string, bool) {
	plain := strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	best, least := "", 3
	for _, w := range words {
		if len(plain) >= 4 && (strings.TrimSuffix(plain, "s") == strings.TrimSuffix(w, "s")) {
			return w, true
		}
		if n := distance(plain, w); n < least && n <= max(1, len(w)/3) {
			best, least = w, n
		}
	}
	return best, best != ""
}

// maxWord bounds the words compared: a longer one is no slip of the finger.
const maxWord = 64

// distance counts the slips between two words: a letter too many, missing,
// wrong, or two swapped (optimal string alignment).
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := slices.Min([]int{rows[i-1][j] + 1, rows[i][j-1] + 1, rows[i-1][j-1] + cost})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// maxNames bounds the names that Nearest compares letter by letter.
const maxNames = 20_000

// Nearest returns up to three of names that may be meant by a word: the same
// but for capitals, with the same last part, or a few slips away.
func Nearest(word string, names []string) []string {
	word = strings.ToLower(strings.TrimRight(word, "*."))
	last := word[strings.LastIndexByte(word, '.')+1:]
	var best [3]struct {
		name string
		far  int
	}
	for i, name := range names {
		w := strings.ToLower(name)
		far := maxWord
		switch slips := max(2, len(word)/4); {
		case w == word:
			far = 0
		case w[strings.LastIndexByte(w, '.')+1:] == last:
			far = 1
		case i < maxNames && max(len(w), len(word))-min(len(w), len(word)) <= slips:
			if n := distance(word, w); n <= slips {
				far = 1 + n
			}
		}
		for k := range best {
			if b := &best[k]; far < maxWord && (b.name == "" || far < b.far) {
				copy(best[k+1:], best[k:])
				b.name, b.far = name, far
				break
			} else if b.name == name {
				break
			}
		}
	}
	var out []string
	for _, b := range best {
		if b.name != "" {
			out = append(out, b.name)
		}
	}
	return out
}

// Slip returns the one of names that a slip of the finger or two turn into a
// word or a path, "" where none is as near. A short last part is no slip of another: MAF
// and MAP.
func Slip(path string, names []string) (best string) {
	word := strings.ToLower(path)
	least := min(2, (len(word)-strings.LastIndexByte(word, '.')-1)/4) + 1
	for _, name := range names {
		w := strings.ToLower(name)
		n := 0
		for n < min(len(w), len(word)) && w[n] == word[n] {
			n++
		}
		if a, b := word[n:], w[n:]; max(len(a), len(b))-min(len(a), len(b)) < least {
			if far := distance(a, b); far < least {
				best, least = name, far
			}
		}
	}
	return best
}
