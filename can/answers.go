package can

import (
	"context"
	"time"

	"obu/can/obd"
)

// collect waits for the answers to the outstanding request.
func (p *poller) collect(ctx context.Context, expect int) ([]answer, error) {
	timer := time.NewTimer(answerWindow)
	defer timer.Stop()
	putOff, long, over := 0, false, false
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			if over || !p.sending() {
				return p.finish(), nil
			}
			over = true // a new request would make the ECU drop the rest of its answer
			timer.Reset(transferWindow)
		case <-p.wake:
		}
		if over && !p.sending() {
			return p.finish(), nil
		}
		if began, broken := p.longAnswer(long); broken {
			return p.finish(), nil
		} else if began {
			long = true
			timer.Reset(transferWindow)
		}
		done, pending := p.progress()
		if done >= expect {
			return p.finish(), nil
		}
		if pending > putOff {
			putOff = pending
			timer.Reset(pendingWindow)
		}
	}
}

// untilThrough waits for what ECUs still send.
func (p *poller) untilThrough(ctx context.Context) error {
	var timer <-chan time.Time
	for p.sending() {
		if timer == nil {
			timer = time.After(transferWindow)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer:
			return nil
		case <-p.wake:
		}
	}
	return nil
}

// progress returns how many ECUs have answered for good, and how often one
// asked for more time.
func (p *poller) progress() (done, pending int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.got {
		if p.got[i].negative != obd.NRCPending {
			done++
		}
		pending += p.got[i].pending
	}
	return done, min(pending, maxPending)
}

// finish returns a copy of the answers and closes the request.
func (p *poller) finish() []answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = request{}
	return p.got // refilled by the next ask only
}

// hear takes every payload of every ECU. It is called by the receiving
// goroutine.
func (p *poller) hear(ecu ecuKey, payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.last = now
	p.observe(ecu, payload, now)
	p.through(ecu)
	var a answer
	service, code, negative := obd.ParseNegative(payload)
	switch {
	case p.asked.service == 0 || !p.asked.from(ecu):
		return
	case negative && service == p.asked.service:
		a = answer{ecu: ecu, negative: code}
		if code == obd.NRCPending {
			p.r.gate.extend(pendingWindow)
		}
	case p.asked.answeredBy(ecu, payload):
		a = answer{ecu: ecu}
		copy(a.data[:], payload[min(len(payload), p.asked.head()):])
	default:
		return
	}
	p.record(a)
	p.stir()
}

// record keeps one answer per ECU, the latest. p.mu is held.
func (p *poller) record(a answer) {
	for i := range p.got {
		if p.got[i].ecu == a.ecu {
			a.pending = p.got[i].pending
			if a.negative == obd.NRCPending {
				a.pending++
			}
			p.got[i] = a
			return
		}
	}
	if a.negative == obd.NRCPending {
		a.pending = 1
	}
	if len(p.got) < maxECUs {
		p.got = append(p.got, a)
	}
}

// observe notes what was answered, and signs that the engine runs. p.mu is
// held.
func (p *poller) observe(ecu ecuKey, payload []byte, now time.Time) {
	if len(payload) < 3 || payload[0] != obd.ServiceCurrent+obd.PositiveOffset {
		return
	}
	obd.Each(payload, func(pid byte, data []byte) { p.notice(ecu, pid, data, now) })
}

// notice takes one PID of an answer. p.mu is held.
func (p *poller) notice(ecu ecuKey, pid byte, data []byte, now time.Time) {
	p.heard[pid] = true
	switch pid {
	case obd.PIDStatus:
		if len(data) > 0 {
			p.chores.noteStatus(ecu, data[0])
		}
	case obd.PIDEngineSpeed, obd.PIDVehicleSpeed:
		for _, b := range data[:min(len(data), obd.Size(pid))] { // behind it is filler
			if b != 0 {
				p.inUse(now)
			}
		}
	case obd.PIDModuleVoltage:
		if len(data) >= 2 && float64(int(data[0])<<8|int(data[1])) > aliveVolts*1000 {
			p.inUse(now)
		}
	}
}

// inUse notes that the car is. p.mu is held.
func (p *poller) inUse(now time.Time) { p.alive, p.unused = now, time.Time{} }

// wants reports whether a PID of service 01 is asked for.
func (p *poller) wants(pid byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want[pid]
}
