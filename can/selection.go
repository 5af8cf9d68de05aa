package can

import (
	"math"
	"strings"
	"time"

	"obu/telemetry"
)

// A broadcast signal comes up to a thousand times a second. What of it goes on,
// unless a Rule says otherwise, is its changes, at most one value each
// changeEvery; a value that stays is told again each repeatEvery, so that a
// sender that fell silent shows.
const (
	changeEvery = time.Second
	repeatEvery = time.Minute
)

// Rule says what of some signals is passed on, in the words of VISS, whoever
// they come from: what an ECU was asked for is asked for all the same.
type Rule struct {
	// Path is the signal's name: Message.Signal of a DBC, a VSS path; a * at its
	// end stands for any rest.
	Path string
	// Drop passes nothing on.
	Drop bool
	// Timebased is the least time between two values; alone it passes them on
	// whether they changed or not. 0: changes, a second apart.
	Timebased time.Duration
	// Change is the least difference to the last value passed on; 0: any.
	Change float64
	// Low and High bound the values that are looked at: the range.
	Low, High float64
	// MaxError and Buffer make it a curvelog, which does without Timebased and
	// Change; Buffer is the most values that wait for the curve.
	MaxError float64
	Buffer   int
}

// Match reports whether a rule is about a signal.
func (r *Rule) Match(name string) bool {
	if start, ok := strings.CutSuffix(r.Path, "*"); ok {
		return strings.HasPrefix(name, start)
	}
	return r.Path == name
}

// plain is the rule of signals of a DBC that none is about.
var plain = Rule{Low: math.Inf(-1), High: math.Inf(1)}

// ruleOf returns the first rule about a signal, or that of the others.
func ruleOf(rules []Rule, name string, others *Rule) *Rule {
	for i := range rules {
		if rules[i].Match(name) {
			return &rules[i]
		}
	}
	return others
}

// every is the least time between two values.
func (r *Rule) every() time.Duration {
	if r.Timebased > 0 {
		return r.Timebased
	}
	return changeEvery
}

// early reports whether a value comes too soon after the last one. A sender
// with the very period that is asked for is now and then a little early.
func (r *Rule) early(since time.Duration) bool {
	every := r.every()
	if !r.onChange() {
		every -= min(earliness, every/10)
	}
	return since < every
}

// onChange reports whether a value has to differ to be passed on.
func (r *Rule) onChange() bool { return r.Timebased == 0 || r.Change > 0 }

// same reports whether v does not differ enough from what was told.
func (r *Rule) same(v, told telemetry.Value) bool {
	return v == told || math.Abs(v.Float()-told.Float()) < r.Change
}

// earliness is how much before its turn a timebased value is taken.
const earliness = 50 * time.Millisecond

// maxSenders bounds the states of signals that a second and further sender
// uses: groups of J1939. When they are full, all of them begin anew.
const maxSenders = 8192

// selection passes the values of signals on when they change, or as their rules
// say. One goroutine at a time uses it.
type selection struct {
	slots   []slot       // by number of the signal
	rules   []*Rule      // likewise
	points  int          // waiting in all curves
	oldest  telemetry.At // that waited on when tell was called last
	further map[sender]*slot
	give    func(at telemetry.At, from ecuKey, s *telemetry.Signal, r reading)
}

// reading is a value and how far it may be trusted.
type reading struct {
	v telemetry.Value
	q telemetry.Quality
}

type sender struct {
	signal *telemetry.Signal
	from   ecuKey
}

// slot is what was passed on of one signal of one sender, and what waits.
type slot struct {
	sender
	every          telemetry.At // of the signal's rule
	told           telemetry.Value
	wait           reading
	toldAt, waitAt telemetry.At
	waiting        bool
	points         []point // of a curvelog
	rule           *Rule
}

// take hears every value of a signal; number is the signal's.
func (l *selection) take(number int, at telemetry.At, from ecuKey, s *telemetry.Signal, r reading) {
	st := &l.slots[number]
	if st.signal != nil && st.from != from {
		st = nil
	}
	l.judge(st, l.rules[number], at, sender{s, from}, r)
}

// judge holds a value against a rule; without a slot that of a further sender
// is looked up.
func (l *selection) judge(st *slot, rule *Rule, at telemetry.At, k sender, r reading) {
	f := r.v.Float()
	if rule.Drop || f < rule.Low || f > rule.High {
		return
	}
	if st == nil {
		st = l.another(k)
	}
	if rule.Buffer > 0 && !math.IsNaN(f) { // a text has no curve: its changes are told
		st.sender, st.rule = k, rule
		l.curve(st, rule, at, r)
		return
	}
	if st.waiting && (r.v == st.wait.v || at.Sub(st.toldAt) >= rule.every()+changeEvery) {
		l.due(st, at) // else it gives way to the newer one
	}
	since := at.Sub(st.toldAt)
	switch {
	case st.signal == nil || since < -changeEvery: // or the clock of a recording was set back
		st.sender, st.every = k, telemetry.At(rule.every())
	case rule.onChange() && rule.same(r.v, st.told):
		st.waiting = false
		if since < repeatEvery {
			return
		}
	case rule.early(since) && !rule.onChange():
		return
	case rule.early(since):
		st.wait, st.waitAt, st.waiting = r, at, true
		return
	}
	l.pass(st, at, r)
}

// another returns the slot of a further sender.
func (l *selection) another(k sender) *slot {
	st := l.further[k]
	if st == nil {
		if len(l.further) >= maxSenders {
			l.tell(never)
			for _, old := range l.further {
				l.points -= len(old.points)
			}
			clear(l.further)
		}
		if l.further == nil {
			l.further = make(map[sender]*slot)
		}
		st = new(slot)
		l.further[k] = st
	}
	return st
}

// pass gives a value whose turn it is.
func (l *selection) pass(st *slot, at telemetry.At, r reading) {
	st.told, st.toldAt, st.waiting = r.v, at, false
	l.give(at, st.from, st.signal, r)
}

// tell passes on what waited long enough at a time: the last value of a signal
// whose sender said it once.
func (l *selection) tell(now telemetry.At) {
	l.oldest = never
	for i := range l.slots {
		l.due(&l.slots[i], now)
	}
	for _, st := range l.further {
		l.due(st, now)
	}
}

func (l *selection) due(st *slot, now telemetry.At) {
	if n := len(st.points); n > 1 && now.Sub(st.points[0].at) >= repeatEvery {
		l.draw(st, st.rule)
	}
	if turn := st.toldAt + st.every; st.waiting && now >= turn {
		st.told, st.toldAt, st.waiting = st.wait.v, turn, false
		l.give(st.waitAt, st.from, st.signal, st.wait)
	}
	if st.waiting {
		l.oldest = min(l.oldest, st.waitAt)
	}
	if len(st.points) > 1 { // the first was passed on
		l.oldest = min(l.oldest, st.points[1].at)
	}
}
