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
	inboxDepth      = 16               // messages waiting for the pump; more are counted and dropped
	maxCommand      = 64 << 10         // bytes of one command
	receiptPatience = 2 * time.Minute  // a new session sends again what waited longer for its receipt
	relinkEvery     = 10 * time.Second // link is not put right more often than this
)

// message is one inbound PUBLISH.
type message struct {
	topic    string
	payload  []byte
	retained bool
}

// link is the retained message on the link topic, and the will.
type link struct {
	State   string `json:"state"` // online, offline
	Reason  string `json:"reason,omitempty"`
	Session string `json:"session"`
	At      string `json:"at,omitempty"` // the unit's best wall time; not in a will
}

func (u *Uplink) linkPayload(state, reason, session string) []byte {
	b, _ := json.Marshal(link{State: state, Reason: reason, Session: session})
	return b
}

// announce queues the retained messages of a new session.
func (p *pump) announce() {
	u := p.u
	if u.cfg.Birth != nil {
		if birth := u.cfg.Birth(); birth != nil {
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
	p.queue(&packet{topic: p.u.topic("link"), payload: p.u.linkPayload("online", "", p.id), retained: true})
}

func (p *pump) queue(pk *packet) { p.control = append(p.control, pk) }

// subscribe asks for the inbound topics. A broker that does not let the unit
// listen is reported; data goes on flowing, it matters more than commands.
func (p *pump) subscribe(ctx context.Context) {
	u := p.u
	err := p.sess.subscribe(ctx, func(topic string, payload []byte, retained bool) {
		select {
		case u.inbox <- message{topic, payload, retained}:
		default:
			u.stats.update(func(s *Stats) { s.BadCommands++ })
			u.cfg.Log.Warn("uplink: too many messages at once, one dropped", "topic", topic,
				"next", "send commands one after another and wait for each reply")
		}
	}, u.topic("cmd"), u.topic("ack"), u.topic("link"))
	if errors.Is(err, ErrSubscribeDenied) {
		u.cfg.Log.Error("uplink: commands and receipts cannot arrive", "error", err, "next", HintFor(err))
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

// seen puts a stale link right: a will of an earlier session of this unit, or
// another device that uses the same id.
func (p *pump) seen(m message) {
	var l link
	if json.Unmarshal(m.payload, &l) != nil || l.Session == p.id {
		return
	}
	if l.State == "online" && !m.retained {
		p.u.cfg.Log.Error("uplink: another device uses this unit's id", "unit", p.u.cfg.Unit, "session", l.Session,
			"next", "give each device its own unit id")
	}
	if time.Since(p.relinked) >= relinkEvery || m.retained {
		p.online()
	}
}

// receipt is a message on the ack topic: the cloud has every batch of the
// stream up to and including Seq.
type receipt struct {
	Store string `json:"store"`
	Class string `json:"class"`
	Seq   uint64 `json:"seq"`
}

// receipt settles what the cloud confirms.
func (p *pump) receipt(m message) {
	var r receipt
	if len(m.payload) > maxCommand || json.Unmarshal(m.payload, &r) != nil {
		p.bad("a receipt that cannot be read")
		return
	}
	store, err := telemetry.ParseStoreID(r.Store)
	class, cerr := telemetry.ParseClass(r.Class)
	if err != nil || cerr != nil {
		p.bad("a receipt that cannot be read")
		return
	}
	if p.u.cfg.Custody != CustodyReceipt {
		return
	}
	l := p.u.lanes.of(laneKey{store, class})
	if l == nil || l.stream.Next == 0 {
		return // settled long ago, or not ours
	}
	var names []telemetry.Name
	for seq := max(l.stream.Floor, 1); seq <= min(r.Seq, l.stream.Next-1); seq++ {
		if seq = l.acked.missing(seq); seq > min(r.Seq, l.stream.Next-1) {
			break
		}
		names = append(names, telemetry.Name{Store: store, Class: class, Seq: seq})
	}
	for _, n := range names {
		l.acked.add(n.Seq)
		l.awaiting.remove(n.Seq)
	}
	l.since = time.Now()
	if len(names) > 0 {
		p.u.cfg.Backlog.Ack(names...)
	}
}

// bad counts and logs an inbound message that is no use.
func (p *pump) bad(what string) {
	p.u.stats.update(func(s *Stats) { s.BadCommands++ })
	p.u.cfg.Log.Warn("uplink: "+what+", ignored", "next", "see telemetry/CONTRACT.md for the shape")
}
