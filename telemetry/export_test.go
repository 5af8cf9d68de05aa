package telemetry

import "strings"

// UnitWords returns the words of all units.
func UnitWords() (words []string) {
	for _, q := range units {
		for _, u := range q {
			words = append(words, strings.Fields(u.words)...)
		}
	}
	return words
}
