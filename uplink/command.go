package uplink

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Bounds of commands.
const (
	maxCommandID   = 64  // bytes
	maxReplies     = 16  // replies without PUBACK that are kept for the next session
	maxRemembered  = 256 // ids kept in memory when there is no Commands
	commandTimeout = 30 * time.Second
)

// Request is one command as it came in.
type Request struct {
	ID       string          `json:"id"`
	Name     string          `json:"name"`
	NotAfter time.Time       `json:"not_after"`
	Issuer   string          `json:"issuer"`
	Args     json.RawMessage `json:"args,omitempty"`
}

// Command executes one request and returns what the reply's result holds. It
// runs in a goroutine of its own, one command at a time, and must return when
// ctx ends.
type Command func(ctx context.Context, r Request) (result any, err error)

// Reply is what is published on the reply topic, once per command id.
type Reply struct {
	ID     string `json:"id"`
	OK     bool   `json:"ok"`
	Error  string `json:"error,omitempty"`
	Result any    `json:"result,omitempty"`
}

// pong is the result of ping.
type pong struct {
	Version string    `json:"version"`
	Time    time.Time `json:"time"`   // the unit's best wall time
	Uptime  float64   `json:"uptime"` // seconds since boot
	Boot    string    `json:"boot"`
	Session string    `json:"session"`
}

// answer is a finished command.
type answer struct {
	id      string
	payload []byte
}

// commander runs one command at a time.
type commander struct {
	queue []Request
	busy  bool
	done  chan answer
	wg    sync.WaitGroup
	// remembered takes the place of Commands when there is none.
	remembered map[string][]byte
	order      []string
}

func (c *commander) wait() { c.wg.Wait() }

// command takes one request in: a known id is answered with the stored reply
// and never executed again.
func (p *pump) command(ctx context.Context, m message) {
	u := p.u
	var r Request
	if len(m.payload) > maxCommand || json.Unmarshal(m.payload, &r) != nil || r.ID == "" || len(r.ID) > maxCommandID || r.Name == "" {
		p.bad("a command that cannot be read")
		return
	}
	if reply, ok := u.executed(r.ID); ok {
		p.reply(reply)
		return
	}
	c := &u.cmds
	if slices.ContainsFunc(c.queue, func(q Request) bool { return q.ID == r.ID }) {
		return
	}
	if len(c.queue) >= inboxDepth {
		p.bad("a command while too many are waiting")
		return
	}
	u.stats.update(func(s *Stats) { s.Commands++ })
	c.queue = append(c.queue, r)
	p.nextCommand(ctx)
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

// answer publishes the reply of a finished command and starts the next.
func (p *pump) answer(ctx context.Context, a answer) {
	c := &p.u.cmds
	c.busy = false
	c.queue = slices.Delete(c.queue, 0, 1)
	p.reply(a.payload)
	p.nextCommand(ctx)
}

// execute runs a request and records its reply before anyone sees it.
func (u *Uplink) execute(ctx context.Context, r Request, session string) answer {
	reply := Reply{ID: r.ID}
	result, err := u.dispatch(ctx, r, session)
	if err != nil {
		reply.Error = err.Error()
	} else {
		reply.OK, reply.Result = true, result
	}
	payload, err := json.Marshal(reply)
	if err != nil {
		payload, _ = json.Marshal(Reply{ID: r.ID, Error: "result cannot be encoded: " + err.Error()})
	}
	if err := u.record(r, payload); err != nil {
		u.cfg.Log.Error("uplink: command id cannot be stored; it may run again after a restart", "id", r.ID, "error", err)
	}
	return answer{r.ID, payload}
}

func (u *Uplink) dispatch(ctx context.Context, r Request, session string) (any, error) {
	if !r.NotAfter.IsZero() && u.cfg.Now().After(r.NotAfter) {
		u.stats.update(func(s *Stats) { s.BadCommands++ })
		return nil, errExpired
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	if h := u.cfg.Handlers[r.Name]; h != nil {
		return h(ctx, r)
	}
	if r.Name == "ping" {
		return pong{Version: u.cfg.Version, Time: u.wall(), Uptime: u.cfg.Clock.Now().Seconds(),
			Boot: u.cfg.Clock.Boot().String(), Session: session}, nil
	}
	return nil, unknownCommand(r.Name)
}

type commandError string

func (e commandError) Error() string { return string(e) }

const errExpired = commandError("expired")

func unknownCommand(name string) error { return commandError("unknown command " + name) }

func (u *Uplink) executed(id string) ([]byte, bool) {
	if u.cfg.Commands != nil {
		return u.cfg.Commands.Executed(id)
	}
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	reply, ok := u.cmds.remembered[id]
	return reply, ok
}

func (u *Uplink) record(r Request, reply []byte) error {
	if u.cfg.Commands != nil {
		return u.cfg.Commands.Record(r.ID, reply, r.NotAfter)
	}
	u.stats.mu.Lock()
	defer u.stats.mu.Unlock()
	c := &u.cmds
	if c.remembered == nil {
		c.remembered = make(map[string][]byte)
	}
	if len(c.order) >= maxRemembered {
		delete(c.remembered, c.order[0])
		c.order = c.order[1:]
	}
	c.remembered[r.ID] = reply
	c.order = append(c.order, r.ID)
	return nil
}

// reply queues a reply; it is kept until a PUBACK, over sessions.
func (p *pump) reply(payload []byte) {
	pk := &packet{topic: p.u.topic("reply"), payload: payload}
	u := p.u
	if len(u.replies) >= maxReplies {
		u.replies = u.replies[1:] // the issuer asks again with the same id
	}
	u.replies = append(u.replies, pk)
	p.queue(pk)
}
