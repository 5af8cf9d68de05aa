package can

import (
	"slices"

	"obu/telemetry"
)

// keeper holds what ECUs were asked for, by OBD or UDS, against the Rules. What
// none is about goes on as it is: how often it is asked for was said already.
// One goroutine at a time uses it. nil, without rules, passes everything on.
type keeper struct {
	selection
	rules   []Rule
	ruled   map[string]*Rule // by name of a signal; nil: none is about it
	sources map[telemetry.Source]ecuKey
	names   []telemetry.Source // by their numbers
	out     []telemetry.Sample
}

func newKeeper(rules []Rule) *keeper {
	if len(rules) == 0 {
		return nil
	}
	k := &keeper{rules: rules}
	k.give = func(at telemetry.At, from ecuKey, s *telemetry.Signal, r reading) {
		k.out = append(k.out, telemetry.Sample{At: at, Signal: s, Source: k.names[from], Value: r.v, Quality: r.q})
	}
	k.empty()
	return k
}

// empty forgets signals and sources. No slot may be left that names one.
func (k *keeper) empty() {
	k.ruled, k.sources, k.names = make(map[string]*Rule), make(map[telemetry.Source]ecuKey), k.names[:0]
}

// take returns what goes on of samples; the slice is valid until the next call.
// That a signal has no value, since nobody answers, is told at once: it ends a
// curve, and what was told before it is told anew when it is back.
func (k *keeper) take(samples []telemetry.Sample) []telemetry.Sample {
	if k == nil {
		return samples
	}
	k.out = k.out[:0]
	if max(len(k.ruled), len(k.names)) >= maxSenders {
		k.end()
		k.empty()
	}
	for i := range samples {
		s := &samples[i]
		rule := k.rule(s.Signal.Name)
		switch {
		case rule == nil:
			k.out = append(k.out, *s)
		case rule.Drop:
		case s.Value.Kind() == telemetry.KindNone:
			k.silent(s, rule)
			k.out = append(k.out, *s)
		default:
			k.judge(nil, rule, s.At, k.sender(s), reading{s.Value, s.Quality})
		}
	}
	return k.out
}

// silent ends what waits of a signal that fell silent, from whomever it came:
// that there is no answer has no sender.
func (k *keeper) silent(s *telemetry.Sample, rule *Rule) {
	for key, st := range k.further {
		if key.signal.Name == s.Signal.Name {
			k.close(st, rule)
			delete(k.further, key)
		}
	}
}

// close tells what waits in a slot.
func (k *keeper) close(st *slot, rule *Rule) {
	if st.rule == nil {
		st.rule = rule
	}
	k.due(st, telemetry.At(1<<63-1))
	k.points -= len(st.points)
}

// end tells everything that waits, and forgets what was told.
func (k *keeper) end() {
	for key, st := range k.further {
		k.close(st, st.rule)
		delete(k.further, key)
	}
}

// tell returns what waited for its turn until now.
func (k *keeper) tell(now telemetry.At) []telemetry.Sample {
	k.out = k.out[:0]
	k.selection.tell(now)
	return k.out
}

// facts returns events without those of signals of which nothing is kept.
func (k *keeper) facts(samples []telemetry.Sample) []telemetry.Sample {
	if k == nil {
		return samples
	}
	return slices.DeleteFunc(samples, func(s telemetry.Sample) bool {
		rule := k.rule(s.Signal.Name)
		return rule != nil && rule.Drop
	})
}

func (k *keeper) rule(name string) *Rule {
	rule, known := k.ruled[name]
	if !known {
		rule = ruleOf(k.rules, name, nil)
		k.ruled[name] = rule
	}
	return rule
}

// sender numbers the source of a sample.
func (k *keeper) sender(s *telemetry.Sample) sender {
	n, known := k.sources[s.Source]
	if !known {
		n = ecuKey(len(k.names))
		k.names = append(k.names, s.Source)
		k.sources[s.Source] = n
	}
	return sender{s.Signal, n}
}
