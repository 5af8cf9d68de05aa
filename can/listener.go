package can

import (
	"obu/can/dbc"
	"obu/can/j1939"
	"obu/telemetry"
)

// listener turns the broadcast frames of a session's bus into samples.
type listener struct {
	*broadcast
	r       *session
	changes selection
	names   addresses
	samples []telemetry.Sample
	quality telemetry.Quality // of the frame under way
	absent  uint64            // values that J1939 reserves for none
	counted [3]uint64         // messages, short and absent, already in the statistics
}

// newListener returns nil when no database explains the bus.
func newListener(r *session) *listener {
	l := &listener{r: r, names: make(addresses)}
	l.broadcast = newBroadcast(&broadcast{
		value: func(at telemetry.At, from ecuKey, s *dbc.Signal, raw int64, v telemetry.Value) {
			if s.Absent(raw) {
				l.absent++
				return
			}
			l.changes.take(l.first+s.Number, at, from, &s.Telemetry, reading{v, l.quality})
		},
		damaged: func(at telemetry.At, from ecuKey, what string) {
			r.losses.add(lossKey{telemetry.ReasonDecode, l.source(from)}, at, 1)
			r.log.Debug("transfer broke", "sender", l.names.name(from), "problem", what)
		},
	}, r.cfg.Name, r.cfg.Databases)
	if l.broadcast == nil {
		return nil
	}
	l.changes = selection{give: l.sample}
	for _, d := range l.files {
		for _, m := range d.File().Messages {
			for _, s := range m.Signals { // in the order of Signal.Number
				l.changes.rules = append(l.changes.rules, ruleOf(r.cfg.Rules, s.Telemetry.Name, &plain))
			}
		}
	}
	l.changes.slots = make([]slot, len(l.changes.rules))
	return l
}

func (l *listener) source(from ecuKey) telemetry.Source {
	return telemetry.Source{Bus: l.r.cfg.Name, Address: l.names.name(from), Method: "dbc"}
}

func (l *listener) sample(at telemetry.At, from ecuKey, s *telemetry.Signal, r reading) {
	l.samples = append(l.samples, telemetry.Sample{At: at, Signal: s, Source: l.source(from), Value: r.v, Quality: r.q})
}

// hear takes one frame. The session's mu is held.
func (l *listener) hear(f *Frame) {
	l.quality = telemetry.QualityLive
	if f.ReadTime {
		l.quality = telemetry.QualityReadTime
	}
	l.frame(f)
	l.flushSamples()
}

// packed takes a message of J1939 that the bus's network has put together, from
// the frame that hear has just had. The session's mu is held.
func (l *listener) packed(m j1939.Message) {
	l.group(m)
	l.flushSamples()
}

// books passes on what waited, and counts. The session's mu is held.
func (l *listener) books(now telemetry.At) {
	l.expire(now)
	l.changes.tell(now)
	l.flushSamples()
	l.r.n.broadcasts.Add(l.messages - l.counted[0])
	l.r.n.short.Add(l.short - l.counted[1])
	l.r.n.unavailable.Add(l.absent - l.counted[2])
	l.counted = [3]uint64{l.messages, l.short, l.absent}
}

// finish passes on everything: nothing more will come.
func (l *listener) finish() {
	l.flush()
	l.books(never)
}

func (l *listener) flushSamples() {
	if len(l.samples) > 0 {
		l.r.give(l.samples)
		l.samples = l.samples[:0]
	}
}

// maxFilters is the kernel's bound of one socket (CAN_RAW_FILTER_MAX).
const maxFilters = 512

// Filters are what a bus needs to hear: OBD, the messages of databases, and more.
// It is nil, every frame, where the kernel does not take so many.
func Filters(bus string, all []Database, more ...Filter) []Filter {
	out := OBDFilters()
	seen := make(map[Filter]bool)
	add := func(f Filter) {
		if !seen[f] {
			seen[f] = true
			out = append(out, f)
		}
	}
	for _, f := range more {
		add(f)
	}
	for _, d := range all {
		if d.Bus != "" && d.Bus != bus {
			continue
		}
		for _, m := range d.Decoder.File().Messages {
			switch {
			case m.J1939:
				add(groupFilter(m.ID))
				add(groupFilter(0x00EB0000)) // TP.DT
				add(groupFilter(0x00EC0000)) // TP.CM
				add(Filter{ID: m.ID, Mask: maskExtended, Extended: true})
			case m.Extended:
				add(Filter{ID: m.ID, Mask: maskExtended, Extended: true})
			default:
				add(Filter{ID: m.ID, Mask: maskStandard})
			}
		}
	}
	if len(out) > maxFilters {
		return nil
	}
	return out
}

// groupFilter passes a parameter group whatever its priority and addresses.
func groupFilter(id uint32) Filter {
	mask := uint32(0x03FFFF00)
	if id>>16&0xFF < 240 { // PDU1: the destination
		mask = 0x03FF0000
	}
	return Filter{ID: id & mask, Mask: mask, Extended: true}
}
