package clock

import "obu/telemetry"

// note is a log line that waits for the lock to be free, because a log handler
// may ask this very clock for the time.
type note struct {
	text string
	args []any
}

// sayOnce notes a complaint unless one of that kind was made before. Call with
// mu held.
func (w *wallClock) sayOnce(kind, text string, args ...any) {
	if w.said[kind] {
		return
	}
	if w.said == nil {
		w.said = make(map[string]bool)
	}
	w.said[kind] = true
	w.say(text, args...)
}

// complaint is one that may come with every fix: it is made at most every
// complainEvery, and then with how often there was reason to.
type complaint struct {
	made   bool
	at     telemetry.At
	missed int
}

// due counts a reason to complain at the time at. When it is time to, it
// returns the arguments of the log line and begins anew.
func (p *complaint) due(at telemetry.At, args ...any) ([]any, bool) {
	if p.made && at.Sub(p.at) < complainEvery {
		p.missed++
		return nil, false
	}
	if p.missed > 0 {
		args = append(args, "times_not_logged", p.missed)
	}
	*p = complaint{made: true, at: at}
	return args, true
}

func (w *wallClock) say(text string, args ...any) {
	w.notes = append(w.notes, note{text, args})
}
