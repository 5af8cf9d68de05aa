package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// maxWords bounds a list of words; a vehicle has a handful of interfaces.
const maxWords = 32

// words decodes a list of words: [wwan0, usb0].
func (d *decoder) words(path string, e entry, tag reflect.StructTag, v reflect.Value) {
	n := e.value
	if n.kind != kindList {
		cure := "put it in brackets: " + sample(e.key, tag)
		if n.kind == kindScalar && !n.env {
			cure = "put it in brackets: `" + e.key + ": [" + cut(strings.Join(strings.FieldsFunc(n.text, func(r rune) bool { return r == ',' || r == ' ' }), ", ")) + "]`"
		}
		d.fail(n.place, fmt.Sprintf("`%s` is a list", e.key), cure)
		return
	}
	if len(n.items) == 0 || len(n.items) > maxWords {
		d.fail(n.place, fmt.Sprintf("`%s` has %d entries", e.key, len(n.items)), fmt.Sprintf("write 1 to %d, or remove the line", maxWords))
		return
	}
	var out []string
	for i, item := range n.items {
		if item.kind != kindScalar {
			d.fail(item.place, fmt.Sprintf("entry %d of `%s` is not one word", i+1, e.key), "write "+sample(e.key, tag))
			continue
		}
		one := reflect.New(v.Type().Elem()).Elem()
		d.scalar(index(path, i), entry{e.key, item.place, item}, tag, one)
		if slices.Contains(out, one.String()) {
			d.fail(item.place, fmt.Sprintf("`%s` stands in `%s` twice", cut(one.String()), e.key), "once is enough: remove one")
		}
		d.places[index(path, i)] = item.place
		out = append(out, one.String())
	}
	v.Set(reflect.ValueOf(out))
}

// checkInterface holds a word against what may be the name of an interface, or
// the beginning of some.
func checkInterface(text string) *problem {
	name, star := strings.CutSuffix(text, "*")
	switch {
	case strings.Contains(name, "*"):
		return &problem{"a `*` stands at the end only", "write the beginning of the name and a star: wwan*"}
	case name == "" && !star, strings.ContainsAny(name, "/ \t"), len(name) > maxInterface:
		return &problem{fmt.Sprintf("`%s` is not the name of a network interface", cut(text)), "`ip -br link` lists them; modems are called wwan0 or the like"}
	}
	return nil
}

// checkBudget reports settings of the data budget that contradict each other.
func (d *decoder) checkBudget(b *Budget) {
	for i, name := range b.Free {
		if slices.Contains(b.Metered, name) {
			d.conflict(index("uplink.budget.free", i), fmt.Sprintf("`%s` is among `metered` too", name), "an interface costs money or it does not: remove it from one of the lists")
		}
	}
	if b.Ladder != nil && len(b.Ladder) != len(ladderWords) {
		d.conflict("uplink.budget.ladder", "the ladder does not name each measure once", "write slower, coarser and media in the order of your choice: [media, slower, coarser]")
	}
	if b.Ladder != nil && b.Monthly == 0 {
		d.conflict("uplink.budget.ladder", "there is a ladder and no `monthly`", "add `monthly: 500MB`, for example: without it nothing is held back")
	}
}

// ladderWords are the measures of the ladder.
var ladderWords = [...]string{"slower", "coarser", "media"}
