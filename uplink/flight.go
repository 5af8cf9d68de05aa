package uplink

import (
	"errors"

	"obu/telemetry"
)

// maxIDs is how many packets may wait for an acknowledgement: MQTT has no more
// packet ids, and 0 is none.
const maxIDs = 65535

// outDepth is how many packets wait for the writer: all that a pump may have
// in flight and its SUBSCRIBE, so that handing one over never waits.
const outDepth = maxPackets + 1

// The errors of handing a packet over.
var (
	errNoID      = errors.New("65535 packets wait for an acknowledgement")
	errQueueFull = errors.New("the queue to the socket is full")
)

// flight is one PUBLISH or SUBSCRIBE from its hand-over to its acknowledgement.
type flight struct {
	id        uint16
	subscribe bool
	class     telemetry.Class // of the data inside; 0: control
	packet    []byte          // encoded; the writer lets go of it
	sent      bool            // the writer took it: only now it can be acknowledged
	codes     []byte          // of the SUBACK, set before done is called
	done      func(error)     // called once, perhaps under the session's lock: it neither blocks nor uses the session
}

// flights is the table of packet ids. Ids rise and wrap, so that the second
// PUBACK of an earlier packet never meets its id in use again.
type flights struct {
	byID map[uint16]*flight
	last uint16
}

// add gives f an id and reports false when there is none left.
func (t *flights) add(f *flight) bool {
	if len(t.byID) >= maxIDs {
		return false
	}
	if t.byID == nil {
		t.byID = make(map[uint16]*flight)
	}
	for {
		t.last++
		if _, taken := t.byID[t.last]; !taken && t.last != 0 {
			break
		}
	}
	f.id = t.last
	t.byID[f.id] = f
	return true
}

// clear empties the table and returns what was in it.
func (t *flights) clear() map[uint16]*flight {
	lost := t.byID
	t.byID = nil
	return lost
}

func (s *Session) register(f *flight) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if !s.flights.add(f) {
		return errNoID
	}
	return nil
}

// withdraw takes back a flight that the writer did not get and returns err;
// nil when the session ended meanwhile and has called done itself.
func (s *Session) withdraw(f *flight, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights.byID[f.id] != f {
		return nil
	}
	delete(s.flights.byID, f.id)
	return err
}

// leave marks f as sent and returns its bytes.
func (s *Session) leave(f *flight) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.sent = true
	p := f.packet
	f.packet = nil
	return p
}

// settle books a PUBACK or SUBACK. One for nothing that was sent (a duplicate,
// or a broker's invention) settles nothing.
func (s *Session) settle(id uint16, subscribe bool, codes []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flights.byID[id]
	if f == nil || !f.sent || f.subscribe != subscribe {
		return
	}
	delete(s.flights.byID, id)
	f.codes = codes
	f.done(nil) // still locked: end must not overtake it
}
