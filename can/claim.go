package can

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"obu/can/j1939"
)

// Times and bounds of taking part in a J1939 network (J1939-81 clause 4.4).
const (
	claimWait    = 250 * time.Millisecond // until an undisputed claim counts
	claimBackoff = 153 * time.Millisecond // at most, before "cannot claim"
	// maxDefences is how often in a defenceSpan a claim is said again, to a node
	// that disputes it or asks for it, before the unit gives up: a node that asks
	// for ever must not make it load the bus.
	maxDefences = 10
	defenceSpan = time.Minute
	// requestEvery is between two requests, roundEvery until they are repeated.
	requestEvery = 5 * time.Second
	roundEvery   = 10 * time.Minute
)

// requestable are the groups that may be asked for: they read, and are rare.
var requestable = map[j1939.PGN]bool{j1939.PGNVehicleID: true, j1939.PGNComponentID: true, j1939.PGNDM2: true}

// claimant takes part in a network: it claims the configured address and then
// asks everybody for the configured groups. It asks all nodes at once, so that
// what is long comes as TP.BAM and needs no answer. It never takes an address
// that somebody uses, and leaves its own for good when somebody else may have
// it. Its goroutine runs run; hear is called by the receiving one.
type claimant struct {
	r   *session
	cfg J1939Config

	mu      sync.Mutex // guards what follows
	said    bool       // we have claimed
	taken   bool       // somebody else has the address, or a better NAME for it
	doubted bool       // somebody with a worse NAME claims it, or asks who has it
	wake    chan struct{}
}

// newClaimant returns nil when the bus is only listened to.
func newClaimant(r *session) *claimant {
	if r.mute || r.cfg.J1939 == nil || r.cfg.J1939.Name == 0 {
		return nil
	}
	return &claimant{r: r, cfg: *r.cfg.J1939, wake: make(chan struct{}, 1)}
}

// hear takes one frame of the bus; none of our own comes back.
func (c *claimant) hear(f *Frame) {
	if !f.Extended || f.Remote || f.Error || f.FD {
		return
	}
	id := j1939.Parse(f.ID)
	data := f.Data[:f.Len]
	taken, doubted := false, false
	switch {
	case id.PGN == j1939.PGNClaim && id.Source == c.cfg.Address:
		name, err := j1939.ParseName(data)
		taken = err == nil && name <= c.cfg.Name
		doubted = err == nil && !taken
	case id.Source == c.cfg.Address:
		taken = true // whoever speaks has it, claimed or not
	case id.PGN == j1939.PGNRequest && len(data) >= 3 && (id.Destination == c.cfg.Address || id.Destination == j1939.AddressGlobal):
		doubted = j1939.PGN(uint32(data[0])|uint32(data[1])<<8|uint32(data[2])<<16) == j1939.PGNClaim
	}
	if !taken && !doubted {
		return
	}
	c.mu.Lock()
	if taken || id.PGN == j1939.PGNClaim && !c.said { // before we have said a word it is theirs
		c.taken = true
	}
	c.doubted = c.doubted || doubted && c.said
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// look returns what was heard since it was called last.
func (c *claimant) look() (taken, doubted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken, doubted, c.doubted = c.taken, c.doubted, false
	return taken, doubted
}

// run listens, claims and asks until ctx ends or the address is another's.
func (c *claimant) run(ctx context.Context) {
	c.r.n.setClaim("listening")
	if pause(ctx, DefaultListen) != nil || c.r.gate.wait(ctx) != nil {
		return
	}
	if taken, _ := c.look(); taken {
		c.leave(ctx, false)
		return
	}
	c.r.n.setClaim("claiming")
	c.mu.Lock()
	c.said = true
	c.mu.Unlock()
	c.claim(c.cfg.Address)
	if c.hold(ctx) {
		c.leave(ctx, true)
	}
}

// hold keeps the address and asks; it returns true when the address is lost.
func (c *claimant) hold(ctx context.Context) (lost bool) {
	timer := time.NewTimer(claimWait)
	defer timer.Stop()
	claimed, defences, next := false, 0, 0
	since := time.Now()
	// A round is repeated on a network that speaks alone: heard are its frames when
	// it was looked at last, awake that it was, in this round.
	again, awake, heard := false, false, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return false
		case <-c.wake:
			taken, doubted := c.look()
			if time.Since(since) >= defenceSpan {
				since, defences = time.Now(), 0
			}
			if doubted {
				defences++
			}
			if taken || defences > maxDefences {
				return true
			}
			if doubted && c.r.gate.silence() <= 0 {
				c.claim(c.cfg.Address)
			}
			continue
		case <-timer.C:
		}
		if !claimed {
			claimed = true
			c.r.n.setClaim("claimed")
			c.r.log.Info("claimed an address on the J1939 network", "address", nodeName(c.cfg.Address), "name", c.cfg.Name)
		}
		if len(c.cfg.Requests) == 0 {
			continue // only the address is held
		}
		if d := c.r.gate.silence(); d > 0 {
			c.r.n.withheld.Add(1)
			timer.Reset(d)
			continue
		}
		if before := heard; again {
			if heard = c.r.heard.Load(); !awake || heard == before { // listened to first: it may sleep
				awake = true
				timer.Reset(requestEvery)
				continue
			}
		}
		c.request(c.cfg.Requests[next])
		if next++; next < len(c.cfg.Requests) {
			timer.Reset(requestEvery)
		} else {
			next, again, awake = 0, true, false
			timer.Reset(roundEvery - requestEvery)
		}
	}
}

// leave gives the address up; said tells that it was claimed.
func (c *claimant) leave(ctx context.Context, said bool) {
	c.r.n.setClaim("lost")
	c.r.log.Warn("the address on the J1939 network is another node's: nothing is sent; set can.j1939.address to one that nobody uses (obu decode can --j1939 lists the senders)",
		"address", nodeName(c.cfg.Address))
	if said && pause(ctx, rand.N(claimBackoff)) == nil && c.r.gate.silence() <= 0 {
		c.claim(j1939.AddressNull) // "cannot claim"
	}
}

func (c *claimant) claim(source uint8) {
	f := Frame{ID: j1939.ID{Priority: 6, PGN: j1939.PGNClaim, Source: source, Destination: j1939.AddressGlobal}.Identifier(), Extended: true, Len: 8}
	binary.LittleEndian.PutUint64(f.Data[:], uint64(c.cfg.Name))
	c.send(f)
}

func (c *claimant) request(pgn j1939.PGN) {
	f := Frame{ID: j1939.ID{Priority: 6, PGN: j1939.PGNRequest, Source: c.cfg.Address, Destination: j1939.AddressGlobal}.Identifier(), Extended: true, Len: 3}
	f.Data = [64]byte{byte(pgn), byte(pgn >> 8), byte(pgn >> 16)}
	c.send(f)
}

// send is the way of these frames through the gate.
func (c *claimant) send(f Frame) {
	if err := c.r.gate.network(f, &c.cfg); err != nil && c.r.n.sendErrors.Add(1) == 1 {
		c.r.log.Warn("a J1939 frame was not sent; is anybody on the bus, and is the bit rate right? (ip -details -statistics link show)", "error", err)
	}
}

// allowedNetwork is the allow-list of a J1939 network: our NAME's claims, and
// requests for groups that only read, from the claimed address.
func allowedNetwork(f *Frame, cfg *J1939Config) bool {
	if !f.Extended || f.Remote || f.Error || f.FD || cfg.Name == 0 {
		return false
	}
	id, data := j1939.Parse(f.ID), f.Data[:f.Len]
	if id.Destination != j1939.AddressGlobal || id.Priority != 6 {
		return false
	}
	switch id.PGN {
	case j1939.PGNClaim:
		return len(data) == 8 && j1939.Name(binary.LittleEndian.Uint64(data)) == cfg.Name && (id.Source == cfg.Address || id.Source == j1939.AddressNull)
	case j1939.PGNRequest:
		return len(data) == 3 && id.Source == cfg.Address && requestable[j1939.PGN(uint32(data[0])|uint32(data[1])<<8|uint32(data[2])<<16)]
	}
	return false
}

// network sends a frame of the claimant.
func (g *gate) network(f Frame, cfg *J1939Config) error {
	if !allowedNetwork(&f, cfg) {
		g.r.n.forbidden.Add(1)
		return errForbidden
	}
	if err := g.r.bus.Send(f); err != nil {
		return err
	}
	if j1939.Parse(f.ID).PGN == j1939.PGNRequest {
		g.r.n.requests.Add(1)
	} else {
		g.r.n.claims.Add(1)
	}
	return nil
}
