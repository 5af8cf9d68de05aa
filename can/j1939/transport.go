package j1939

import (
	"encoding/binary"
	"fmt"
	"time"

	"obu/telemetry"
)

// Bounds of a Receiver.
const (
	MaxLength   = 1785 // bytes of a message: 255 packets of 7 (J1939-21 clause 5.10.1)
	MaxSessions = 64   // transfers under way; more break with ReasonCrowded
)

// Timers of J1939-21 clause 5.10.2.4. A listener sees every packet of both
// sides, so T3 covers each wait of a session with one receiver.
const (
	TimeoutT1 = 750 * time.Millisecond  // between the packets of a TP.BAM
	TimeoutT3 = 1250 * time.Millisecond // until a session between two goes on
)

// Control bytes of TP.CM (J1939-21 clause 5.10.3).
const (
	controlRTS   = 16
	controlCTS   = 17
	controlEnd   = 19
	controlBAM   = 32
	controlAbort = 255
)

// Reason is why a transfer broke.
type Reason uint8

// Why a transfer broke.
const (
	ReasonAborted    Reason = iota // a new one of the same nodes began, or a node gave up
	ReasonSequence                 // a packet is missing
	ReasonTimeout                  // the next packet did not come in time
	ReasonUnfinished               // the log or the bus ended
	ReasonLength                   // the announced size makes no sense
	ReasonCrowded                  // more than MaxSessions at once
	ReasonUnexpected               // a packet of no session: its beginning was not heard
	ReasonMalformed                // too short
	reasons
)

// Reasons is how many there are.
const Reasons = int(reasons)

var reasonNames = [reasons]string{"aborted", "sequence", "timeout", "unfinished", "length", "crowded", "unexpected", "malformed"}

// String returns the reason in one word.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// Message is what a node said, in one frame or in many.
type Message struct {
	At          telemetry.At // of its only or first frame
	PGN         PGN
	Source      uint8
	Destination uint8
	Packets     int    // TP.DT packets; 0: a single frame
	Payload     []byte // valid during the call of Deliver only
}

// Fault is one transfer that broke.
type Fault struct {
	At                  telemetry.At // of its announcement, or of the packet that could not be used
	PGN                 PGN
	Source, Destination uint8
	Reason              Reason
	Got, Want           int // payload bytes
}

// Receiver puts the messages of many nodes together, without taking part. It
// is used by one goroutine at a time.
type Receiver struct {
	deliver  func(Message)
	damaged  func(Fault)
	sessions map[nodes]*session
	free     []*session
}

// nodes are the two ends of a transfer.
type nodes struct{ from, to uint8 }

// session is one transfer under way.
type session struct {
	at, last telemetry.At
	pgn      PGN
	want     int
	packets  uint8 // announced
	next     uint8 // sequence number expected, from 1
	buf      []byte
}

// NewReceiver returns a Receiver without transfers; it calls deliver and damaged
// from within Feed, Expire and Flush.
func NewReceiver(deliver func(Message), damaged func(Fault)) *Receiver {
	return &Receiver{deliver: deliver, damaged: damaged, sessions: make(map[nodes]*session)}
}

// Open returns the number of transfers under way.
func (r *Receiver) Open() int { return len(r.sessions) }

// Feed takes one frame with a 29-bit identifier.
func (r *Receiver) Feed(at telemetry.At, identifier uint32, data []byte) {
	switch id := Parse(identifier); id.PGN {
	case PGNConnect:
		r.connect(at, id, data)
	case PGNTransport:
		r.transfer(at, id, data)
	default:
		r.deliver(Message{At: at, PGN: id.PGN, Source: id.Source, Destination: id.Destination, Payload: data})
	}
}

// connect takes a TP.CM. CTS, end and abort travel against the data.
func (r *Receiver) connect(at telemetry.At, id ID, data []byte) {
	if len(data) < 8 {
		r.damaged(Fault{At: at, PGN: id.PGN, Source: id.Source, Destination: id.Destination, Reason: ReasonMalformed, Got: len(data), Want: 8})
		return
	}
	forth, back := nodes{id.Source, id.Destination}, nodes{id.Destination, id.Source}
	pgn := PGN(uint32(data[5]) | uint32(data[6])<<8 | uint32(data[7]&3)<<16)
	switch data[0] {
	case controlBAM, controlRTS:
		r.begin(at, forth, pgn, data)
	case controlCTS:
		if s := r.sessions[back]; s != nil && s.pgn == pgn {
			s.last = at
			if n := data[2]; data[1] > 0 && n > 0 && n < s.next { // some are wanted again
				s.next = n
				s.buf = s.buf[:7*(int(n)-1)]
			}
		}
	case controlEnd: // whoever heard all has delivered already
		r.abandon(back, ReasonSequence)
	case controlAbort:
		r.abandon(back, ReasonAborted)
		if back != forth {
			r.abandon(forth, ReasonAborted)
		}
	}
}

func (r *Receiver) begin(at telemetry.At, n nodes, pgn PGN, data []byte) {
	r.abandon(n, ReasonAborted)
	want, packets := int(binary.LittleEndian.Uint16(data[1:])), data[3]
	fault := Fault{At: at, PGN: pgn, Source: n.from, Destination: n.to, Want: want}
	switch bam := data[0] == controlBAM; {
	case want < 9 || want > MaxLength || (want+6)/7 != int(packets) || bam != (n.to == AddressGlobal):
		fault.Reason = ReasonLength
		r.damaged(fault)
		return
	case len(r.sessions) >= MaxSessions:
		if r.Expire(at); len(r.sessions) >= MaxSessions {
			fault.Reason = ReasonCrowded
			r.damaged(fault)
			return
		}
	}
	s := new(session)
	if k := len(r.free); k > 0 {
		s, r.free = r.free[k-1], r.free[:k-1]
	}
	*s = session{at: at, last: at, pgn: pgn, want: want, packets: packets, next: 1, buf: s.buf[:0]}
	r.sessions[n] = s
}

// transfer takes a TP.DT.
func (r *Receiver) transfer(at telemetry.At, id ID, data []byte) {
	n := nodes{id.Source, id.Destination}
	s := r.sessions[n]
	if s != nil && at.Sub(s.last) > n.timeout() {
		r.abandon(n, ReasonTimeout)
		s = nil
	}
	switch {
	case len(data) < 8 || s == nil:
		reason := ReasonUnexpected
		if len(data) < 8 {
			reason = ReasonMalformed
		}
		r.damaged(Fault{At: at, PGN: id.PGN, Source: n.from, Destination: n.to, Reason: reason, Got: len(data)})
		return
	case data[0] != s.next:
		if n.to != AddressGlobal && data[0] > 0 && data[0] < s.next {
			s.last = at // again what we have: the receiver asked before we heard of it
			return
		}
		r.abandon(n, ReasonSequence)
		return
	}
	s.last = at
	s.next++
	s.buf = append(s.buf, data[1:8]...)
	if len(s.buf) < s.want {
		return
	}
	delete(r.sessions, n)
	r.deliver(Message{At: s.at, PGN: s.pgn, Source: n.from, Destination: n.to, Packets: int(s.packets), Payload: s.buf[:s.want]})
	r.free = append(r.free, s)
}

func (n nodes) timeout() time.Duration {
	if n.to == AddressGlobal {
		return TimeoutT1
	}
	return TimeoutT3
}

// abandon ends a transfer that will not be whole any more, if there is one.
func (r *Receiver) abandon(n nodes, why Reason) {
	s := r.sessions[n]
	if s == nil {
		return
	}
	delete(r.sessions, n)
	r.damaged(Fault{At: s.at, PGN: s.pgn, Source: n.from, Destination: n.to, Reason: why, Got: min(len(s.buf), s.want), Want: s.want})
	r.free = append(r.free, s)
}

// Expire ends the transfers whose next packet is overdue.
func (r *Receiver) Expire(now telemetry.At) {
	for n, s := range r.sessions {
		if now.Sub(s.last) > n.timeout() {
			r.abandon(n, ReasonTimeout)
		}
	}
}

// Flush ends every transfer: nothing more will come.
func (r *Receiver) Flush() {
	for n := range r.sessions {
		r.abandon(n, ReasonUnfinished)
	}
}
