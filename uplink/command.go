package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"obu/telemetry"
)

// Bounds of commands.
const (
	maxReplies     = 16  // replies without PUBACK that are kept for the next session
	maxRemembered  = 256 // ids kept in memory when there is no Commands
	commandTimeout = 30 * time.Second
	cutOffFor      = 24 * time.Hour // an interrupted command is remembered, whatever its not-after was
)

// Action executes one command and returns what the reply's result holds. It
// runs in a goroutine of its own, one command at a time, and must return when
// ctx ends.
type Action func(ctx context.Context, c telemetry.Command) (result any, err error)

// pong is the result of ping.
type pong struct {
	Version string    `json:"version"`
	Time    time.Time `json:"time"`   // the unit's best wall time
	Uptime  float64   `json:"uptime"` // seconds since boot
	Boot    string    `json:"boot"`
	Session string    `json:"session"`
}

// answer is the encoded reply of a finished command.
type answer []byte

// commander runs one command at a time.
type commander struct {
	queue []telemetry.Command
	busy  bool
	ended bool // no more are executed in this run
	done  chan answer
	wg    sync.WaitGroup
	// remembered takes the place of Commands when there is none.
	remembered map[string]known
}

// known is a remembered command id.
type known struct {
	reply    []byte
	notAfter time.Time
}

func (c *commander) wait() { c.wg.Wait() }

// command takes one request in: a known id is answered with the stored reply
// and never executed again.
func (p *pump) command(ctx context.Context, m message) {
	u := p.u
	r, err := telemetry.DecodeCommand(m.payload)
	if err != nil {
		p.bad("command", err)
		return
	}
	c := &u.cmds
	if c.ended || slices.ContainsFunc(c.queue, func(q telemetry.Command) bool { return q.ID == r.ID }) {
		return
	}
	if reply, ok := u.executed(r.ID); ok {
		p.reply(r.ID, reply)
		return
	}
	if len(c.queue) >= inboxDepth {
		p.busy(r)
		return
	}
	u.stats.update(func(s *Stats) { s.Commands++ })
	c.queue = append(c.queue, r)
	p.nextCommand(ctx)
}

// busy tells the issuer of a command that too many wait. In a flood only some
// are told: replies of executed commands go first.
func (p *pump) busy(r telemetry.Command) {
	p.bad("command "+r.ID, errBusy)
	if len(p.u.replies) >= maxReplies/2 {
		return
	}
	reply := telemetry.Reply{ID: r.ID, Error: errBusy.Error()}
	if payload, err := json.Marshal(reply); err == nil {
		p.reply("", payload)
	}
}

// nextCommand starts the oldest waiting command.
func (p *pump) nextCommand(ctx context.Context) {
	c := &p.u.cmds
	if c.busy || len(c.queue) == 0 {
		return
	}
	r := c.queue[0]
	c.busy = true
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.done <- p.u.execute(ctx, r, p.id)
	}()
}

// answer publishes the reply of a finished command and starts the next. After
// one that is answered later there is none: whoever sent it sends it again.
func (p *pump) answer(ctx context.Context, a answer) {
	c := &p.u.cmds
	id := c.queue[0].ID
	c.busy = false
	c.queue = slices.Delete(c.queue, 0, 1)
	if a == nil {
		c.ended = true
		return
	}
	p.reply(id, a)
	p.nextCommand(ctx)
}

// execute runs a request and records its reply before anyone sees it.
func (u *Uplink) execute(ctx context.Context, r telemetry.Command, session string) answer {
	reply := telemetry.Reply{ID: r.ID}
	if at := u.wall(); !at.IsZero() {
		reply.At = &at
	}
	if err := u.admit(); err != nil {
		u.stats.update(func(s *Stats) { s.BadCommands++ })
		reply.Error = err.Error() // and not recorded: it may come again
		payload, _ := json.Marshal(reply)
		return payload
	}
	result, err := u.dispatch(ctx, r, session)
	if errors.Is(err, ErrReplyLater) {
		return nil
	}
	if err == nil {
		reply.Result, err = json.Marshal(result)
	}
	if reply.OK = err == nil; !reply.OK {
		reply.Error, reply.Result = err.Error(), nil
	}
	payload, err := json.Marshal(reply)
	if err != nil { // a result that is no JSON after all
		payload, _ = json.Marshal(telemetry.Reply{ID: r.ID, Error: "encode result: " + err.Error()})
	}
	if err := u.record(r, payload); err != nil {
		u.cfg.Log.Error("uplink: command id cannot be stored; it may run again after a restart", "id", r.ID, "error", err)
	}
	return payload
}

func (u *Uplink) dispatch(ctx context.Context, r telemetry.Command, session string) (any, error) {
	if u.cfg.Now().After(r.NotAfter) {
		u.stats.update(func(s *Stats) { s.BadCommands++ })
		return nil, errExpired
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	if h := u.cfg.Handlers[r.Name]; h != nil {
		if err := u.record(r, nil); err != nil { // before any effect: at most once, whatever cuts it short
			u.cfg.Log.Error("uplink: command id cannot be stored; it may run again after a restart", "id", r.ID, "error", err)
		}
		return h(ctx, r)
	}
	if r.Name == "ping" {
		return pong{Version: u.cfg.Version, Time: u.wall(), Uptime: u.cfg.Clock.Now().Seconds(),
			Boot: u.cfg.Clock.Boot().String(), Session: session}, nil
	}
	return nil, fmt.Errorf("unknown command %q", r.Name)
}

// ErrReplyLater is returned by an Action whose reply is told by the next run:
// it is recorded in Commands by then. No other command is executed before.
var ErrReplyLater = errors.New("the reply comes after a restart")

// Errors of commands, as they stand in replies.
var (
	errExpired = errors.New("expired")
	errBusy    = errors.New("busy, send again")
	errTooMany = errors.New("too many unexpired commands")
	errCutOff  = errors.New("interrupted: it began, the unit restarted, and it is not executed again; look at the unit before sending a new one")
)

func (u *Uplink) executed(id string) ([]byte, bool) {
	if u.cfg.Commands != nil {
		return u.cfg.Commands.Executed(id)
	}
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	k, ok := u.cmds.remembered[id]
	return k.reply, ok
}

// admit reports whether the id of one more command can be remembered.
func (u *Uplink) admit() error {
	now := u.cfg.Now()
	if u.cfg.Commands != nil {
		return u.cfg.Commands.Admit(now)
	}
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	c := &u.cmds
	if len(c.remembered) >= maxRemembered {
		maps.DeleteFunc(c.remembered, func(_ string, k known) bool { return k.notAfter.Before(now) })
	}
	if len(c.remembered) >= maxRemembered {
		return errTooMany
	}
	return nil
}

func (u *Uplink) record(r telemetry.Command, reply []byte) error {
	if u.cfg.Commands != nil {
		return u.cfg.Commands.Record(r.ID, reply, r.NotAfter)
	}
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	c := &u.cmds
	if c.remembered == nil {
		c.remembered = make(map[string]known)
	}
	c.remembered[r.ID] = known{reply, r.NotAfter}
	return nil
}

// reply queues a reply; it is kept until a PUBACK, over sessions, and, unless it
// is one of the refusals that have no id, over restarts.
func (p *pump) reply(id string, payload []byte) {
	if len(payload) == 0 {
		return // it began and is not answered yet
	}
	pk := &packet{topic: p.u.topic("reply"), payload: payload, id: id}
	u := p.u
	if len(u.replies) >= maxReplies {
		u.replies = u.replies[1:] // recalled when there is room; a refused command is sent again
	}
	u.replies = append(u.replies, pk)
	p.queue(pk)
}

// told settles a reply that the broker has.
func (p *pump) told(pk *packet) {
	u := p.u
	u.replies = slices.DeleteFunc(u.replies, func(q *packet) bool { return q == pk })
	if pk.id == "" || u.cfg.Commands == nil {
		return
	}
	u.cfg.Commands.Told(pk.id)
	if len(u.replies) == 0 {
		p.recall()
	}
}

// recall queues replies that the broker does not have: of an earlier run, or
// more than are kept in memory.
func (p *pump) recall() {
	u := p.u
	if u.cfg.Commands == nil {
		return
	}
	u.cfg.Commands.Untold(func(id string, reply []byte) bool {
		has := slices.ContainsFunc(u.replies, func(q *packet) bool { return q.id == id }) ||
			slices.ContainsFunc(u.cmds.queue, func(q telemetry.Command) bool { return q.ID == id }) // answered in a moment
		if !has && len(u.replies) < maxReplies {
			p.reply(id, reply)
		}
		return len(u.replies) < maxReplies
	})
}

// interrupted answers the commands that a restart cut short.
func (u *Uplink) interrupted() {
	if u.cfg.Commands == nil {
		return
	}
	u.cfg.Commands.Untold(func(id string, reply []byte) bool {
		if len(reply) > 0 {
			return true
		}
		payload, err := json.Marshal(telemetry.Reply{ID: id, Error: errCutOff.Error()})
		if err == nil {
			err = u.cfg.Commands.Record(id, payload, u.cfg.Now().Add(cutOffFor))
		}
		if err != nil {
			u.cfg.Log.Error("uplink: a command that was interrupted cannot be answered", "id", id, "error", err)
		}
		return true
	})
}
