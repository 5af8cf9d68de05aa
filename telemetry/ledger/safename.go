package ledger

import (
	"path/filepath"
	"strings"
)

// SafeName reduces a sender's word to one harmless file name: letters,
// digits, space and .-_+() stay, anything else becomes an underscore, no dot,
// dash or space begins it, and it is at most 100 bytes with its extension kept.
func SafeName(s string) string {
	out := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" .-_+()", r):
			return r
		}
		return '_'
	}, s)
	out = strings.TrimRight(strings.TrimLeft(out, ".- "), ". ")
	if out == "" {
		return "unnamed"
	}
	if len(out) > maxNameBytes {
		ext := filepath.Ext(out)
		if len(ext) > 10 {
			ext = ""
		}
		out = out[:maxNameBytes-len(ext)] + ext
	}
	return out
}
