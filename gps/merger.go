package gps

import (
	"time"

	"obu/telemetry"
)

// trustedEnd is how many epochs in a row must end with the same sentence
// before the merger relies on it.
const trustedEnd = 2

// wrongEnd is when the cycle end is learned anew because epochs go on after it
// with GSA or VTG: each that does counts two, each that does not takes one off.
// So every second one is enough, every third is not.
const wrongEnd = 4

// How long a live line must be quiet for the epoch to count as complete.
// Within an epoch receivers pause less; one that was seen to pause in the
// middle of an epoch is given more patience.
const (
	firstPatience = 200 * time.Millisecond
	lastPatience  = 800 * time.Millisecond
)

// merger turns checked sentences into one fix per epoch.
//
// An epoch ends when a sentence with another time of day starts the next one.
// On a live line that would be one second late, so there an epoch also ends
// when the sentence has passed that twice before came last (the learned cycle
// end), or when the line pauses. Sentences without a time (GSA, VTG) belong to
// the epoch before them, after a pause to the next; if that does not come soon,
// to none.
//
// It is used by one goroutine.
type merger struct {
	emit  func(f telemetry.Fix, tod time.Duration) // tod: since midnight, -1 unknown
	live  bool                                     // deliver at the learned cycle end
	fine  bool                                     // positions on the 1e-9 grid always
	stats *Stats

	cur      epoch
	prev     epoch // delivered before cur began with sentences without a time
	paused   bool  // the line paused since the last sentence
	patience time.Duration

	end   address // learned cycle end: this sentence,
	endN  int     // for the how manieth time in the epoch,
	trust int     // seen in so many epochs in a row
	lates int     // weight of epochs that had a sentence after it

	day     time.Time     // date of the last dated epoch,
	dayTod  time.Duration // its time of day,
	dayAt   telemetry.At  // and when that was
	mode    telemetry.Mode
	modeAge int // epochs since a GSA said mode,
	flat    int // and since an altitude was solved for

	detail detail
	judge  judge
}

func newMerger(stats *Stats, emit func(telemetry.Fix, time.Duration)) *merger {
	m := &merger{stats: stats, emit: emit, patience: firstPatience, flat: modeAges}
	m.detail.begin()
	return m
}

// line takes one line from '$' or '!' on, without its line end.
func (m *merger) line(at telemetry.At, line []byte) reject {
	body, why := checked(line)
	if why != accepted {
		return why
	}
	if line[0] != '$' || m.detail.line(body) || !wanted(body) {
		m.stats.Sentences++
		m.stats.Ignored++
		return accepted
	}
	s, err := parse(body)
	if err != nil {
		return rejectMalformed
	}
	m.stats.Sentences++
	if s.Type == "GSA" {
		m.detail.sky.gsa([2]byte(body), s.system, s.used)
	}
	m.add(at, s)
	return accepted
}

// add places one sentence in its epoch.
func (m *merger) add(at telemetry.At, s *sentence) {
	m.place(at, s)
	m.paused = false
	e := &m.cur
	adds := e.adds(s) && (s.Type != "ZDA" || m.day.IsZero()) // a date that is known goes on
	n := e.count(s.addr)
	if e.delivered {
		m.late(s, n, adds)
		return
	}
	if adds {
		e.last = s.addr
	}
	e.merge(s)
	if m.live && m.trust >= trustedEnd && s.addr == m.end && n == m.endN && e.timed {
		m.deliver()
	}
}

// place makes cur the epoch that s belongs to.
func (m *merger) place(at telemetry.At, s *sentence) {
	e := &m.cur
	switch {
	case !e.open:
		m.cur = newEpoch(at)
	case s.timed && !e.timed && m.prev.open && s.tod >= 0 && m.prev.tod >= 0 && m.prev.belongs(s):
		// The line had paused in the middle of the epoch.
		m.cur, m.prev = m.prev, epoch{}
		m.patience = min(2*m.patience, lastPatience)
	case !e.timed && at.Sub(e.at) > lastPatience:
		m.cur = newEpoch(at)
	case s.timed && !e.belongs(s):
		m.finish()
		if !e.late {
			m.lates = max(0, m.lates-1)
		}
		m.cur, m.prev = newEpoch(at), epoch{}
	case !s.timed && e.delivered && m.paused:
		m.cur, m.prev = newEpoch(at), m.cur
	}
}

// late notes a sentence whose fix has already left: the cycle end was wrong, or
// it is a GSA that comes every fifth epoch and is not worth waiting for.
func (m *merger) late(s *sentence, n int, adds bool) {
	if s.Type == "ZDA" && s.tod >= 0 && m.cur.adds(s) { // the date of the epochs to come
		m.day, m.dayTod, m.dayAt = s.day, s.tod, m.cur.at
	}
	if !adds {
		return
	}
	m.stats.Late++
	if s.timed && m.cur.cut {
		m.cur.cut = false
		m.patience = min(2*m.patience, lastPatience)
	}
	if !m.cur.late {
		m.cur.late = true
		m.lates += 2
	}
	if s.timed || m.lates >= wrongEnd {
		m.end, m.endN, m.trust, m.lates = s.addr, n, 0, 0
	}
	if s.mode != telemetry.ModeNone {
		m.mode, m.modeAge = s.mode, 0
	}
}

// pause is called when the line has been quiet for the merger's patience:
// what is there is all there will be.
func (m *merger) pause() {
	waited := m.cur.timed && !m.cur.delivered
	m.finish()
	m.cur.cut = m.cur.cut || waited
	m.paused = true
}

// quiet is the patience of now: twice as much while a cycle end that is relied
// on has yet to come, for then a pause is a machine that stands still, or a
// sentence that was lost, rather than the end.
func (m *merger) quiet() time.Duration {
	if m.trust >= trustedEnd && m.cur.timed && !m.cur.delivered {
		return min(2*m.patience, lastPatience)
	}
	return m.patience
}

// finish ends the current epoch where it really ended, and learns from it.
func (m *merger) finish() {
	e := &m.cur
	if !e.timed || e.delivered {
		return
	}
	n := e.counted(e.last)
	if e.last == m.end && n == m.endN {
		m.trust++
	} else {
		m.end, m.endN, m.trust = e.last, n, 1
	}
	m.deliver()
}

func (m *merger) deliver() {
	e := &m.cur
	e.delivered = true
	f := m.fix(e)
	m.judge.doubt(&f, e)
	f.Detail = m.detail.of(&f, e.tod)
	m.stats.fix(&f)
	m.emit(f, e.tod)
}
