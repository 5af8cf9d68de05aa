package uplink

import (
	"context"
	"encoding/json"
	"errors"
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
}

func (p *pump) online() {
	p.relinked = time.Now()
	p.queue(&packet{topic: p.u.topic("link"), payload: p.u.linkPayload(telemetry.LinkOnline, "", p.id), retained: true})
}

func (p *pump) queue(pk *packet) { p.control = append(p.control, pk) }

// subscribe asks for the inbound topics. A broker that does not let the unit
// listen is reported; data goes on flowing, it matters more than commands.
func (p *pump) subscribe(ctx context.Context) {
	u := p.u
	stopping := ctx.Done()
	ctx, cancel := context.WithTimeout(ctx, u.cfg.AckTimeout)
	defer cancel()
	err := p.sess.subscribe(ctx, func(topic string, payload []byte, retained bool) {
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
	}, u.topic("cmd"), u.topic("ack"), u.topic("link"))
	if errors.Is(err, ErrSubscribeDenied) {
		u.cfg.Log.Error("uplink: commands and receipts cannot arrive", "error", err, "next", HintFor(err))
	} else if errors.Is(err, context.DeadlineExceeded) {
		p.sess.abort(why(ErrNoPuback, err))
	}
	p.echo.granted <- err
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

// seen hears this session's own link, which proves that the broker delivers,
// and puts a stale one right: a will of an earlier session of this unit, or
// another device that uses the same id.
func (p *pump) seen(m message) {
	l, err := telemetry.DecodeLink(m.payload)
	if err == nil && l.Session == p.id {
		p.echoed()
		return
	}
	if err == nil && l.State == telemetry.LinkOnline && !m.retained {
		p.u.cfg.Log.Error("uplink: another device uses this unit's id", "unit", p.u.cfg.Unit, "session", l.Session,
			"next", "give each device its own unit id")
	}
	if time.Since(p.relinked) >= relinkEvery || m.retained {
		p.online()
	}
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
