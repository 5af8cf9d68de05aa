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

// rest asks for the engine speed now and then, until the engine runs again
// (true) or the ECUs fall silent (false).
func (p *poller) rest(ctx context.Context) bool {
	p.r.log.Info("engine is off: requests rest so that the car can sleep", "every", restEvery)
	p.r.n.setState("resting")
	p.reportAsleep()
	for p.resting() {
		if pause(ctx, restEvery) != nil {
			return false
		}
		answers, err := p.ask(ctx, obd.ServiceCurrent, obd.PIDEngineSpeed, p.supporters(obd.PIDEngineSpeed))
		if err != nil || len(answers) == 0 {
			return false
		}
	}
	now := time.Now()
	for i := range p.polls {
		p.polls[i].due = now
	}
	p.awake = true
	p.r.n.setState("polling")
	return true
}

// reportAsleep marks every polled signal as asleep, once.
func (p *poller) reportAsleep() {
	if !p.awake {
		return
	}
	p.awake = false
	var out []telemetry.Sample
	for i := range p.polls {
		out = p.without(out, p.polls[i].PID, telemetry.QualityAsleep)
	}
	if len(out) > 0 {
		p.r.emit(out)
	}
}

// sleep waits before the next search: longer each time, so that a parked car
// can sleep, but no longer than until its bus wakes up by itself.
func (p *poller) sleep(ctx context.Context) {
	p.r.n.setState("asleep")
	p.reportAsleep()
	p.retry = min(max(2*p.retry, retryMin), retryMax)
	until := time.Now().Add(p.retry)
	quiet := true
	for time.Now().Before(until) {
		before := p.r.heard.Load()
		if pause(ctx, min(retryMin, time.Until(until))) != nil {
			return
		}
		spoke := p.r.heard.Load() != before
		if spoke && quiet && p.retry > retryMin {
			p.retry = 0 // the bus woke up
			return
		}
		quiet = quiet && !spoke
	}
}
