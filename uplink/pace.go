package uplink

import "time"

// Bounds of what is in flight. The window is a byte count: what the measured
// link carries in its own round trip plus queueTime, so that the queue ahead
// of live data never takes longer than that.
const (
	queueTime     = 250 * time.Millisecond // standing queue allowed
	partTime      = queueTime / 2          // of link one bulk packet takes: two fit into the queue, so it never runs dry
	wholeTime     = 8 * time.Second        // of link one batch may take before it is cut into parts
	liveTime      = time.Second            // of link one group of live batches takes
	liveLate      = 2 * time.Second        // live that waited longer and does not fit into one group gives way to the newest
	maxPatience   = 2 * time.Minute        // beyond the acknowledgement timeout
	startWindow   = 16 << 10               // before anything was measured
	minPart       = 4 << 10                // smallest packet bulk is cut into on a link that carries it in minPartTime
	minPartTime   = 500 * time.Millisecond // on a slower one the envelope's header would cost too much of less
	minWindow     = 1 << 10                // smaller than most packets: then one is in flight, and the newest follows it
	maxWindow     = 256 << 10              // 4 MB/s at 60 ms; bounds memory and what a link that collapses holds back
	maxPackets    = 64                     // in flight; more buys nothing (window, not count, is the throttle)
	rateHorizon   = 10 * time.Second       // how long a best rate counts
	rttHorizon    = 30 * time.Second       // how long a best round trip counts; then the queue is let run dry once to measure anew
	rateForgotten = 2                      // a new session starts with the old rate divided by this
)

// pacer measures the link from PUBACKs as BBR measures from TCP's: the rate
// is the largest delivered-bytes per elapsed time lately, the round trip the
// smallest time to PUBACK lately. Samples taken while there was nothing to
// send only count when they raise the rate.
type pacer struct {
	inflight  int       // bytes sent and not acknowledged
	delivered int64     // bytes acknowledged in this session
	ackedAt   time.Time // when delivered last changed, or when sending began after idling
	idle      bool      // the lack of data, not the window, holds sending back

	rate  float64 // bytes/s, 0: not known
	rates rates
	rtt   time.Duration // 0: not known
	rttAt time.Time

	hop hop // what TCP knows, where it is TCP
}

// rates keeps the best of the delivery rates of the last rateHorizon, in two
// halves.
type rates struct {
	newer, older float64
	since        time.Time // when newer began
}

// add takes a sample. One taken while there was nothing to send counts only
// when it is better; one that is sure of a slower link replaces all.
func (r *rates) add(rate float64, limited, sure bool, now time.Time) {
	switch {
	case rate >= r.best():
		r.newer, r.since = rate, now
	case !limited:
	case sure:
		*r = rates{newer: rate, since: now}
	case now.Sub(r.since) > rateHorizon/2:
		*r = rates{newer: rate, older: r.newer, since: now}
	default:
		r.newer = max(r.newer, rate)
	}
}

func (r *rates) best() float64 { return max(r.newer, r.older) }

// mark is what a packet remembers of the pacer when it was sent.
type mark struct {
	sentAt    time.Time
	delivered int64
	ackedAt   time.Time
	limited   bool
	alone     bool // nothing else was in flight: its round trip has no queue in it
}

// start begins a session: nothing is in flight, old measurements are hints.
func (p *pacer) start(now time.Time) {
	*p = pacer{rate: p.rate / rateForgotten, ackedAt: now}
	p.rates.add(p.rate, true, true, now)
}

func (p *pacer) sent(size int, now time.Time) mark {
	alone := p.inflight == 0
	if alone {
		p.ackedAt = now
	}
	p.inflight += size
	p.hop.queued += size
	p.hop.unsent += size
	return mark{sentAt: now, delivered: p.delivered, ackedAt: p.ackedAt, limited: !p.idle, alone: alone}
}

func (p *pacer) acked(size int, m mark, now time.Time) {
	p.inflight -= size
	p.delivered += int64(size)
	p.ackedAt = now
	p.roundTrip(size, m, now)
	elapsed := now.Sub(m.ackedAt)
	if elapsed <= 0 {
		return
	}
	rate := float64(p.delivered-m.delivered) / elapsed.Seconds()
	late := 2 * (p.rtt + queueTime) // far longer than the queue we allow: the link got slower
	slow := elapsed > late
	if p.hop.lossy(now) { // PUBACKs come late, then all at once
		rate, slow = p.hop.rate, slow && p.hop.srtt > late
	}
	p.rates.add(rate, m.limited, slow, now)
	p.rate = p.rates.best()
}

// roundTrip takes the time to a PUBACK, less the packet's own time on the
// wire (at most half: the rate may be underestimated). An old best is replaced only by the time of a packet that was alone in
// flight: any other has our own queue in it, and the window would feed on it.
func (p *pacer) roundTrip(size int, m mark, now time.Time) {
	rtt := now.Sub(m.sentAt)
	if p.rate > 0 {
		rtt -= time.Duration(min(float64(size)/p.rate, rtt.Seconds()/2) * float64(time.Second))
	}
	rtt = max(rtt, p.hop.minRTT, time.Microsecond)
	if near := p.rtt + p.rtt/8; rtt <= near && p.hop.lossy(now) {
		p.rttAt = now // there is no queue: letting it run dry would cost a lossy link seconds
	}
	if p.rtt == 0 || rtt <= p.rtt || m.alone && p.stale(now) {
		p.rtt, p.rttAt = rtt, now
	}
}

// stale reports whether the round trip must be measured anew.
func (p *pacer) stale(now time.Time) bool { return now.Sub(p.rttAt) > rttHorizon }

// window returns how many bytes may be in flight.
func (p *pacer) window() int {
	if p.rate == 0 || p.rtt == 0 {
		return startWindow
	}
	return int(min(max(p.rate*(p.rtt+queueTime).Seconds(), minWindow), maxWindow))
}

// part returns the size of one bulk packet: partTime of link, within limits.
func (p *pacer) part(limit int) int {
	n, least := startWindow/4, minPart
	if p.rate > 0 {
		n = int(min(p.rate*partTime.Seconds(), maxWindow/2))
		least = int(min(max(p.rate*minPartTime.Seconds(), minWindow), minPart))
	}
	return min(max(n, least), limit)
}

// room reports whether a bulk packet may leave. One may always leave, and the
// last one may reach beyond the window: rounding down would keep a long, fast
// link at a low rate for ever.
func (p *pacer) room(now time.Time) bool {
	w := p.window()
	ok := p.inflight < w && !p.stale(now)
	if p.hop.lossy(now) {
		ok = p.roomOnLoss(w)
	}
	ok = ok || p.inflight == 0
	if !ok {
		p.idle = false
	}
	return ok
}

// roomForLive reports whether a live packet may leave: behind a window full of
// bulk it may, behind one full of live it waits, so that what is newest when
// there is room again is what leaves.
func (p *pacer) roomForLive(now time.Time) bool {
	ahead := p.inflight
	if p.hop.lossy(now) {
		ahead = min(ahead, p.hop.queued)
	}
	return ahead == 0 || ahead < p.window()+p.part(maxWindow)
}

// live returns the size of one live packet when several batches wait: liveTime
// of link, within limits.
func (p *pacer) live(limit int) int {
	if p.rate == 0 {
		return min(startWindow, limit)
	}
	return min(limit, max(int(min(p.rate*liveTime.Seconds(), 1<<30)), minWindow))
}

// patience returns how much longer than the acknowledgement timeout what is in
// flight may take on a slow link.
func (p *pacer) patience() time.Duration {
	if p.rate <= 0 {
		return 0
	}
	return time.Duration(min(float64(p.inflight)/p.rate, maxPatience.Seconds()) * float64(time.Second))
}

// whole returns the largest batch worth sending in one piece: longer than
// wholeTime on the wire and the keep-alive would end the session first.
func (p *pacer) whole(limit int) int {
	if p.rate == 0 {
		return limit
	}
	return min(limit, max(int(min(p.rate*wholeTime.Seconds(), 1<<30)), 2*minPart))
}

// bucket is a token bucket in bytes; it may be overdrawn by one packet.
type bucket struct {
	rate   float64 // bytes/s; <= 0: unlimited
	tokens float64
	at     time.Time
}

// bucketDepth is how much unused rate is kept.
const bucketDepth = time.Second

// ready returns 0 when a packet may leave, else how long to wait.
func (b *bucket) ready(now time.Time) time.Duration {
	if b.rate <= 0 {
		return 0
	}
	depth := b.rate * bucketDepth.Seconds()
	if b.at.IsZero() {
		b.tokens = depth
	} else {
		b.tokens = min(depth, b.tokens+b.rate*now.Sub(b.at).Seconds())
	}
	b.at = now
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens/b.rate*float64(time.Second)) + time.Millisecond
}

func (b *bucket) take(size int) {
	if b.rate > 0 {
		b.tokens -= float64(size)
	}
}
