package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// expand replaces ${NAME} in a scalar by the environment's value; $${ stands
// for ${ itself.
func (d *decoder) expand(n *node) bool {
	if !strings.Contains(n.text, "${") {
		return true
	}
	var out strings.Builder
	ok := true
	for rest := n.text; rest != ""; {
		i := strings.Index(rest, "${")
		if i < 0 {
			out.WriteString(rest)
			break
		}
		if i > 0 && rest[i-1] == '$' {
			out.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		out.WriteString(rest[:i])
		name, after, closed := strings.Cut(rest[i+2:], "}")
		where := n.place
		where.column = n.columnOf("${" + name)
		switch value, found := d.lookup(name); {
		case !closed:
			where.column = n.columnOf("${")
			d.fail(where, "`${` is never closed", "write ${NAME}; for the two characters themselves write $${")
			return false
		case !isEnvName(name):
			d.fail(where, fmt.Sprintf("`${%s}` does not name a variable", name), "a name consists of letters, digits and _: ${OBU_PASSWORD}")
			ok = false
		case !found:
			d.fail(where, fmt.Sprintf("the environment variable %s is not set", name),
				fmt.Sprintf("set it, for example `Environment=%s=…` in the service (systemctl edit obu), or write the value here", name))
			ok = false
		default:
			out.WriteString(value)
			n.env = true
		}
		rest = after
	}
	n.text = out.String()
	return ok
}

func (d *decoder) lookup(name string) (string, bool) {
	if d.env == nil || !isEnvName(name) {
		return "", false
	}
	return d.env(name)
}

// columnOf returns the column at which part stands in the node's line, or the
// node's own.
func (n *node) columnOf(part string) int {
	if n.line < 1 || n.line > len(n.src.lines) {
		return n.column
	}
	line := n.src.lines[n.line-1]
	if i := strings.Index(line, part); i >= 0 {
		return utf8.RuneCountInString(line[:i]) + 1
	}
	return n.column
}

func isEnvName(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
