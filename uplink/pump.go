package uplink

import (
	"context"
	"errors"
	"slices"
	"time"

	"obu/telemetry"
)

// Shares and bounds of a session's scheduling.
const (
	liveToHistory = 7 // packets of live after which waiting history may send one
	gaugesEvery   = time.Second
	brokenWait    = time.Second // for the session to end by itself after a publish failed
)

// result is the end of one publish.
type result struct {
	pk  *packet
	err error
}

// pump is one session: it decides what leaves next and settles what came
// back. Its goroutine is Run's; each packet in flight has a goroutine that
// waits for the PUBACK.
type pump struct {
	u    *Uplink
	sess *Session
	id   string

	control []*packet // birth, link, replies: they leave first
	flying  []*packet // handed over, no PUBACK yet, in order
	handing *packet   // being taken over by paho; nothing else may start
	handed  chan *packet
	results chan result
	proven  bool // something was acknowledged in this session
	newest  bool // the newest telemetry has left, or there was none
	lives   int  // live packets since history last had its share

	relinked time.Time // when link was last published again
	wake     *time.Timer
	refresh  time.Time // when the backlog was last looked at
	gauges   time.Time
	broken   error // a publish failed: nothing more is sent
	brokenAt time.Time
}

func newPump(u *Uplink, sess *Session, id string) *pump {
	return &pump{
		u: u, sess: sess, id: id,
		handed:  make(chan *packet, 1),
		results: make(chan result, maxPackets+1),
	}
}

// run drains the backlog over one session until it is lost or ctx ends.
func (p *pump) run(ctx context.Context) error {
	u := p.u
	u.pacer.start(time.Now())
	p.look()
	for _, l := range u.lanes.list {
		p.startLane(l)
	}
	p.announce()
	go p.subscribe(ctx)
	p.wake = time.NewTimer(refreshEvery)
	defer p.wake.Stop()
	for {
		p.fill(time.Now())
		select {
		case <-ctx.Done():
			p.stop()
			p.lost(ErrClosed)
			return nil
		case <-p.sess.Done():
			p.lost(p.sess.Err())
			return p.sess.Err()
		case <-u.notify:
			p.look()
		case pk := <-p.handed:
			p.accept(pk)
		case r := <-p.results:
			p.settle(r, time.Now())
		case m := <-u.inbox:
			p.receive(ctx, m)
		case a := <-u.cmds.done:
			p.answer(ctx, a)
		case <-p.wake.C:
		}
	}
}

// look takes a new view of the backlog.
func (p *pump) look() {
	u := p.u
	p.refresh = time.Now()
	known := make(map[*lane]bool, len(u.lanes.list))
	for _, l := range u.lanes.list {
		known[l] = true
	}
	u.lanes.refresh(u.cfg.Backlog.Streams())
	var skips int64
	for _, l := range u.lanes.list {
		if l.skipAhead(u.behind()) && known[l] {
			skips++
		}
	}
	if skips > 0 {
		u.stats.update(func(s *Stats) { s.LiveSkips += skips })
	}
}

// startLane makes a lane ready for a new session.
func (p *pump) startLane(l *lane) {
	l.startLive(p.u.behind())
	for _, pt := range l.partial {
		pt.unload()
	}
	if len(l.awaiting.spans) > 0 && time.Since(l.since) > receiptPatience {
		l.awaiting.clear() // the broker took it, nobody confirmed: send again
	}
}

// fill starts what may leave now and arms the timer for what may leave later.
func (p *pump) fill(now time.Time) {
	if now.Sub(p.refresh) >= refreshEvery {
		p.look()
		for _, l := range p.u.lanes.list {
			l.hist = 0 // what a read did not find may be there now; nothing sent is sent again
		}
	}
	if now.Sub(p.gauges) >= gaugesEvery {
		p.gauges = now
		p.u.publishGauges(len(p.flying))
	}
	later := refreshEvery
	if p.broken != nil {
		left := brokenWait - now.Sub(p.brokenAt)
		if left <= 0 {
			p.sess.abort(p.broken)
		}
		p.wake.Reset(max(left, time.Millisecond))
		return
	}
	if p.handing == nil && len(p.flying) < maxPackets {
		pk, wait := p.choose(now)
		if pk != nil {
			p.send(pk, now)
		} else if wait > 0 {
			later = min(later, wait)
		}
	}
	if len(p.flying) > 0 {
		left := p.u.cfg.AckTimeout + p.u.pacer.patience() - now.Sub(p.flying[0].mark.sentAt)
		if left <= 0 {
			p.sess.abort(why(ErrNoPuback, errors.New(p.flying[0].String()+" waited for "+p.u.cfg.AckTimeout.String())))
		} else {
			later = min(later, left)
		}
	}
	p.wake.Reset(later)
}

// send hands pk to the session in a goroutine of its own, which reports twice:
// when paho took it over (the next may start) and when its fate is known.
func (p *pump) send(pk *packet, now time.Time) {
	size := len(pk.payload)
	pk.mark = p.u.pacer.sent(size, now)
	p.flying = append(p.flying, pk)
	p.handing = pk
	if l := pk.lane; l != nil {
		if pk.parts != nil {
			pk.parts.sent[pk.part] = true
		}
		if pk.parts == nil || pk.parts.next() < 0 {
			for _, n := range pk.names {
				l.inflight.add(n.Seq)
			}
		}
	}
	p.u.stats.update(func(s *Stats) { s.Published++ })
	go func() {
		err := p.sess.publish(context.Background(), pk.topic, pk.retained, pk.payload, func() { p.handed <- pk })
		p.results <- result{pk, err}
	}()
}

// accept notes that paho took the packet: the next may start.
func (p *pump) accept(pk *packet) {
	if p.handing == pk {
		p.handing = nil
	}
}

// settle books the fate of one packet. Only err == nil, a PUBACK of this very
// session, moves custody on.
func (p *pump) settle(r result, now time.Time) {
	pk, u := r.pk, p.u
	p.accept(pk)
	if r.err != nil {
		pk.failed = true
		// The session is over or must be: a packet the socket did not take
		// leaves a hole in the order, so nothing more may follow it. The
		// session gets a moment to say itself why it ended.
		if p.broken == nil {
			p.broken, p.brokenAt = r.err, now
		}
		return
	}
	p.flying = slices.DeleteFunc(p.flying, func(q *packet) bool { return q == pk })
	p.proven = true
	u.pacer.acked(len(pk.payload), pk.mark, now)
	if pk.lane == nil {
		u.replies = slices.DeleteFunc(u.replies, func(q *packet) bool { return q == pk })
	} else {
		p.delivered(pk, now)
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
		if p.u.cfg.Custody == CustodyReceipt {
			if len(l.awaiting.spans) == 0 {
				l.since = now
			}
			l.awaiting.add(n.Seq)
		} else {
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
// flight: it will be sent again.
func (p *pump) lost(err error) {
	for p.unsettled() > 0 {
		select {
		case r := <-p.results:
			p.settle(r, time.Now())
		case pk := <-p.handed:
			p.accept(pk)
		}
	}
	u := p.u
	if errors.Is(err, ErrEndedByBroker) {
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

// unsettled counts the packets whose fate is still to be reported. The one
// that paho has not taken over is not waited for: paho may hold on to it until
// its write timeout, and it was never on the wire.
func (p *pump) unsettled() int {
	n := 0
	for _, pk := range p.flying {
		if !pk.failed && pk != p.handing {
			n++
		}
	}
	return n
}

// stop waits a moment for outstanding PUBACKs, says goodbye and closes.
func (p *pump) stop() {
	deadline := time.NewTimer(stopWait / 2)
	defer deadline.Stop()
	for waiting := true; waiting && len(p.flying) > 0; {
		select {
		case r := <-p.results:
			p.settle(r, time.Now())
		case pk := <-p.handed:
			p.accept(pk)
		case <-p.sess.Done():
			return
		case <-deadline.C:
			waiting = false
		}
	}
	if p.handing == nil { // else the socket is full and a goodbye would only wait
		ctx, cancel := context.WithTimeout(context.Background(), stopWait/2)
		defer cancel()
		p.sess.Publish(ctx, p.u.topic("link"), true, p.u.linkPayload(telemetry.LinkOffline, reasonStopped, p.id))
	}
	p.sess.Close()
}
