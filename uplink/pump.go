package uplink

import (
	"context"
	"errors"
	"time"

	"obu/uplink/budget"
)

// Shares and bounds of a session's scheduling.
const (
	liveToHistory = 7 // packets of live after which waiting history may send one
	gaugesEvery   = time.Second
)

// result is the end of one publish.
type result struct {
	pk  *packet
	err error
}

// pump is one session: it decides what leaves next and settles what came
// back. Its goroutine is Run's; results come from the session's.
type pump struct {
	u    *Uplink
	sess *Session
	id   string

	control []*packet   // birth, link, replies: they leave first
	flying  []*packet   // handed over, no PUBACK yet, in order
	results chan result // has room for all of flying: the session never waits for the pump
	proven  bool        // something was acknowledged in this session
	newest  bool        // the newest telemetry has left, or there was none
	lives   int         // live packets since history last had its share

	relinked time.Time // when link was last published again
	stale    bool      // something else stands at link
	rivalled bool      // another device speaks as this unit
	echo     echo
	plan     budget.Plan // of the running session's link
	seek     seek
	wake     *time.Timer
	refresh  time.Time // when the backlog was last looked at
	gauges   time.Time
	blobs    int // stored bytes of what was decoded last
}

func newPump(u *Uplink, sess *Session, id string) *pump {
	return &pump{u: u, sess: sess, id: id, results: make(chan result, maxPackets), echo: echo{granted: make(chan error, 1)}}
}

// run drains the backlog over one session until it is lost or ctx ends.
func (p *pump) run(ctx context.Context) error {
	u := p.u
	u.pacer.start(time.Now())
	u.poison.begin(time.Now())
	trial, cancel := context.WithCancel(ctx)
	defer cancel()
	p.plan = u.cfg.Budget.Plan()
	p.look()
	for _, l := range u.lanes.list {
		p.startLane(l)
	}
	p.subscribe(ctx)
	p.announce()
	p.wake = time.NewTimer(refreshEvery)
	defer p.wake.Stop()
	for {
		p.fill(time.Now())
		p.seekFree(trial, time.Now())
		if p.seek.moving && len(p.flying) == 0 {
			p.sess.Close()
			p.lost(ErrClosed)
			return errMoving
		}
		select {
		case <-ctx.Done():
			p.stop()
			p.lost(ErrClosed)
			return nil
		case <-p.sess.Done():
			err := p.reason()
			p.lost(err)
			return err
		case <-u.notify:
			p.look()
		case r := <-p.results:
			p.settle(r, time.Now())
		case m := <-u.inbox:
			p.receive(ctx, m)
		case err := <-p.echo.granted:
			p.subscribed(err)
		case err := <-p.seek.tried:
			p.sought(err, time.Now())
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
		if l.skipAhead(p.behind()) && known[l] {
			skips++
		}
		l.unsent(p.refresh)
	}
	if skips > 0 {
		u.stats.update(func(s *Stats) { s.LiveSkips += skips })
	}
}

// startLane makes a lane ready for a new session.
func (p *pump) startLane(l *lane) {
	l.startLive(p.behind())
	l.unsent(p.refresh)
	for _, pt := range l.partial {
		pt.unload()
	}
}

// fill starts what may leave now and arms the timer for what may leave later.
func (p *pump) fill(now time.Time) {
	if now.Sub(p.refresh) >= refreshEvery {
		p.look()
		for _, l := range p.u.lanes.list {
			if names := l.revived(); len(names) > 0 {
				p.u.cfg.Backlog.Ack(names...)
			}
			l.hist = 0 // what a read did not find may be there now; nothing sent is sent again
		}
	}
	if now.Sub(p.gauges) >= gaugesEvery {
		p.gauges = now
		p.u.publishGauges(len(p.flying))
		p.u.account(p.sess)
	}
	p.ask(now)
	p.plan = p.u.cfg.Budget.Plan()
	later := p.resend(now)
	if wait := p.listen(now); wait > 0 {
		later = min(later, wait)
	}
	if wait := p.relink(now); wait > 0 {
		later = min(later, wait)
	}
	for len(p.flying) < maxPackets && !p.seek.moving {
		pk, wait := p.choose(now)
		if pk == nil {
			if wait > 0 {
				later = min(later, wait)
			}
			break
		}
		p.send(pk, now)
		now = time.Now()
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

// send hands pk to the session, which reports its fate as a result.
func (p *pump) send(pk *packet, now time.Time) {
	pk.mark = p.u.pacer.sent(len(pk.payload), now)
	p.flying = append(p.flying, pk)
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
	err := p.sess.start(pk, func(err error) { p.results <- result{pk, err} })
	if err != nil { // a hole in the order: nothing may follow it in this session
		p.sess.abort(err)
	}
}
