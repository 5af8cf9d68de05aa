package can

import (
	"time"

	"obu/can/dbc"
	"obu/telemetry"
)

// A broadcast signal comes up to a thousand times a second. What of it goes on
// is its changes, at most one value each changeEvery; a value that stays is
// told again each repeatEvery, so that a sender that fell silent shows.
const (
	changeEvery = time.Second
	repeatEvery = time.Minute
)

// maxSenders bounds the states of signals that a second and further sender
// uses: groups of J1939. When they are full, all of them begin anew.
const maxSenders = 8192

// selection passes the values of broadcast signals on when they change. One
// goroutine at a time uses it.
type selection struct {
	slots   []slot // by number of the signal
	further map[sender]*slot
	give    func(at telemetry.At, from ecuKey, s *dbc.Signal, v telemetry.Value)
}

type sender struct {
	signal *dbc.Signal
	from   ecuKey
}

// slot is what was passed on of one signal of one sender, and what waits.
type slot struct {
	sender
	told, wait     telemetry.Value
	toldAt, waitAt telemetry.At
	waiting        bool
}

// take hears every value of a signal; number is the signal's.
func (l *selection) take(number int, at telemetry.At, from ecuKey, s *dbc.Signal, v telemetry.Value) {
	st := &l.slots[number]
	if st.signal != nil && st.from != from {
		st = l.another(sender{s, from})
	}
	l.due(st, at)
	since := at.Sub(st.toldAt)
	switch {
	case st.signal == nil || since < -changeEvery: // or the clock of a recording was set back
		st.sender = sender{s, from}
	case v == st.told:
		st.waiting = false
		if since < repeatEvery {
			return
		}
	case since < changeEvery:
		st.wait, st.waitAt, st.waiting = v, at, true
		return
	}
	l.pass(st, at, v)
}

// another returns the slot of a further sender.
func (l *selection) another(k sender) *slot {
	st := l.further[k]
	if st == nil {
		if len(l.further) >= maxSenders {
			l.tell(telemetry.At(1<<63 - 1))
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
func (l *selection) pass(st *slot, at telemetry.At, v telemetry.Value) {
	st.told, st.toldAt, st.waiting = v, at, false
	l.give(at, st.from, st.signal, v)
}

// tell passes on what waited long enough at a time: the last value of a signal
// whose sender said it once.
func (l *selection) tell(now telemetry.At) {
	for i := range l.slots {
		l.due(&l.slots[i], now)
	}
	for _, st := range l.further {
		l.due(st, now)
	}
}

func (l *selection) due(st *slot, now telemetry.At) {
	if turn := st.toldAt + telemetry.At(changeEvery); st.waiting && now >= turn {
		st.told, st.toldAt, st.waiting = st.wait, turn, false
		l.give(st.waitAt, st.from, st.signal, st.wait)
	}
}
