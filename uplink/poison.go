package uplink

import (
	"time"

	"obu/telemetry"
)

// Bounds of how a packet that the broker will not take is found out. Only a
// session that the broker itself closed counts against what was in flight: a
// lost link, a timeout or a stop says nothing about a packet.
const (
	strikesToAlone = 3                // sessions a batch may end before it is sent alone
	aloneToRefuse  = 3                // sessions it may end while alone in flight, if it is larger than all that passed
	aloneAnyway    = 8                // the same if its size is no reason: spread over an hour, flaky brokers don't do that
	strikesAhead   = 3                // packets behind the last PUBACK that are suspected
	aloneDelay     = 5 * time.Second  // before a suspect is tried again; doubles each time
	aloneDelayMax  = 10 * time.Minute // at most
	maxSuspects    = 256              // names watched; more than that is not about packets
	limitMemory    = time.Hour        // then a lowered packet limit is forgotten
)

// suspect is a batch that was in flight when the broker ended the session.
type suspect struct {
	lane    *lane
	strikes int
	alone   int
	passes  int64 // of its class when it was suspected, or last failed alone
	retry   time.Time
}

// poison finds packets that the broker refuses by closing the connection,
// and learns the size it does take.
type poison struct {
	names   map[telemetry.Name]*suspect
	lowered int // packet limit learnt; 0: none
	at      time.Time
	proven  int // largest payload ever acknowledged

	// By class: PUBACKs of this process, whether there was one in this session,
	// and what is denied.
	passes [telemetry.ClassMedia + 1]int64
	passed [telemetry.ClassMedia + 1]bool
	denied [telemetry.ClassMedia + 1]denial
	blind  int // sessions in a row that the broker ended before any PUBACK
}

// limit returns the largest payload to send.
func (q *poison) limit(max int) int {
	if q.lowered > 0 && time.Since(q.at) < limitMemory {
		return q.lowered
	}
	return max
}

// acked clears what a PUBACK proves innocent.
func (q *poison) acked(pk *packet) {
	q.blind = 0
	q.proven = max(q.proven, len(pk.payload))
	if pk.lane == nil {
		return
	}
	if len(q.names) == 0 {
		return
	}
	for _, n := range pk.names {
		s := q.names[n]
		if s != nil && pk.parts != nil && !pk.parts.done() {
			s.alone = 0 // it gets on
		} else if s != nil {
			s.lane.parked.remove(n.Seq)
			delete(q.names, n)
		}
	}
}

// ended counts strikes: flying is what was in flight, in the order it was
// sent, when the broker ended the session. It returns batches to refuse.
func (q *poison) ended(flying []*packet, maxPacket int, now time.Time) []*packet {
	var refuse []*packet
	for i, pk := range flying {
		if pk.lane == nil || i >= strikesAhead && len(pk.payload) <= q.proven {
			continue
		}
		for _, n := range pk.names {
			s := q.names[n]
			if s == nil {
				if len(q.names) >= maxSuspects {
					continue
				}
				if q.names == nil {
					q.names = make(map[telemetry.Name]*suspect)
				}
				s = &suspect{lane: pk.lane, passes: q.passes[pk.lane.class]}
				q.names[n] = s
			}
			s.strikes++
			if s.strikes >= strikesToAlone {
				pk.lane.parked.add(n.Seq)
			}
		}
		if pk.alone && q.failedAlone(pk, maxPacket, now) {
			refuse = append(refuse, pk)
		}
	}
	return refuse
}

// failedAlone handles the one packet that was alone in flight and reports
// whether it must be refused: it failed often enough, cannot be made smaller,
// and the broker took other packets of its class meanwhile: one that takes none,
// as with an ACL that forbids the topic, is no reason to throw data away.
func (q *poison) failedAlone(pk *packet, maxPacket int, now time.Time) bool {
	s := q.names[pk.names[0]]
	if s == nil {
		return false
	}
	meanwhile := q.passes[pk.lane.class] > s.passes
	s.passes = q.passes[pk.lane.class]
	if meanwhile {
		s.alone++
	}
	s.retry = now.Add(min(aloneDelay<<min(s.alone, 10), aloneDelayMax))
	smaller := max(len(pk.payload)/2, minPart)
	if len(pk.payload) > q.proven && smaller < q.limit(maxPacket) && smaller < len(pk.payload) && pk.cuttable() {
		q.lowered, q.at = smaller, now
		return false
	}
	enough := aloneAnyway
	if len(pk.payload) > q.proven {
		enough = aloneToRefuse
	}
	return meanwhile && s.alone >= enough
}

// cuttable reports whether the batch of a packet can be cut (further).
func (pk *packet) cuttable() bool {
	if pk.parts == nil {
		return pk.values > 1
	}
	return pieces(&pk.parts.contents[pk.part]) > 1
}

// due returns a suspect whose time has come, and its seq.
func (q *poison) due(now time.Time) (*suspect, telemetry.Name) {
	for n, s := range q.names {
		if s.lane.gone {
			delete(q.names, n)
			continue
		}
		if s.strikes >= strikesToAlone && !q.denied[s.lane.class].stands() && !now.Before(s.retry) {
			return s, n
		}
	}
	return nil, telemetry.Name{}
}

// suspected returns a suspect of a class, whenever its time comes.
func (q *poison) suspected(c telemetry.Class) (*suspect, telemetry.Name) {
	for n, s := range q.names {
		if s.lane.class == c && !s.lane.gone {
			return s, n
		}
	}
	return nil, telemetry.Name{}
}

// forget drops a name that is settled otherwise.
func (q *poison) forget(n telemetry.Name) {
	if s := q.names[n]; s != nil {
		s.lane.parked.remove(n.Seq)
		delete(q.names, n)
	}
}
