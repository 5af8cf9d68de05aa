package uplink

import (
	"time"

	"obu/telemetry"
)

// liveOrder is how live classes go before each other.
var liveOrder = [...]telemetry.Class{telemetry.ClassEvent, telemetry.ClassTelemetry, telemetry.ClassHealth}

// firstOrder is the same for the first packet after CONNACK: where the car is
// comes before everything.
var firstOrder = [...]telemetry.Class{telemetry.ClassTelemetry, telemetry.ClassEvent, telemetry.ClassHealth}

// choose picks what leaves next: control, a suspect alone, live, history,
// media. It returns how long to wait when only time stands in the way.
func (p *pump) choose(now time.Time) (*packet, time.Duration) {
	if len(p.flying) == 1 && p.flying[0].alone {
		return nil, 0
	}
	if len(p.control) > 0 {
		pk := p.control[0]
		p.control = p.control[1:]
		return pk, 0
	}
	u := p.u
	if u.poison.cautious(p.proven) {
		return nil, 0
	}
	limit := u.poison.limit(u.cfg.MaxPacket)
	if pk, due := p.chooseDenied(now, limit); due {
		return pk, 0
	}
	if s, n := u.poison.due(now); s != nil && p.proven && p.allowed(s.lane.class) {
		if len(p.flying) > 0 {
			return nil, 0
		}
		if pk := p.chooseSuspect(s, n); pk != nil {
			return pk, 0
		}
	}
	var wait time.Duration
	if u.pacer.roomForLive(now) {
		if p.lives >= liveToHistory {
			if pk := p.chooseHistory(now, limit, &wait); pk != nil {
				return pk, 0
			}
			p.lives = 0
		}
		if pk := p.chooseLive(now, u.pacer.live(limit), &wait); pk != nil {
			p.lives++
			return pk, 0
		}
	}
	if !u.pacer.room(now) {
		if u.pacer.hop.lossy(now) {
			soonest(&wait, lossPoll)
		}
		return nil, wait
	}
	if pk := p.chooseHistory(now, limit, &wait); pk != nil {
		return pk, 0
	}
	pk := p.chooseMedia(limit)
	if pk == nil {
		u.pacer.idle = true
	}
	return pk, wait
}

// chooseSuspect builds the packet of one parked batch.
func (p *pump) chooseSuspect(s *suspect, n telemetry.Name) *packet {
	l := s.lane
	l.parked.remove(n.Seq)
	pk := p.build(l, n.Seq, n.Seq+1, p.u.poison.limit(p.u.cfg.MaxPacket), true)
	l.parked.add(n.Seq)
	if pk == nil { // settled, evicted or unreadable
		p.u.poison.forget(n)
		return nil
	}
	pk.alone = true
	return pk
}

// chooseLive picks the next live group.
func (p *pump) chooseLive(now time.Time, limit int, wait *time.Duration) *packet {
	order := liveOrder
	if !p.newest {
		order, p.newest = firstOrder, true
	}
	for _, class := range order {
		if p.u.poison.denied[class].stands() {
			continue
		}
		for _, l := range p.u.lanes.list {
			if l.class != class || !l.live() || l.gone || l.cursor >= l.stream.Next {
				continue
			}
			if due := p.groupDue(l, now); due > 0 {
				soonest(wait, due)
				continue
			}
			if p.plan.Newest && class != telemetry.ClassEvent {
				l.cursor = l.stream.Next - 1 // what lies between is history
			} else if l.late(now, p.liveEvery(), limit) {
				if !p.u.pacer.room(now) {
					continue // the less is ahead of it, the younger is the newest that leaves
				}
				if l.cursor < l.stream.Next-1 {
					l.cursor = l.stream.Next - 1
					p.u.stats.update(func(s *Stats) { s.LiveSkips++ })
				}
			}
			pk := p.build(l, l.cursor, l.stream.Next, limit, false)
			if pk == nil {
				if !l.readErr {
					l.cursor = l.stream.Next
				}
				continue
			}
			l.left(pk, now)
			return pk
		}
	}
	return nil
}

// groupDue returns how long a live group still collects batches. With a live
// interval of a second or less each commit leaves at once.
func (p *pump) groupDue(l *lane, now time.Time) time.Duration {
	every := p.liveEvery()
	if every <= time.Second || l.class == telemetry.ClassEvent || l.lastLive.IsZero() {
		return 0
	}
	return l.lastLive.Add(every).Sub(now)
}

// chooseHistory picks the next packet of what lies below the live cursors:
// old events first, then telemetry and health at the history rate. Retired
// stores come first, the oldest before all.
func (p *pump) chooseHistory(now time.Time, limit int, wait *time.Duration) *packet {
	target := p.u.pacer.part(limit)
	if pk := p.chooseOld(target, func(c telemetry.Class) bool { return c == telemetry.ClassEvent }); pk != nil {
		p.lives = 0
		return pk
	}
	if !p.plan.History {
		return nil
	}
	if due := p.u.history.ready(now); due > 0 {
		if p.hasOld() {
			soonest(wait, due)
		}
		return nil
	}
	pk := p.chooseOld(target, func(c telemetry.Class) bool {
		return c == telemetry.ClassTelemetry || c == telemetry.ClassHealth
	})
	if pk != nil {
		p.u.history.take(len(pk.payload))
		p.lives = 0
	}
	return pk
}

func (p *pump) chooseOld(target int, want func(telemetry.Class) bool) *packet {
	for _, l := range p.u.lanes.list {
		if !want(l.class) || l.gone || p.u.poison.denied[l.class].stands() {
			continue
		}
		if pk := p.old(l, target); pk != nil {
			return pk
		}
	}
	return nil
}

// old builds the next history packet of a lane.
func (p *pump) old(l *lane, target int) *packet {
	from := l.next(max(l.hist, l.stream.Floor, 1))
	if from >= l.cursor {
		return nil
	}
	pk := p.build(l, from, l.cursor, target, true)
	if pk == nil {
		if !l.readErr {
			l.hist = l.cursor
		}
		return nil
	}
	l.hist = pk.names[0].Seq
	return pk
}

// hasOld reports whether telemetry or health history waits.
func (p *pump) hasOld() bool {
	for _, l := range p.u.lanes.list {
		if l.class != telemetry.ClassMedia && !l.gone && !p.u.poison.denied[l.class].stands() && l.next(max(l.hist, l.stream.Floor, 1)) < l.cursor {
			return true
		}
	}
	return false
}

// chooseMedia picks the next part of the oldest chunk.
func (p *pump) chooseMedia(limit int) *packet {
	if !p.plan.Media {
		return nil
	}
	return p.chooseOld(p.u.pacer.part(limit), func(c telemetry.Class) bool { return c == telemetry.ClassMedia })
}

func soonest(wait *time.Duration, d time.Duration) {
	if *wait == 0 || d < *wait {
		*wait = d
	}
}
