package uplink

import (
	"context"
	"errors"
	"slices"
	"time"

	"obu/telemetry"
)

// settle books the fate of one packet. Only err == nil, a PUBACK of this very
// session, moves custody on.
func (p *pump) settle(r result, now time.Time) {
	pk, u := r.pk, p.u
	if r.err != nil {
		return // the session is over: see lost
	}
	p.flying = slices.DeleteFunc(p.flying, func(q *packet) bool { return q == pk })
	p.proven = true
	u.pacer.acked(len(pk.payload), pk.mark, now)
	if pk.lane == nil {
		if pk.topic == u.topic("reply") {
			p.told(pk)
		}
		if pk.topic == u.topic("link") {
			p.linkAcked(now)
		}
	} else {
		p.delivered(pk, now)
		if class := pk.lane.class; u.poison.allow(class) {
			u.cfg.Log.Info("uplink: the broker takes again what it denied", "topic", u.topic(class.String()))
		}
	}
	u.poison.acked(pk)
	u.stats.update(func(s *Stats) {
		s.Acked++
		s.AckedBytes += int64(len(pk.payload))
		if pk.live && pk.boot == u.cfg.Clock.Boot() && pk.newest > 0 {
			s.LiveLag = u.cfg.Clock.Now().Sub(pk.newest)
		}
	})
}

// delivered moves custody of a packet's batches on: to the backlog's Ack, or
// with custody receipt to waiting for the cloud.
func (p *pump) delivered(pk *packet, now time.Time) {
	l := pk.lane
	if pt := pk.parts; pt != nil {
		pt.acked[pk.part] = true
		if !pt.done() {
			return
		}
		l.drop(pt)
	}
	for _, n := range pk.names {
		l.inflight.remove(n.Seq)
		switch {
		case l.acked.contains(n.Seq): // its receipt came first
		case p.u.cfg.Custody == CustodyReceipt:
			l.puback(n.Seq, now)
		default:
			l.acked.add(n.Seq)
		}
	}
	p.u.stats.update(func(s *Stats) { s.AckedBatches += int64(len(pk.names)) })
	if p.u.cfg.Custody == CustodyPuback {
		p.u.cfg.Backlog.Ack(pk.names...)
	}
}

// refuse sets one batch aside for ever: the backlog lists it as a Gap.
func (p *pump) refuse(l *lane, n telemetry.Name, reason telemetry.Reason) {
	l.acked.add(n.Seq)
	p.u.poison.forget(n)
	p.u.cfg.Backlog.Refuse(n, reason)
	p.u.stats.update(func(s *Stats) { s.Refused++ })
}

// lost settles what came back in time, counts strikes and forgets what was in
// flight: it will be sent again. The session has ended, so every result there
// will be is there.
func (p *pump) lost(err error) {
	for len(p.results) > 0 {
		p.settle(<-p.results, time.Now())
	}
	u := p.u
	if errors.Is(err, ErrEndedByBroker) && !errors.Is(err, ErrTakenOver) { // a rival says nothing about a packet
		if class, news := u.poison.blame(p.flying, p.proven, time.Now()); news {
			u.cfg.Log.Error("uplink: the broker closes the connection on what is published to a topic: it is kept, the others are sent",
				"topic", u.topic(class.String()), "next", DeniedHint(u.cfg.Fleet, u.cfg.Unit, class.String()))
		}
		for _, pk := range u.poison.ended(p.flying, u.cfg.MaxPacket, time.Now()) {
			u.cfg.Log.Error("uplink: the broker refuses a packet, set aside as a gap", "packet", pk.String(),
				"bytes", len(pk.payload), "next", "raise the broker's packet limit (mosquitto: max_packet_size, message_size_limit)")
			pk.lane.drop(pk.parts)
			for _, n := range pk.names {
				p.refuse(pk.lane, n, telemetry.ReasonRefused)
			}
		}
	}
	for _, l := range u.lanes.list {
		l.inflight.clear()
	}
	p.flying = nil
	u.pacer.inflight = 0
	u.publishGauges(0)
}

// stop waits a moment for outstanding PUBACKs, says goodbye and closes.
func (p *pump) stop() {
	deadline := time.NewTimer(stopWait / 2)
	defer deadline.Stop()
	for waiting := true; waiting && len(p.flying) > 0; {
		select {
		case r := <-p.results:
			p.settle(r, time.Now())
		case <-p.sess.Done():
			return
		case <-deadline.C:
			waiting = false
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWait/2)
	defer cancel()
	p.sess.Publish(ctx, p.u.topic("link"), true, p.u.linkPayload(telemetry.LinkOffline, reasonStopped, p.id))
	p.sess.Close()
}
