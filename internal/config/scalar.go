package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// setScalar parses text as the type of v.
func setScalar(v reflect.Value, text string) *problem {
	if s, ok := v.Addr().Interface().(scalar); ok {
		return s.parse(text)
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int:
		i, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 32)
		if err != nil {
			cure := "write digits only"
			if number, ok := plainNumber(text); ok {
				cure = "write `" + number + "`"
			}
			return &problem{fmt.Sprintf("`%s` is not a whole number", text), cure}
		}
		v.SetInt(i)
	case reflect.Bool:
		switch text {
		case "true", "false":
			v.SetBool(text == "true")
		default:
			return &problem{fmt.Sprintf("`%s` is neither true nor false", text), "write `true` or `false`"}
		}
	default:
		panic("config: no decoder for " + v.Type().String())
	}
	return nil
}

// plainNumber turns 500k, 500.000, 500 kbit/s into 500000.
func plainNumber(text string) (string, bool) {
	_, number, word, ok := split(text)
	word = strings.ToLower(word)
	switch {
	case !ok || number < 0:
		return "", false
	case strings.HasPrefix(word, "k"):
		return trimFloat(number * 1e3), true
	case strings.HasPrefix(word, "m"):
		return trimFloat(number * 1e6), true
	case word == "bit" || word == "bits" || word == "baud" || word == "bit/s" || word == "bps":
		return trimFloat(number), true
	}
	return "", false
}

// checkTags holds a parsed value against oneof, min, max and check.
func checkTags(tag reflect.StructTag, v reflect.Value, text string) *problem {
	if list := tag.Get("oneof"); list != "" {
		words := strings.Fields(list)
		if got := fmt.Sprint(v.Interface()); !slices.Contains(words, got) {
			if v.Kind() == reflect.Int {
				return &problem{fmt.Sprintf("%s is not a usual rate", got), "one of " + strings.Join(words, ", ")}
			}
			cure := "write " + orList(words)
			if meant, ok := nearest(got, words); ok {
				cure = fmt.Sprintf("did you mean `%s`? Possible are %s", meant, orList(words))
			}
			return &problem{fmt.Sprintf("`%s` is not known here", text), cure}
		}
	}
	for _, bound := range [...]struct {
		tag  string
		less bool
		word string
	}{{"min", true, "small"}, {"max", false, "large"}} {
		limit := tag.Get(bound.tag)
		if limit == "" {
			continue
		}
		l := reflect.New(v.Type()).Elem()
		setScalar(l, limit)
		if v.Int() != l.Int() && (v.Int() < l.Int()) == bound.less && !isUnlimited(v) {
			return &problem{fmt.Sprintf("`%s` is too %s", text, bound.word), boundsOf(tag)}
		}
	}
	if name := tag.Get("check"); name != "" {
		return checks(name, v)
	}
	return nil
}

func isUnlimited(v reflect.Value) bool {
	r, ok := v.Interface().(Rate)
	return ok && r.IsUnlimited()
}

func boundsOf(tag reflect.StructTag) string {
	switch lo, hi := tag.Get("min"), tag.Get("max"); {
	case hi == "":
		return "use at least " + lo
	case lo == "":
		return "use at most " + hi
	default:
		return fmt.Sprintf("use %s to %s", lo, hi)
	}
}

// orList joins words as people do: a, b or c.
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
