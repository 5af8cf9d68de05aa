package can

import (
	"context"
	"time"

	"obu/can/obd"
	"obu/telemetry"
)

// silent reports whether the ECUs have stopped answering.
func (p *poller) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unheard >= silentRequests && time.Since(p.last) >= silentAfter
}

// resting reports whether the engine has been off for so long that the car
// should be left alone.
func (p *poller) resting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.engine && time.Since(p.alive) >= restAfter
}

// look asks for the signs that the car is in use, polled or not: engine speed,
// vehicle speed and the charging voltage. It reports whether an ECU answered.
func (p *poller) look(ctx context.Context) (answered bool) {
	for _, pid := range [...]byte{obd.PIDEngineSpeed, obd.PIDVehicleSpeed, obd.PIDModuleVoltage} {
		expect := p.supporters(pid)
		if expect == 0 {
			continue
		}
		answers, err := p.ask(ctx, obd.ServiceCurrent, pid, expect)
		if err != nil {
			return false
		}
		answered = answered || len(answers) > 0
	}
	if p.supporters(obd.PIDEngineSpeed) == 0 && p.lookEnhanced(ctx, false) {
		answered = true
	}
	return answered
}

// rest looks now and then whether the car is in use again (true), until the
// ECUs fall silent (false). A hybrid that drives with its engine off does not
// rest.
func (p *poller) rest(ctx context.Context) bool {
	if !p.look(ctx) {
		return false
	}
	if !p.resting() {
		return true
	}
	p.r.log.Info("engine is off: requests rest so that the car can sleep", "every", restEvery, "up_to_every", restMax)
	p.r.n.setState("resting")
	p.reportAsleep()
	for every := restEvery; p.resting(); every = min(2*every, restMax) {
		if p.idle(ctx, every) != nil || !p.look(ctx) {
			return false
		}
	}
	now := time.Now()
	for i := range p.polls {
		p.polls[i].due = now
	}
	for _, a := range p.askers {
		for i := range a.items {
			a.items[i].due = now
		}
	}
	p.awake = true
	p.r.n.setState("polling")
	return true
}

// idle waits between looks, no longer than restEvery while the ignition is known
// to be on.
func (p *poller) idle(ctx context.Context, d time.Duration) error {
	for start := time.Now(); ; {
		waited := time.Since(start)
		if waited >= d || waited >= restEvery && p.driven() {
			return ctx.Err()
		}
		if err := pause(ctx, min(retryMin, d-waited)); err != nil {
			return err
		}
	}
}

// reportAsleep marks every polled signal as asleep, once.
func (p *poller) reportAsleep() {
	if !p.awake {
		return
	}
	p.awake = false
	p.r.forget()
	var out []telemetry.Sample
	for i := range p.polls {
		out = p.without(out, p.polls[i].PID, telemetry.QualityAsleep)
	}
	if len(out) > 0 {
		p.r.emit(out)
	}
	p.sleepEnhanced()
}

// sleep waits before the next search: longer each time, so that a parked car
// can sleep, but no longer than until it shows a sign of life: its bus speaks
// again, or the ignition is known to be on. Each such sign is worth one search
// at once, and more while it lasts.
func (p *poller) sleep(ctx context.Context) {
	p.reportAsleep()
	p.retry, p.nudge = p.longer()
	p.since, p.searching = time.Now(), false
	p.mu.Lock()
	p.unused = time.Time{} // it sleeps: when it wakes it gets its time
	p.mu.Unlock()
	p.doze(ctx)
}

// longer is the wait behind a search that nobody answered, and the one while the
// bus speaks.
func (p *poller) longer() (retry, nudge time.Duration) {
	return min(max(2*p.retry, retryMin), retryMax), min(max(2*p.nudge, retryMin), retryAwake)
}

// doze is the wait of sleep, which a device that is opened again goes on with.
func (p *poller) doze(ctx context.Context) {
	p.r.n.search.Store(int64(p.r.cfg.Clock.Now().Add(time.Until(p.since.Add(p.retry)))))
	p.r.n.setState(stateAsleep)
	for {
		before := p.r.heard.Load()
		if pause(ctx, min(retryMin, time.Until(p.since.Add(p.retry)))) != nil {
			return
		}
		alive := p.r.heard.Load() != before || p.driven()
		woke := alive && p.dead
		p.dead = !alive
		if woke {
			p.nudge = 0
			return
		}
		waited := time.Since(p.since)
		if waited >= p.retry || alive && waited >= p.nudge {
			return
		}
	}
}

// driven reports whether the ignition is known to be on.
func (p *poller) driven() bool {
	return p.r.cfg.Ignition != nil && p.r.cfg.Ignition()
}
