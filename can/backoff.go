package can

import "time"

// Backoff is what a bus was asked in vain, how it took that, and how long the car
// has not been in use. A process keeps it for the one after it: one that crashes
// and is started again and again must not begin anew each time. The zero Backoff
// knows of nothing.
type Backoff struct {
	Retry time.Duration `json:"retry_ns,omitempty"` // between the last search for ECUs and the next
	Nudge time.Duration `json:"nudge_ns,omitempty"` // in place of Retry while the bus speaks
	Since time.Duration `json:"since_ns,omitempty"` // how long ago the last one was

	Hold   time.Duration `json:"hold_ns,omitempty"`   // how long the silence after error frames was
	Errors time.Duration `json:"errors_ns,omitempty"` // what is left of it

	// Unused is how long the ECUs have answered without one that told of a car in
	// use; 0: one has, or none answers.
	Unused time.Duration `json:"unused_ns,omitempty"`
}

// Later returns b after d more.
func (b Backoff) Later(d time.Duration) Backoff {
	b.Since += d
	if b.Errors != 0 {
		b.Errors -= d
	}
	if b.Unused > 0 {
		b.Unused += d
	}
	return b
}

// Probing is how far the search for the bit rate of a silent bus has come, for
// the next process as Backoff is.
type Probing struct {
	Rates int           `json:"rates,omitempty"`   // asked at since one was found
	Hold  time.Duration `json:"hold_ns,omitempty"` // between two rounds
	Next  time.Duration `json:"next_ns,omitempty"` // until the next one
}

// Later returns p after d more.
func (p Probing) Later(d time.Duration) Probing {
	p.Next -= d
	return p
}

// restore makes the silence of a process before that of this one; whatever b
// says, it is no longer than this process would make it.
func (b Backoff) restore(now time.Time) (q quiet) {
	if b.Retry > 0 && b.Since >= 0 {
		q.retry, q.since = min(b.Retry, retryMax), now.Add(-b.Since)
		q.nudge = min(max(b.Nudge, 0), retryAwake)
	}
	if b.Hold > 0 || b.Errors != 0 {
		q.hold = min(max(b.Hold, 0), maxErrorSilence)
		q.errors = now.Add(min(b.Errors, max(q.hold, errorSilence)))
	}
	if b.Unused > 0 {
		q.unused = now.Add(-b.Unused)
	}
	return q
}

// backoff is q for the next process.
func (q *quiet) backoff(now time.Time) (b Backoff) {
	if q.retry > 0 {
		b.Retry, b.Nudge, b.Since = q.retry, q.nudge, now.Sub(q.since)
	}
	if !q.errors.IsZero() {
		b.Hold, b.Errors = q.hold, q.errors.Sub(now)
	}
	if !q.unused.IsZero() {
		b.Unused = max(now.Sub(q.unused), 1)
	}
	return b
}

// recall is the first thing a Source does when it runs.
func (s *Source) recall() {
	if s.recalled || s.cfg.Was == nil {
		return
	}
	s.recalled = true
	b := s.cfg.Was()
	s.quiet = b.restore(time.Now())
	if s.quiet.retry > 0 || !s.quiet.errors.IsZero() {
		s.log.Warn("the agent ended before without being stopped: it asks this bus no sooner than it would have then", "next", "systemctl restart obu, if it is to ask at once")
	}
}

// keep tells what the next process has to know, when that has changed. It is
// called before anything is sent: a process may die of the answer.
func (p *poller) keep() {
	if p.r.cfg.Keep == nil {
		return
	}
	q := p.leftOff()
	q.tester = time.Time{} // over before it is written
	if q != p.kept {
		p.kept = q
		p.r.cfg.Keep(q.backoff(time.Now()))
	}
}

// leftOff returns what the poller of a device, or of a process, that comes next
// waits for: one that was lost during a search has not been answered.
func (p *poller) leftOff() quiet {
	g := p.r.gate
	g.mu.Lock()
	q := g.quiet
	g.mu.Unlock()
	q.retry, q.nudge, q.since = p.retry, p.nudge, p.since
	if p.searching {
		q.retry, q.nudge = p.longer()
	}
	p.mu.Lock()
	q.unused = p.unused
	p.mu.Unlock()
	return q
}
