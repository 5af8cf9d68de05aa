package gps

import (
	"time"

	nmea "github.com/adrianmo/go-nmea"

	"obu/telemetry"
)

// merger turns checked sentences into one fix per epoch.
//
// An epoch ends when a sentence with another time of day starts the next one.
// On a live line that would be one second late, so there an epoch also ends
// when the sentence has passed that twice before came last (the learned cycle
// end), or when the line pauses. Sentences without a time (GSA, VTG) belong to
// the epoch before them, after a pause to the next.
//
// It is used by one goroutine.
type merger struct {
	emit  func(f telemetry.Fix, tod time.Duration) // tod: since midnight, -1 unknown
	live  bool                                     // deliver at the learned cycle end
	fine  bool                                     // positions on the 1e-9 grid always
	stats *Stats

	parser nmea.SentenceParser
	cur    epoch
	paused bool // the line paused since the last sentence

	end   address // learned cycle end, and its how manieth in the epoch
	endN  int
	trust int // consecutive epochs that ended so

	day     time.Time     // date of the last dated epoch
	dayTod  time.Duration // its time of day
	mode    telemetry.Mode
	modeAge int // epochs since a GSA said mode
}

// trustedEnd is how many epochs in a row must end with the same sentence
// before the merger relies on it.
const trustedEnd = 2

func newMerger(stats *Stats, emit func(telemetry.Fix, time.Duration)) *merger {
	return &merger{stats: stats, emit: emit, parser: newParser()}
}

// line takes one line from '$' or '!' on, without its line end.
func (m *merger) line(at telemetry.At, line []byte) reject {
	body, why := checked(line)
	if why != accepted {
		return why
	}
	m.stats.Sentences++
	if !wanted(body) {
		m.stats.Ignored++
		return accepted
	}
	parsed, err := m.parser.Parse(string(line[:1+len(body)]))
	if err != nil {
		m.stats.Sentences--
		return rejectMalformed
	}
	if s, ok := parsed.(*sentence); ok {
		m.add(at, s)
	}
	return accepted
}

// add places one sentence in its epoch.
func (m *merger) add(at telemetry.At, s *sentence) {
	e := &m.cur
	switch {
	case !e.open:
		m.cur = newEpoch(at)
	case s.timed && !e.belongs(s):
		m.finish()
		m.cur = newEpoch(at)
	case e.delivered && !s.timed && m.paused:
		m.cur = newEpoch(at)
	}
	m.paused = false
	adds := e.adds(s)
	n := e.count(s.addr)
	if e.delivered {
		if adds {
			m.stats.Late++
			m.end, m.endN, m.trust = s.addr, n, 0
		}
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

// pause is called when the line has been quiet for a while: what is there is
// all there will be.
func (m *merger) pause() {
	if m.cur.open && m.cur.timed && !m.cur.delivered {
		m.finish()
	}
	m.paused = true
}

// finish ends the current epoch where it really ended, and learns from it.
func (m *merger) finish() {
	e := &m.cur
	if !e.open || !e.timed || e.delivered {
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

// reset forgets a half epoch, when the device it came from is gone.
func (m *merger) reset() {
	m.finish()
	m.cur = epoch{}
	m.trust = 0
}

func (m *merger) deliver() {
	e := &m.cur
	e.delivered = true
	f := m.fix(e)
	m.stats.Epochs++
	if f.Valid {
		m.stats.Valid++
	}
	if f.Doubt != 0 {
		m.stats.Doubtful++
	}
	m.emit(f, e.tod)
}
