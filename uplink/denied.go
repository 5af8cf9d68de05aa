package uplink

import (
	"time"

	"obu/telemetry"
)

// Bounds of how a topic is found out on which the broker ends the session, as
// RabbitMQ does with what its ACL forbids (MQTT 3.1.1 §3.3.5). Its data is kept:
// an ACL is put right one day.
const (
	deniedAfter = 3 // sessions in a row that end on a class of which they took nothing
	blindAfter  = 3 // sessions in a row that end before any PUBACK: the next one waits for that of link before it sends data
)

// denial is a class on whose packets the broker ends the session. It is tried
// again with one batch that is alone in flight; meanwhile the others pass.
type denial struct {
	sessions int       // in a row that ended on it
	since    time.Time // when the first of them did
	retry    time.Time // when it is tried again
}

func (d *denial) stands() bool { return d.sessions >= deniedAfter }

// begin starts a session: what is denied lets the others go first.
func (q *poison) begin(now time.Time) {
	clear(q.passed[:])
	for i := range q.denied {
		if d := &q.denied[i]; d.stands() && d.retry.Before(now.Add(aloneDelay)) {
			d.retry = now.Add(aloneDelay)
		}
	}
}

// cautious reports whether data has to wait for the first PUBACK of a session.
func (q *poison) cautious(proven bool) bool { return q.blind >= blindAfter && !proven }

// blame finds the class that ended a session: that of the oldest packet without
// a PUBACK, if the broker answered in this session and took nothing of the
// class. It returns the class when its denial begins to stand.
func (q *poison) blame(flying []*packet, proven bool, now time.Time) (telemetry.Class, bool) {
	if !proven {
		q.blind++
		return 0, false
	}
	if len(flying) == 0 || flying[0].lane == nil {
		return 0, false
	}
	class := flying[0].lane.class
	if q.passed[class] {
		return 0, false
	}
	d := &q.denied[class]
	if d.sessions == 0 {
		d.since = now
	}
	d.sessions++
	d.retry = now.Add(min(aloneDelay<<min(max(d.sessions-deniedAfter, 0), 10), aloneDelayMax))
	return class, d.sessions == deniedAfter
}

// allow notes that the broker took something of a class, and reports whether it
// was denied.
func (q *poison) allow(class telemetry.Class) bool {
	q.passed[class] = true
	q.passes[class]++
	was := q.denied[class].stands()
	q.denied[class] = denial{}
	return was
}

// denials returns the classes that are denied, and since when the first is.
func (q *poison) denials() (classes []string, since time.Time) {
	for _, c := range telemetry.Classes {
		if d := q.denied[c]; d.stands() {
			classes = append(classes, c.String())
			if since.IsZero() || d.since.Before(since) {
				since = d.since
			}
		}
	}
	return classes, since
}

// DeniedHint is what to do next about a denied class.
func DeniedHint(fleet, unit, class string) string {
	return "look at the broker's log, and allow this unit to publish on obu/v1/" + fleet + "/" + unit + "/" + class +
		"; it is tried again by itself, at least every 10 min"
}

// chooseDenied builds the packet that tries a denied class again: its oldest
// batch. ok is false when nothing is to be tried now.
func (p *pump) chooseDenied(now time.Time, limit int) (pk *packet, ok bool) {
	for _, class := range telemetry.Classes {
		d := &p.u.poison.denied[class]
		if !d.stands() || now.Before(d.retry) || !p.proven || class == telemetry.ClassMedia && !p.plan.Media {
			continue
		}
		for _, l := range p.u.lanes.list {
			if l.class != class || l.gone {
				continue
			}
			from := l.next(max(l.stream.Floor, 1))
			if from < l.stream.Next && len(p.flying) > 0 {
				return nil, true
			}
			if pk := p.build(l, from, min(from+1, l.stream.Next), limit, from < l.cursor); pk != nil {
				if pk.live {
					l.left(pk, now)
				}
				pk.alone = true
				return pk, true
			}
		}
		if s, n := p.u.poison.suspected(class); s != nil {
			return p.chooseSuspect(s, n), true
		}
	}
	return nil, false
}
