package uplink

import (
	"errors"
	"time"
)

// How the echo is waited for.
const (
	echoWait  = 5 * time.Second  // from the PUBACK of the link message; it is tried twice before the verdict is missing
	echoRetry = 10 * time.Minute // a missing one is tried again: an ACL can be put right without a new session
)

// Echo says whether the unit's own link message came back. A broker whose ACL
// forbids a topic may acknowledge what it then drops: MQTT 3.1.1 has no way to
// say no to a PUBLISH but to hang up (§3.3.5).
type Echo string

// The verdicts. Data is sent in each of them: an ACL may forbid no more than
// reading link.
const (
	EchoPending Echo = "pending" // not known yet
	EchoSeen    Echo = "seen"    // it came back
	EchoMissing Echo = "missing" // acknowledged, but it did not come back: see EchoHint
	EchoDenied  Echo = "denied"  // the broker refused the subscription, so nobody knows
)

// EchoHint is what to do next when the verdict is EchoMissing.
func EchoHint(fleet, unit string) string {
	return "check fleet, unit and the broker's ACL, which has to allow \"topic readwrite obu/v1/" + fleet + "/" + unit +
		"/#\"; with uplink.custody: receipt nothing is deleted before the cloud confirms it"
}

// echo waits for one session's link message to come back. It belongs to the
// pump.
type echo struct {
	granted chan error // the end of SUBSCRIBE; has room for it
	heard   bool       // the subscription stands
	acked   bool       // the broker said it has the link message
	again   bool       // it was published a second time
	seen    bool       // it came back
	due     time.Time  // when it should have come, or is tried again; zero: not waiting
}

// wait starts the time in which the message has to come back.
func (e *echo) wait(now time.Time) {
	if e.heard && e.acked && !e.seen && e.due.IsZero() {
		e.due = now.Add(echoWait)
	}
}

// subscribed takes the answer to SUBSCRIBE.
func (p *pump) subscribed(err error) {
	e := &p.echo
	switch {
	case err == nil:
		e.heard = true
		e.wait(time.Now())
	case errors.Is(err, ErrSubscribeDenied) && !e.seen:
		p.u.stats.update(func(s *Stats) { s.Echo = EchoDenied })
	}
}

// linkAcked takes the PUBACK of a link message.
func (p *pump) linkAcked(now time.Time) {
	p.echo.acked = true
	p.echo.wait(now)
}

// echoed notes that this session's link message came back.
func (p *pump) echoed() {
	e := &p.echo
	e.seen, e.due = true, time.Time{}
	was := EchoPending
	p.u.stats.update(func(s *Stats) { was, s.Echo = s.Echo, EchoSeen })
	if was == EchoMissing {
		p.u.cfg.Log.Info("uplink: the broker delivers on this unit's topics")
	}
}

// listen asks for an echo that is overdue once more, then gives the verdict.
// It returns how long until it wants to be called again; 0: not on its account.
func (p *pump) listen(now time.Time) time.Duration {
	e, u := &p.echo, p.u
	if e.due.IsZero() {
		return 0
	}
	if left := e.due.Sub(now); left > 0 {
		return left
	}
	if !e.again { // a broker that retains nothing had it before the subscription stood
		e.again, e.acked, e.due = true, false, time.Time{}
		p.online()
		return 0
	}
	e.again, e.due = false, now.Add(echoRetry)
	was := EchoPending
	u.stats.update(func(s *Stats) { was, s.Echo = s.Echo, EchoMissing })
	if was != EchoMissing {
		u.cfg.Log.Warn("uplink: the broker acknowledges but does not deliver on this unit's topics: what is sent may reach nobody",
			"topic", u.topic("telemetry"), "next", EchoHint(u.cfg.Fleet, u.cfg.Unit))
	}
	return echoRetry
}
