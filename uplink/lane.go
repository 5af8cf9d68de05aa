package uplink

import (
	"slices"
	"time"

	"obu/telemetry"
)

// laneKey names one (store, class).
type laneKey struct {
	store telemetry.StoreID
	class telemetry.Class
}

// lane is one (store, class) as the scheduler sees it: live goes up from
// cursor, history fills what lies below it. A seq is in acked or inflight from
// the moment it was sent until the backlog has forgotten it, so nothing is
// sent twice in a session and nothing acknowledged is ever sent again.
type lane struct {
	laneKey
	custody
	stream   telemetry.Stream // as of the last refresh
	gone     bool             // not listed any more
	cursor   uint64           // next live seq; == stream.Next when live is up to date
	hist     uint64           // history below this was sent in this session
	acked    ranges           // PUBACK seen (receipt custody: see awaiting)
	inflight ranges           // sent in this session, no PUBACK yet
	parked   ranges           // suspects: sent alone only, see poison.go
	newer    ranges           // stored by a newer obu: left for it
	partial  []*parts         // batches that travel in parts and are not finished
	lastLive time.Time        // when live was last sent
	unsentAt time.Time        // since when live is not up to date; zero: it is
	slow     bool             // the link is slower than live, see late
	perBatch int              // bytes of the last live packet by its batches; 0: not known
	readErr  bool             // reading failed; reported once until it works again
}

// taken reports whether seq needs no sending now.
func (l *lane) taken(seq uint64) bool {
	return l.acked.contains(seq) || l.inflight.contains(seq) || l.awaiting.contains(seq) || l.parked.contains(seq) || l.newer.contains(seq)
}

// next returns the lowest seq at or after from that needs sending.
func (l *lane) next(from uint64) uint64 {
	for {
		seq := l.newer.missing(l.parked.missing(l.awaiting.missing(l.inflight.missing(l.acked.missing(from)))))
		if seq == from {
			return seq
		}
		from = seq
	}
}

// live reports whether the class is sent newest first from the current store.
func (l *lane) live() bool { return l.stream.Current && l.class != telemetry.ClassMedia }

// startLive places the live cursor for a new session. A short gap is caught
// up in order; after a long one the newest batch leaves first and the rest is
// history.
func (l *lane) startLive(behind uint64) {
	l.hist, l.lastLive, l.unsentAt, l.slow = 0, time.Time{}, time.Time{}, false
	l.cursor = max(l.cursor, l.stream.Floor, 1)
	l.inflight.clear()
	if !l.live() {
		l.cursor = l.stream.Next
		return
	}
	l.cursor = l.next(l.cursor)
	l.skipAhead(behind)
}

// skipAhead moves a live cursor that fell too far behind to the newest batch;
// what it skips becomes history. Events are few and stay in order unless the
// backlog is long.
func (l *lane) skipAhead(behind uint64) bool {
	if l.live() && l.stream.Next > l.cursor && l.stream.Next-l.cursor > behind {
		l.cursor = l.stream.Next - 1
		return true
	}
	return false
}

// unsent notes since when live is not up to date.
func (l *lane) unsent(now time.Time) {
	if l.live() && l.unsentAt.IsZero() && l.cursor < l.stream.Next {
		l.unsentAt = now
	}
}

// late finds out whether the link is slower than live itself: what waits is
// old and more than one group of limit bytes. The newest then leaves instead,
// one at a time, and the rest becomes history, until what waits fits into a
// group again. Events are few and stay in order.
func (l *lane) late(now time.Time, every time.Duration, limit int) bool {
	if every <= time.Second {
		every = 0 // live is not grouped
	}
	batches := l.stream.Next - l.cursor
	switch {
	case l.class == telemetry.ClassEvent:
		return false
	case batches*uint64(l.perBatch) <= uint64(limit):
		l.slow = false
	case batches > 1 && !l.unsentAt.IsZero() && now.Sub(l.unsentAt) >= every+liveLate:
		l.slow = true
	}
	return l.slow
}

// left notes that a live packet was built.
func (l *lane) left(pk *packet, now time.Time) {
	l.lastLive = now
	l.perBatch = len(pk.payload) / len(pk.names)
	if pk.parts == nil || pk.parts.left() == 1 {
		l.cursor = pk.names[len(pk.names)-1].Seq + 1
	}
	if l.cursor >= l.stream.Next {
		l.unsentAt = time.Time{}
	}
}

// maxRevived bounds what one look settles again.
const maxRevived = 1024

// revived returns what was acknowledged in this run and is held again, from the
// lowest held seq on: a salvage found it, or the transaction that evicted it
// meanwhile was undone. Nobody sends it, so nobody would settle it.
func (l *lane) revived() (names []telemetry.Name) {
	from, to := l.stream.Floor, min(l.stream.Next, l.stream.Floor+maxRevived)
	if l.gone || l.stream.Batches == 0 {
		return nil
	}
	for seq := from; seq < to && l.acked.contains(seq); seq++ {
		names = append(names, telemetry.Name{Store: l.store, Class: l.class, Seq: seq})
	}
	return names
}

// lanes holds every lane, in the order of Backlog.Streams: retired stores
// first.
type lanes struct {
	list []*lane
}

// refresh takes a new view of the backlog.
func (ls *lanes) refresh(streams []telemetry.Stream) {
	for _, l := range ls.list {
		l.gone = true
	}
	order := make([]*lane, 0, len(streams))
	for _, s := range streams {
		l := ls.of(laneKey{s.Store, s.Class})
		if l == nil {
			l = &lane{laneKey: laneKey{s.Store, s.Class}, cursor: max(s.Floor, 1)}
			if !s.Current || s.Class == telemetry.ClassMedia {
				l.cursor = s.Next
			}
		}
		if l.stream.Current && !s.Current { // retired while we ran
			l.cursor = s.Next
		}
		l.stream, l.gone = s, false
		if !l.live() {
			l.cursor = s.Next
		}
		l.acked.trim(s.Floor)
		l.awaiting.trim(s.Floor)
		l.parked.trim(s.Floor)
		l.newer.trim(s.Floor)
		l.partial = slices.DeleteFunc(l.partial, func(pt *parts) bool { return pt.batch.Seq < s.Floor })
		order = append(order, l)
	}
	for _, l := range ls.list { // a lane with packets in flight stays until they settle
		if l.gone && len(l.inflight.spans) > 0 {
			order = append(order, l)
		}
	}
	ls.list = order
}

// of returns the lane of k, nil when there is none.
func (ls *lanes) of(k laneKey) *lane {
	i := slices.IndexFunc(ls.list, func(l *lane) bool { return l.laneKey == k })
	if i < 0 {
		return nil
	}
	return ls.list[i]
}
