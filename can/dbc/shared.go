package dbc

import "fmt"

// LeaveOut takes out of f, which is not compiled yet, the messages that a file
// read before it explains too: with their identifier and a signal of the same
// name, whose values would mix. A warning names them.
func (f *File) LeaveOut(before *File) {
	type id struct {
		id       uint32
		extended bool
	}
	first := make(map[id]*Message, len(before.Messages))
	for _, m := range before.Messages {
		first[id{m.ID, m.Extended}] = m
	}
	var kept []*Message
	var gone *Message
	for _, m := range f.Messages {
		if !mixes(first[id{m.ID, m.Extended}], m) {
			kept = append(kept, m)
		} else if gone == nil {
			gone = m
		}
	}
	if n := len(f.Messages) - len(kept); n > 0 {
		f.Messages = kept
		w := Warning{f.Name, gone.line, fmt.Sprintf("message %s, the first of %d that %s explains too, was left out: that file is named before this one and goes first; name one of them alone, or first the one that is right", gone.Name, n, before.Name)}
		f.Warnings = append([]Warning{w}, f.Warnings...)
	}
}

// mixes reports whether a signal of b has the name of one of a.
func mixes(a, b *Message) bool {
	if a == nil || a.Name != b.Name {
		return false
	}
	names := make(map[string]bool, len(a.Signals))
	for _, s := range a.Signals {
		names[s.Name] = true
	}
	for _, s := range b.Signals {
		if names[s.Name] {
			return true
		}
	}
	return false
}
