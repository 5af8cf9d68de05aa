package can

import "time"

// Backoff is what a bus was asked in vain, how it took that, and how long the car
// has not been in use. A process keeps it for the one after it: one that crashes
// and is started again and again must not begin anew each time. The zero Backoff
// knows of nothing.
type Backoff struct {
	Retry time.Duration `json:"retry_ns"` // between the last search for ECUs and the next
	Nudge time.Duration `json:"nudge_ns"` // in place of Retry while the bus speaks
	Since time.Duration `json:"since_ns"` // how long ago the last one was

	Hold   time.Duration `json:"hold_ns"`   // how long the silence after error frames was
	Errors time.Duration `json:"errors_ns"` // what is left of it

	// Unused is how long the ECUs have answered without one that told of a car in
	// use; 0: one has, or none answers.
	Unused time.Duration `json:"unused_ns"`

	Probing `json:"probing"`
}

// Probing is how far the search for the bit rate of a silent bus has come.
type Probing struct {
	Rates int           `json:"rates"`   // asked at since one was found
	Pause time.Duration `json:"hold_ns"` // between two rounds
	Next  time.Duration `json:"next_ns"` // until the next one
}

// Age turns b into what it is after d more.
func (b *Backoff) Age(d time.Duration) {
	b.Since, b.Errors, b.Next = b.Since+d, b.Errors-d, b.Next-d
	if b.Unused > 0 {
		b.Unused += d
	}
}

// restore makes the silence of a process before that of this one; whatever b
// says, it is no longer than this process would make it.
func (q *quiet) restore(b Backoff, now time.Time) {
	if b.Since >= 0 {
		q.retry, q.since = min(max(b.Retry, 0), retryMax), now.Add(-b.Since)
	}
	q.nudge = min(max(b.Nudge, 0), retryAwake)
	q.hold = min(max(b.Hold, 0), maxErrorSilence)
	if b.Hold > 0 {
		q.errors = now.Add(min(b.Errors, q.hold))
	}
	if b.Unused > 0 {
		q.unused = now.Add(-b.Unused)
	}
}

// backoff is q for the next process.
func (q *quiet) backoff(now time.Time) Backoff {
	b := Backoff{Retry: q.retry, Nudge: q.nudge, Since: now.Sub(q.since), Hold: q.hold, Errors: q.errors.Sub(now)}
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
	s.quiet.restore(s.cfg.Was(), time.Now())
	if s.quiet.retry+s.quiet.hold > 0 {
		s.log.Warn("the agent ended before without being stopped: it asks this bus no sooner than it would have then; to ask at once: systemctl restart obu")
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
	p.r.gate.mu.Lock()
	q := p.r.gate.quiet
	p.r.gate.mu.Unlock()
	q.retry, q.nudge, q.since = p.retry, p.nudge, p.since
	if p.searching {
		q.retry, q.nudge = p.longer()
	}
	p.mu.Lock()
	q.unused = p.unused
	p.mu.Unlock()
	return q
}
