package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Load reads the file at path and the files of path.d over it, in name order,
// with ${ENV} from the environment. A non-nil error is of type Errors and
// lists every mistake.
func Load(path string) (*Config, error) { return load(path, "") }

// LoadUDS is Load for a file that need not have more than the ECUs of its buses,
// can.uds.
func LoadUDS(path string) ([]CAN, error) {
	c, err := load(path, ".uds")
	if err != nil {
		return nil, err
	}
	return c.CAN, nil
}

func load(path, within string) (*Config, error) {
	var wrong Errors
	files := []string{path}
	over, odd := overlays(path)
	wrong = append(wrong, odd...)
	files = append(files, over...)
	var sources []*source
	for _, f := range files {
		text, e := readFile(f)
		if e != nil {
			wrong = append(wrong, e)
			if f == path {
				return nil, wrong
			}
			continue
		}
		src := newSource(f, text)
		src.rank = len(sources)
		sources = append(sources, &src)
	}
	return assemble(sources, wrong, os.LookupEnv, within)
}

// Parse reads one file's content, as Load does; file is its name in errors and
// env looks up ${ENV}, nil knowing none.
func Parse(file string, data []byte, env func(string) (string, bool)) (*Config, error) {
	text, e := decodeText(file, data)
	if e != nil {
		return nil, Errors{e}
	}
	src := newSource(file, text)
	return assemble([]*source{&src}, nil, env, "")
}

// assemble parses, merges and decodes files, the main one first. wrong holds
// what is already known to be wrong; a setting counts as missing only within a
// section, "" is all of it.
func assemble(sources []*source, wrong Errors, env func(string) (string, bool), within string) (*Config, error) {
	d := &decoder{within: within, env: env, origin: map[string]Origin{}, places: map[string]place{}, meant: map[string]bool{}, partial: len(wrong) > 0,
		spare: filepath.Base(sources[0].file) == lastGoodFile}
	var root *node
	for _, src := range sources {
		tree, bad := parseTree(src)
		wrong = append(wrong, bad...)
		switch {
		case tree == nil:
			d.partial = d.partial || len(bad) > 0
		case root == nil:
			root = tree
		default:
			merge(root, tree)
		}
	}
	main := sources[0]
	if root == nil {
		if len(wrong) == 0 {
			wrong = append(wrong, main.at(0, 0, "there is no setting in this file", "make one with `obu config example > "+main.file+"`"))
		}
		return nil, wrong
	}
	cfg := new(Config)
	d.root(main, root, cfg)
	cfg.origin, cfg.first = d.origin, *main
	if wrong = append(wrong, d.wrong...); len(wrong) == 0 {
		return cfg, nil
	}
	slices.SortStableFunc(wrong, func(a, b *Error) int {
		if a.File != b.File {
			return cmp.Compare(rank(sources, a.File), rank(sources, b.File))
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return nil, bounded(wrong)
}

// maxMistakes bounds a report; a file with more of them is no configuration.
const maxMistakes = 100

func bounded(wrong Errors) Errors {
	if more := len(wrong) - maxMistakes; more > 0 {
		wrong = append(wrong[:maxMistakes:maxMistakes], &Error{File: wrong[maxMistakes].File,
			Problem: fmt.Sprintf("and %d more mistakes", more), Cure: "mend those above first; is it the right file?"})
	}
	return wrong
}

func rank(sources []*source, file string) int {
	for _, s := range sources {
		if s.file == file {
			return s.rank
		}
	}
	return len(sources)
}

// merge lays over onto base: maps key by key, anything else replaces. An
// explicit null takes a setting back to its default.
func merge(base, over *node) {
	for _, e := range over.entries {
		old, ok := base.lookup(e.key)
		switch {
		case !ok:
			base.entries = append(base.entries, e)
		case old.value.kind == kindMap && e.value.kind == kindMap:
			merge(old.value, e.value)
		case old.value.kind == kindMap && e.value.kind == kindEmpty:
		default:
			*old = e
		}
	}
}

// RequireUnit returns an Errors when the unit has no name, which a real unit
// needs and a replay does not.
func (c *Config) RequireUnit() error {
	if c.Unit != "" {
		return nil
	}
	return Errors{c.first.at(0, 0, "`unit` is missing", "it names this unit, as its certificate does: add a line like `unit: unit-0001`")}
}
