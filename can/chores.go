package can

import (
	"context"
	"slices"
	"sync"
	"time"

	"obu/can/obd"
)

// Times of what is asked beside the polls.
const (
	// DefaultCodesEvery is how often trouble codes are asked for; at once when
	// PID 01 says that their number or the MIL has changed.
	DefaultCodesEvery = time.Minute
	// statusEvery is how often PID 01 is asked for to notice that, when no poll
	// does.
	statusEvery = 10 * time.Second
	// hurryEvery is how often a change of status may make them due at once.
	hurryEvery = 10 * time.Second
	// frameEvery is how often the freeze frame of one ECU is asked for at most: a
	// code that comes and goes must not cost the bus twenty requests each time.
	frameEvery = time.Minute
	// infoEvery is how often ECUs are asked for what they are and for their
	// in-use counters.
	infoEvery = time.Hour
	// choreRetry bounds, as a multiple of its period, how much less often
	// something is asked that nobody answers.
	choreRetry = 16
)

// chore is one request that is sent now and then beside the polls.
type chore struct {
	request
	expect   int
	every    time.Duration
	wait     time.Duration // until the next time, longer while nobody answers
	due      time.Time
	refusals int
}

// chores is what the poller does beside its polls: trouble codes, freeze
// frames, what ECUs say of themselves.
type chores struct {
	list    []chore
	turn    bool                 // an errand was run instead of a poll that was due
	frames  []request            // of a freeze frame, still to be asked for
	framed  map[ecuKey]time.Time // when an ECU's was last asked for
	hurried time.Time

	mu     sync.Mutex      // guards what follows
	status map[ecuKey]byte // byte A of PID 01: MIL and number of codes
	stale  bool            // it has changed: ask for the codes
	broken []ecuKey        // ECUs with new stored codes
}

// planChores makes the list of chores. p.mu is held.
func (p *poller) planChores(now time.Time) {
	c := &p.chores
	c.list, c.frames = c.list[:0], nil
	c.mu.Lock()
	c.status = make(map[ecuKey]byte)
	c.mu.Unlock()
	add := func(service, pid byte, expect int, every time.Duration) {
		c.list = append(c.list, chore{request: request{service: service, pid: pid, extended: p.extended}, expect: expect, every: every, due: now})
	}
	if len(p.ecus) == 0 {
		return // a car without OBD
	}
	if p.cfg.Codes {
		every := p.cfg.CodesEvery
		if every == 0 {
			every = DefaultCodesEvery
		}
		for _, service := range [...]byte{obd.ServiceStored, obd.ServicePending, obd.ServicePermanent} {
			add(service, 0, len(p.ecus), every)
		}
		polled := slices.ContainsFunc(p.polls, func(q poll) bool { return q.PID == obd.PIDStatus && q.Every <= statusEvery })
		if n := p.supporters(obd.PIDStatus); n > 0 && !polled {
			p.want[obd.PIDStatus] = true
			add(obd.ServiceCurrent, obd.PIDStatus, n, statusEvery)
		}
	}
	if p.cfg.Info {
		add(obd.ServiceVehicle, obd.PIDSupported, len(p.ecus), infoEvery)
	}
}

// noteStatus notes byte A of an ECU's PID 01.
func (c *chores) noteStatus(ecu ecuKey, a byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before, ok := c.status[ecu]; ok && before != a {
		c.stale = true
	}
	if _, ok := c.status[ecu]; ok || len(c.status) < maxECUs && c.status != nil {
		c.status[ecu] = a
	}
}

// noteCodes notes that an ECU has stored new trouble codes.
func (c *chores) noteCodes(ecu ecuKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.broken) < maxECUs && !slices.Contains(c.broken, ecu) {
		c.broken = append(c.broken, ecu)
	}
}

// hurry makes the trouble codes due when the status has changed.
func (c *chores) hurry(now time.Time) {
	c.mu.Lock()
	stale := c.stale && now.Sub(c.hurried) >= hurryEvery
	if stale {
		c.stale, c.hurried = false, now
	}
	c.mu.Unlock()
	for i := range c.list {
		if stale && c.list[i].bare() && c.list[i].refusals < patience {
			c.list[i].due, c.list[i].wait = now, 0
		}
	}
}

// firstDue returns when the first chore is due, a long time from now when
// there is none.
func (c *chores) firstDue() time.Time {
	first := time.Now().Add(infoEvery)
	if len(c.frames) > 0 {
		return time.Time{}
	}
	for i := range c.list {
		if k := &c.list[i]; k.refusals < patience && k.due.Before(first) {
			first = k.due
		}
	}
	return first
}

// errand sends at most one request that is no poll. q is the poll that is due
// first: of the two that are due, they take turns.
func (p *poller) errand(ctx context.Context, q *poll) (done bool, err error) {
	c := &p.chores
	now := time.Now()
	c.hurry(now)
	if c.turn = !c.turn; !c.turn && q != nil && !now.Before(q.due) {
		return false, nil
	}
	if p.cfg.Freeze {
		if done, err := p.freezeFrame(ctx); done || err != nil {
			return done, err
		}
	}
	for i := range c.list {
		if k := &c.list[i]; k.refusals < patience && !now.Before(k.due) {
			answers, err := p.send(ctx, k.request, k.expect)
			if err == nil {
				p.finishChore(i, answers)
			}
			return true, err
		}
	}
	return p.askEnhanced(ctx, now)
}

// finishChore settles when a chore is due again.
func (p *poller) finishChore(i int, answers []answer) {
	c := &p.chores
	k := &c.list[i]
	good := slices.ContainsFunc(answers, func(a answer) bool { return a.negative == 0 })
	switch {
	case good:
		k.refusals, k.wait = 0, k.every
	case len(answers) > 0:
		k.refusals++ // by every ECU that answered
		k.wait = k.every
	default:
		k.wait = min(max(2*k.wait, k.every), choreRetry*k.every)
	}
	k.due = time.Now().Add(k.wait)
	if good && k.service == obd.ServiceVehicle && k.pid == obd.PIDSupported {
		p.planInfo(answers)
	}
}

// planInfo adds the InfoTypes that ECUs say they have.
func (p *poller) planInfo(answers []answer) {
	c := &p.chores
	for _, pid := range [...]byte{obd.PIDName, obd.PIDCalibration, obd.PIDVerification, obd.PIDInUseSpark, obd.PIDInUseCompress} {
		n := 0
		for i := range answers {
			if answers[i].negative == 0 {
				obd.SupportedPIDs(obd.PIDSupported, answers[i].data[:4], func(q byte) {
					if q == pid {
						n++
					}
				})
			}
		}
		known := slices.ContainsFunc(c.list, func(k chore) bool { return k.service == obd.ServiceVehicle && k.pid == pid })
		if n > 0 && !known {
			c.list = append(c.list, chore{request: request{service: obd.ServiceVehicle, pid: pid, extended: p.extended}, expect: n, every: infoEvery, due: time.Now()})
		}
	}
}

// freezeFrame asks an ECU with new trouble codes for one quantity of its
// freeze frame: first which code it is of, then which quantities it has, then
// those.
func (p *poller) freezeFrame(ctx context.Context) (done bool, err error) {
	c := &p.chores
	if len(c.frames) == 0 {
		if ecu, ok := c.takeBroken(time.Now()); ok {
			c.frames = append(c.frames, frameRequest(ecu, obd.PIDFreezeDTC), frameRequest(ecu, obd.PIDSupported))
		}
	}
	if len(c.frames) == 0 {
		return false, nil
	}
	q := c.frames[0]
	answers, err := p.send(ctx, q, 1)
	if err != nil {
		return true, err
	}
	c.frames = slices.Delete(c.frames, 0, 1)
	if len(answers) == 0 || answers[0].negative != 0 {
		c.frames = slices.DeleteFunc(c.frames, func(r request) bool { return r.ecu == q.ecu && q.pid%0x20 == 0 })
		return true, nil
	}
	if q.pid%0x20 == 0 {
		obd.SupportedPIDs(q.pid, answers[0].data[:4], func(pid byte) {
			if pid != obd.PIDFreezeDTC {
				c.frames = append(c.frames, frameRequest(q.ecu, pid))
			}
		})
	}
	return true, nil
}

// takeBroken returns an ECU with new codes whose freeze frame may be asked for.
func (c *chores) takeBroken(now time.Time) (ecu ecuKey, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.broken, func(e ecuKey) bool { return now.Sub(c.framed[e]) >= frameEvery })
	if i < 0 {
		return 0, false
	}
	ecu = c.broken[i]
	c.broken = slices.Delete(c.broken, i, i+1)
	if c.framed == nil || len(c.framed) >= maxECUs {
		c.framed = make(map[ecuKey]time.Time)
	}
	c.framed[ecu] = now
	return ecu, true
}

func frameRequest(ecu ecuKey, pid byte) request {
	return request{service: obd.ServiceFreeze, pid: pid, ecu: ecu, extended: ecu&flagExtended != 0}
}
