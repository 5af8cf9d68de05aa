package uplink

import "time"

// Bounds of how the pacer tells loss from a slow link.
const (
	hopEvery   = 5 * time.Millisecond  // the kernel is asked not more often than this
	lossMemory = 3 * time.Second       // so long after a retransmission the link counts as lossy
	lossPoll   = 50 * time.Millisecond // bulk that waits on a lossy link looks again: what makes room is no PUBACK
	lossMost   = 4                     // windows without a PUBACK on a lossy link, of which one at most waits for the link
	lossWindow = 2 * maxWindow         // and no more than this: it is memory, here and at the other end
)

// hop is what the kernel says of the connection, which is TCP to the broker or
// to whatever stands in between. After a lost segment, TCP at the other end
// holds what follows it until it comes again, one round trip later or more: no
// PUBACK arrives meanwhile, though the link carries on. Only while TCP itself
// says that it sent something again is what the other end holds taken as
// delivered, and a late PUBACK not as a sign of a slower link.
type hop struct {
	askedAt time.Time
	resentN uint32    // segments sent again in this session
	lostAt  time.Time // when that last rose

	queued int           // bytes on the link or waiting for it, here and in the kernel
	unsent int           // of them, what TCP has not sent once
	drain  float64       // bytes/s that TCP would send now: its congestion window in a round trip
	rate   float64       // bytes/s that reach the other end, lost segments or not; 0: not known
	srtt   time.Duration // smoothed round trip of single segments: a lost one does not count in it, a queue does
	minRTT time.Duration // smallest of them: no PUBACK is faster
}

// tcpState is one answer of the kernel.
type tcpState struct {
	resent       uint32        // segments, since the connection began
	away, unsent int           // bytes sent that the other end does not have, and not sent
	drain, rate  float64       // bytes/s: the congestion window in a round trip, and what is delivered
	srtt, minRTT time.Duration // of segments
}

// observe takes a new answer; unwritten is what the kernel was not given yet.
func (h *hop) observe(s tcpState, unwritten int, now time.Time) {
	if s.resent != h.resentN {
		h.resentN, h.lostAt = s.resent, now
	}
	h.unsent = s.unsent + unwritten
	h.queued, h.rate, h.srtt, h.minRTT = s.away+h.unsent, s.rate, s.srtt, s.minRTT
	h.drain = s.drain
}

// lossy reports whether TCP lately sent something again.
func (h *hop) lossy(now time.Time) bool {
	return !h.lostAt.IsZero() && now.Sub(h.lostAt) < lossMemory
}

// roomOnLoss reports whether bulk may leave on a lossy link, where what has no PUBACK
// says little: no more than a window waits for the link, and no more than TCP
// sends in a round trip waits for TCP, which loss makes send more slowly than the
// link carries. With less TCP would not know that it may send more.
func (p *pacer) roomOnLoss(window int) bool {
	h := &p.hop
	unsent := min(h.drain, p.rate) * min(max(h.srtt, queueTime), 2*queueTime).Seconds()
	return h.queued < window && float64(h.unsent) < unsent && p.inflight < min(lossMost*window, lossWindow)
}

// ask has the pacer know what the kernel knows.
func (p *pump) ask(now time.Time) {
	h := &p.u.pacer.hop
	if now.Sub(h.askedAt) < hopEvery {
		return
	}
	h.askedAt = now
	unwritten := int(p.sess.unwritten.Load()) // before the kernel: what moves meanwhile counts twice, not never
	if s, ok := askTCP(p.sess.count.Conn); ok {
		h.observe(s, unwritten, now)
	}
}
