package uplink

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"obu/telemetry"
)

// ReceiptHint is what to do next when no receipt comes.
func ReceiptHint(fleet, unit string) string {
	return "nothing is deleted before it is confirmed: look whether the cloud's receiver runs and hears obu/v1/" + fleet + "/" + unit +
		"/#, and that the broker's ACL lets it publish on obu/v1/" + fleet + "/" + unit + "/ack; without such a receiver set uplink.custody: puback"
}

// Bounds of what is sent again because no receipt came (custody: receipt).
const (
	receiptPatience    = 2 * time.Minute  // default: so long after its PUBACK a batch waits for its receipt
	receiptPatienceMax = time.Hour        // the wait doubles up to it while no receipt comes at all
	receiptSoon        = 10 * time.Second // the wait while receipts follow what is sent again
	resendFirst        = 64               // batches sent again at first: enough to find the one the cloud misses
	resendMedia        = 4                // the same of media, of 256 KiB each
	resendMost         = 1 << 16          // the number doubles up to it while receipts follow
)

// errBeyond is why a receipt is no use: deleting on the word of somebody who
// confirms what never was would be losing data.
var errBeyond = errors.New("it confirms batches that do not exist yet")

// custody is what a lane keeps with custody: receipt. Receipts are cumulative,
// so one batch that the cloud never got (a broker acknowledged it, nobody
// listened) holds up those behind it. When no receipt moved for the wait, a few
// of the oldest are sent again; should a receipt follow, more of them soon, so
// that a cloud that lost an hour has it back in a minute, and one that is away
// costs a handful of copies an hour.
type custody struct {
	awaiting ranges        // PUBACK seen, receipt not yet
	dry      time.Time     // since when something waits and no receipt moved
	since    time.Time     // when the wait began: PUBACK of the oldest, a receipt, or sending again
	wait     time.Duration // before something is sent again
	stale    uint64        // up to here seqs had waited too long when some were sent again; 0: none
	follows  bool          // a receipt followed what was sent again
	window   int           // batches sent again next time
}

// puback notes that the broker has seq and the cloud's word is awaited.
func (c *custody) puback(seq uint64, now time.Time) {
	if len(c.awaiting.spans) == 0 {
		c.since, c.dry = now, now
	}
	c.awaiting.add(seq)
}

// progress notes that a receipt moved.
func (c *custody) progress(patience time.Duration, now time.Time) {
	c.since, c.dry, c.wait = now, now, patience
	c.follows = c.stale > 0 && len(c.awaiting.spans) > 0 && c.awaiting.spans[0].lo <= c.stale
	if c.follows {
		c.wait, c.window = min(receiptSoon, patience), min(2*c.window, resendMost)
	} else {
		c.stale = 0
	}
}

// alive notes that the cloud speaks, although it confirms nothing new: what it
// misses is not kept from it for longer than a wait.
func (c *custody) alive(patience time.Duration) { c.wait = min(c.wait, patience) }

// due returns how long the lane is still patient, 0 when something is to be
// sent again; ok is false when nothing waits for a receipt.
func (c *custody) due(patience time.Duration, now time.Time) (left time.Duration, ok bool) {
	if len(c.awaiting.spans) == 0 {
		return 0, false
	}
	if c.wait == 0 {
		c.wait = patience
	}
	return max(0, c.since.Add(c.wait).Sub(now)), true
}

// again takes up to a window of the oldest batches out of those that wait, so
// that they are sent again, as history, and returns how many they are.
func (c *custody) again(first int, patience time.Duration, now time.Time) (n int) {
	spans := c.awaiting.spans
	if !c.follows {
		c.stale, c.window = spans[len(spans)-1].hi, first
	}
	c.since, c.wait, c.follows = now, max(patience, min(2*c.wait, receiptPatienceMax)), false
	last := uint64(0)
	for _, s := range spans {
		take := min(uint64(c.window-n), s.hi-s.lo+1)
		last = s.lo + take - 1
		if n += int(take); n == c.window {
			break
		}
	}
	c.awaiting.trim(last + 1)
	return n
}

// resend has the lanes send again what waited too long for its receipt, and
// returns how long until the next one has.
func (p *pump) resend(now time.Time) time.Duration {
	next := refreshEvery
	if p.u.cfg.Custody != CustodyReceipt {
		return next
	}
	for _, l := range p.u.lanes.list {
		left, ok := l.due(p.u.cfg.ReceiptPatience, now)
		if !ok || l.gone {
			continue
		}
		if left == 0 {
			first := resendFirst
			if l.class == telemetry.ClassMedia {
				first = resendMedia
			}
			n := l.again(first, p.u.cfg.ReceiptPatience, now)
			l.hist = 0
			p.u.stats.update(func(s *Stats) { s.Resent += int64(n) })
			left = l.wait
		}
		next = min(next, left)
	}
	return next
}

// receipt settles what the cloud confirms: every batch of the stream up to and
// including Seq that was sent in this run. What was not, the cloud may only
// know from a Gap whose range grew over it: it is sent, and confirmed with the
// next receipt.
func (p *pump) receipt(m message) {
	r, err := telemetry.DecodeReceipt(m.payload)
	if err != nil {
		p.bad("receipt", err)
		return
	}
	if p.u.cfg.Custody != CustodyReceipt {
		return
	}
	l := p.u.lanes.of(laneKey{r.Store, r.Class})
	if l == nil {
		return // settled long ago, or not ours
	}
	if r.Seq >= l.stream.Next {
		p.bad("receipt", fmt.Errorf("%s %s %d: %w", r.Store, r.Class, r.Seq, errBeyond))
		return
	}
	names := l.confirm(r.Seq)
	if len(names) == 0 { // a copy, or older than the last one
		l.alive(p.u.cfg.ReceiptPatience)
		return
	}
	for _, n := range names {
		p.u.poison.forget(n)
	}
	l.progress(p.u.cfg.ReceiptPatience, time.Now())
	p.u.cfg.Backlog.Ack(names...)
}

// confirm moves what was sent and lies at or below seq to what is settled. A
// packet whose receipt overtook its PUBACK stays in flight.
func (l *lane) confirm(seq uint64) []telemetry.Name {
	var names []telemetry.Name
	settle := func(s span) {
		names = slices.Grow(names, int(s.hi-s.lo+1))
		for q := s.lo; q <= s.hi; q++ {
			names = append(names, telemetry.Name{Store: l.store, Class: l.class, Seq: q})
		}
		l.acked.addSpan(s)
	}
	for _, s := range l.awaiting.upTo(seq) {
		settle(s)
	}
	l.awaiting.trim(seq + 1)
	for _, s := range l.inflight.upTo(seq) {
		for q := l.acked.missing(s.lo); q <= s.hi; q = l.acked.missing(q) {
			settle(span{q, q})
		}
	}
	return names
}
