package can

import (
	"hash/maphash"
	"slices"
	"time"

	"obu/can/uds"
)

// What the receiving goroutine tells the poller of answers by UDS.

// maxHeard bounds the DIDs kept apart.
const maxHeard = 4096

// heardDID notes that a DID was answered. In a car whose engine speed nobody
// knows, data that differs from before says that it is in use.
func (p *poller) heardDID(ecu ecuKey, did uint16, data []byte) {
	h := maphash.Bytes(p.seed, data)
	p.mu.Lock()
	defer p.mu.Unlock()
	k := didKey{ecu, did}
	before, known := p.moved[k]
	if known || len(p.moved) < maxHeard {
		p.moved[k] = h
	}
	if known && before != h && p.moves {
		p.inUse(time.Now())
	}
	if len(p.dids) < maxHeard {
		p.dids[k] = true
	}
}

// wasHeard reports whether a DID was answered since the last request.
func (p *poller) wasHeard(k didKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dids[k]
}

// waitsFor reports whether a payload answers the outstanding request.
func (p *poller) waitsFor(ecu ecuKey, payload []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked.to != nil && p.asked.answeredBy(ecu, payload)
}

// noteFresh notes new codes.
func (p *poller) noteFresh(e *enhanced, codes []uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range codes {
		if len(p.fresh) < maxFresh*len(p.askers) {
			p.fresh = append(p.fresh, freshCode{e, c})
		}
	}
}

// begun notes that an answer of several frames to the outstanding request has
// begun; to one by UDS it may be long.
func (p *poller) begun(ecu ecuKey, enhanced bool) {
	p.mu.Lock()
	if !slices.Contains(p.underway, ecu) { // maxECUs of them: permit
		p.underway = append(p.underway, ecu)
	}
	p.mu.Unlock()
	if enhanced {
		p.transfer(1)
	}
}

// sending reports whether such an answer is under way.
func (p *poller) sending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.underway) > 0
}

// through notes that one is there, or broke. p.mu is held.
func (p *poller) through(ecu ecuKey) {
	if i := slices.Index(p.underway, ecu); i >= 0 {
		p.underway = slices.Delete(p.underway, i, i+1)
		p.stir()
	}
}

// stir wakes who waits for answers.
func (p *poller) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// broke notes that a transfer of an ECU broke: nothing more will come of it.
func (p *poller) broke(ecu ecuKey) {
	p.mu.Lock()
	ours := p.asked.to != nil && p.asked.to.key == ecu && p.long > 0
	p.through(ecu)
	p.mu.Unlock()
	if ours {
		p.transfer(2)
	}
}

// transfer notes how far a long answer is: 1 begun, 2 broken.
func (p *poller) transfer(state int) {
	p.mu.Lock()
	p.long = state
	p.mu.Unlock()
	p.stir()
}

// longAnswer reports whether a long answer began, once, and whether it broke.
func (p *poller) longAnswer(seen bool) (began, broken bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.long == 1 && !seen, p.long == 2
}

// isAnswer reports whether a payload is a positive answer of services 22 or 19.
func isAnswer(payload []byte) bool {
	return payload[0] == uds.ServiceData+uds.PositiveOffset || payload[0] == uds.ServiceDTC+uds.PositiveOffset
}
