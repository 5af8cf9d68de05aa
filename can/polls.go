package can

import (
	"time"

	"obu/can/obd"
)

// answeredLate reports whether a PID was answered since it was last asked for,
// be it after the window: a slow gateway is not a missing answer.
func (p *poller) answeredLate(pid byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[pid]
}

// earliest returns the poll that is due first.
func (p *poller) earliest() *poll {
	var first *poll
	for i := range p.polls {
		q := &p.polls[i]
		if !q.dropped && (first == nil || q.due.Before(first.due)) {
			first = q
		}
	}
	return first
}

// settle draws the conclusions of one poll: when it is due next, and whether
// it is worth asking.
func (p *poller) settle(q *poll, answers []answer) {
	refused, good := 0, false
	for i := range answers {
		switch answers[i].negative {
		case 0:
			good = true
		case obd.NRCServiceNotSupported, obd.NRCNotSupported, obd.NRCOutOfRange:
			refused++
		}
	}
	switch {
	case good:
		q.misses, q.slower = 0, 0
		q.expectFewer(len(answers))
	case refused > 0 && refused == len(answers):
		if q.misses++; q.misses >= patience {
			q.dropped = true
			if missing := p.unsupported(nil, q.PID); len(missing) > 0 {
				p.r.emit(missing)
			}
		}
	default:
		if q.misses++; q.misses >= patience {
			q.slower = min(max(2*q.slower, 2*q.Every), max(maxSlower, q.Every))
		}
	}
	now := time.Now()
	q.due = q.due.Add(max(q.Every, q.slower))
	if late := now.Sub(q.due); late > 0 {
		skipped := late/q.Every + 1
		p.r.n.late.Add(uint64(skipped))
		q.due = q.due.Add(skipped * q.Every)
	}
}

// expectFewer stops waiting for an ECU that has stayed silent several times,
// be it asleep. What it says later is read all the same.
func (q *poll) expectFewer(answered int) {
	if answered >= q.expect {
		q.short = 0
		return
	}
	if q.short++; q.short >= patience {
		q.expect, q.short = answered, 0
	}
}
