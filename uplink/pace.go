package uplink

import "time"

// Bounds of what is in flight. The window is a byte count: what the measured
// link carries in its own round trip plus queueTime, so that the queue ahead
// of live data never takes longer than that.
const (
	queueTime     = 250 * time.Millisecond // standing queue allowed
	partTime      = queueTime / 2          // of link one bulk packet takes: two fit into the queue, so it never runs dry
	startWindow   = 16 << 10               // before anything was measured
	minPart       = 4 << 10                // smallest packet bulk is cut into
	maxWindow     = 256 << 10              // 4 MB/s at 60 ms; bounds memory and what a link that collapses holds back
	maxPackets    = 64                     // in flight; more buys nothing (window, not count, is the throttle)
	rateHorizon   = 10 * time.Second       // how long a best rate counts
	rttHorizon    = 30 * time.Second       // how long a best round trip counts
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

	rate   float64 // bytes/s, 0: not known
	rateAt time.Time
	rtt    time.Duration // 0: not known
	rttAt  time.Time
}

// mark is what a packet remembers of the pacer when it was sent.
type mark struct {
	sentAt    time.Time
	delivered int64
	ackedAt   time.Time
	limited   bool
}

// start begins a session: nothing is in flight, old measurements are hints.
func (p *pacer) start(now time.Time) {
	*p = pacer{rate: p.rate / rateForgotten, rateAt: now, ackedAt: now}
}

func (p *pacer) sent(size int, now time.Time) mark {
	if p.inflight == 0 {
		p.ackedAt = now
	}
	p.inflight += size
	return mark{sentAt: now, delivered: p.delivered, ackedAt: p.ackedAt, limited: !p.idle}
}

func (p *pacer) acked(size int, m mark, now time.Time) {
	p.inflight -= size
	p.delivered += int64(size)
	p.ackedAt = now
	if rtt := now.Sub(m.sentAt); p.rtt == 0 || rtt <= p.rtt || now.Sub(p.rttAt) > rttHorizon {
		p.rtt, p.rttAt = max(rtt, time.Microsecond), now
	}
	elapsed := now.Sub(m.ackedAt)
	if elapsed <= 0 {
		return
	}
	rate := float64(p.delivered-m.delivered) / elapsed.Seconds()
	if rate >= p.rate || m.limited && now.Sub(p.rateAt) > rateHorizon {
		p.rate, p.rateAt = rate, now
	}
}

// window returns how many bytes may be in flight.
func (p *pacer) window() int {
	if p.rate == 0 || p.rtt == 0 {
		return startWindow
	}
	return int(min(max(p.rate*(p.rtt+queueTime).Seconds(), minPart), maxWindow))
}

// part returns the size of one bulk packet: partTime of link, within limits.
func (p *pacer) part(limit int) int {
	n := startWindow / 4
	if p.rate > 0 {
		n = int(min(p.rate*partTime.Seconds(), maxWindow/2))
	}
	return min(max(n, minPart), limit)
}

// room reports whether a bulk packet of size bytes may leave. One packet may
// always leave.
func (p *pacer) room(size int) bool {
	ok := p.inflight == 0 || p.inflight+size <= p.window()
	if !ok {
		p.idle = false
	}
	return ok
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
