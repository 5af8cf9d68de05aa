package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"obu/telemetry"
)

// Bounds of inbound messages.
const (
	inboxDepth    = 16               // messages waiting for the pump; more are counted and dropped
	inboxPatience = time.Second      // a message waits for room so long
	badLogEvery   = time.Minute      // inbound messages of no use get one line
	relinkEvery   = 10 * time.Second // link is not put right more often than this
)

// message is one inbound PUBLISH.
type message struct {
	topic    string
	payload  []byte
	retained bool
}

// linkPayload encodes a link message. A will gets no time: it is written long
// before it is published.
func (u *Uplink) linkPayload(state, reason, session string) []byte {
	l := telemetry.Link{State: state, Reason: reason, Session: session}
	if at := u.wall(); !at.IsZero() && reason != reasonLost {
		l.At = &at
	}
	b, _ := json.Marshal(l) // cannot fail: strings and a time
	return b
}

// The reasons of an offline link.
const (
	reasonLost    = "lost" // the will
	reasonStopped = "stopped"
)

// announce queues the retained messages of a new session.
func (p *pump) announce() {
	u := p.u
	if u.cfg.ClearRetained && !u.cleared {
		u.cleared = true // should the session end first, the next one replaces them
		for _, name := range [...]string{"birth", "link"} {
			p.queue(&packet{topic: u.topic(name), retained: true})
		}
	}
	if u.cfg.Birth != nil {
		if birth := u.cfg.Birth(); birth != nil {
			if b, ok := birth.(telemetry.Birth); ok {
				b.Session = p.id
				birth = b
			}
			payload, err := json.Marshal(birth)
			if err != nil {
				u.cfg.Log.Error("uplink: birth cannot be encoded", "error", err)
			} else {
				p.queue(&packet{topic: u.topic("birth"), payload: payload, retained: true})
			}
		}
	}
	p.online()
	p.control = append(p.control, u.replies...)
	p.recall()
}

func (p *pump) online() {
	p.relinked = time.Now()
	p.queue(&packet{topic: p.u.topic("link"), payload: p.u.linkPayload(telemetry.LinkOnline, "", p.id), retained: true})
}

func (p *pump) queue(pk *packet) { p.control = append(p.control, pk) }

// subscribe asks for the inbound topics, before link is published: what is
// retained there tells who was here last. A broker that does not let the unit
// listen is reported; data goes on flowing, it matters more than commands.
func (p *pump) subscribe(ctx context.Context) {
	u := p.u
	granted, err := p.sess.startSubscribe(ctx, p.inbound(ctx.Done()), u.topic("cmd"), u.topic("ack"), u.topic("link"))
	if err != nil { // the session has ended: run sees it
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, u.cfg.AckTimeout)
		defer cancel()
		err := granted(ctx)
		if errors.Is(err, ErrSubscribeDenied) {
			u.cfg.Log.Error("uplink: commands and receipts cannot arrive", "error", err, "next", HintFor(err))
		} else if errors.Is(err, context.DeadlineExceeded) {
			p.sess.abort(why(ErrNoPuback, err))
		}
		p.echo.granted <- err
	}()
}

// inbound returns the handler of what the broker sends: it hands messages to
// the pump.
func (p *pump) inbound(stopping <-chan struct{}) Handler {
	u := p.u
	return func(topic string, payload []byte, retained bool) {
		m := message{topic, payload, retained}
		select {
		case u.inbox <- m:
			return
		default:
		}
		patience := time.NewTimer(inboxPatience)
		defer patience.Stop()
		select {
		case u.inbox <- m:
		case <-stopping:
		case <-p.sess.Done():
		case <-patience.C:
			u.ignored("too many messages at once on "+topic, errBusy, "send commands one after another and wait for each reply")
		}
	}
}

// receive handles one inbound message.
func (p *pump) receive(ctx context.Context, m message) {
	u := p.u
	switch m.topic {
	case u.topic("cmd"):
		p.command(ctx, m)
	case u.topic("ack"):
		p.receipt(m)
	case u.topic("link"):
		p.seen(m)
	}
}

// ownSessions is how many of its own session ids a unit remembers: the will of
// an old one comes when the broker notices its end, and of one that was given
// up before its CONNACK arrived too. With the back-off it is more than an hour.
const ownSessions = 64

// seen hears this session's own link, which proves that the broker delivers,
// and puts a stale one right: a will of an earlier session of this unit, or
// what another device with the same id said.
func (p *pump) seen(m message) {
	l, err := telemetry.DecodeLink(m.payload)
	if err == nil && l.Session == p.id {
		p.stale = false
		p.echoed()
		return
	}
	p.stale = true
	// What is retained when the first session starts may be of an earlier run.
	if err == nil && l.Session != "" && !slices.Contains(p.u.sessions, l.Session) &&
		(p.u.stats.connects() > 1 || l.State == telemetry.LinkOnline && !m.retained) {
		p.rival(l)
	}
}

// rival notes that another device speaks as this unit.
func (p *pump) rival(l telemetry.Link) {
	if !p.rivalled {
		p.u.cfg.Log.Error("uplink: another device uses this unit's id", "unit", p.u.cfg.Unit, "session", l.Session, "next", ErrTakenOver.Hint)
	}
	p.rivalled = true
	p.u.stats.heardRival(l.Session, time.Now())
}

// relink publishes link again when something else stands there. It returns how
// long until it wants to be called again; 0: not on its account.
func (p *pump) relink(now time.Time) time.Duration {
	if !p.stale {
		return 0
	}
	if left := p.relinked.Add(relinkEvery).Sub(now); left > 0 {
		return left
	}
	p.stale = false
	p.online()
	return 0
}

// reason says why the session ended: when the broker closed it and another
// device was heard of meanwhile, that one took it over.
func (p *pump) reason() error {
	err := p.sess.Err()
	if p.rivalled && errors.Is(err, ErrEndedByBroker) {
		p.u.stats.heardRival("", time.Now())
		return why(ErrTakenOver, err)
	}
	return err
}

// bad counts an inbound message that is no use.
func (p *pump) bad(what string, err error) {
	next := "see telemetry/CONTRACT.md for its shape"
	if errors.Is(err, errBusy) {
		next = "send commands one after another and wait for each reply"
	}
	p.u.ignored(what, err, next)
}

// ignored counts an inbound message that is no use. It logs the first, then one
// line a badLogEvery with how many there were since the last.
func (u *Uplink) ignored(what string, err error, next string) {
	now, since := time.Now(), int64(0)
	u.stats.update(func(s *Stats) {
		s.BadCommands++
		if u.badSince++; now.Sub(u.badLogged) >= badLogEvery {
			since, u.badSince, u.badLogged = u.badSince, 0, now
		}
	})
	if since > 0 {
		u.cfg.Log.Warn("uplink: "+what+" ignored", "error", err, "ignored", since, "next", next)
	}
}
