package trip

import (
	"math"
	"time"

	"obu/telemetry"
)

// A rate of change is taken over a second or so, whatever the rate of readings:
// shorter is the noise of the sensor, longer a receiver at 0.5 Hz.
const (
	windowMin  = 900 * time.Millisecond
	windowMax  = 2500 * time.Millisecond
	pointApart = 80 * time.Millisecond // so that the points of a window fit
	maxPoints  = 16
)

const (
	// impossible is what no tyre holds, in m/s²: the reading is wrong.
	impossible = 12
	// harshEnds is the part of a threshold below which a manoeuvre is over.
	harshEnds = 0.7
	// outlier is the part of its change by which the reading after a wrong one goes
	// back, or more.
	outlier = 0.7
)

// point is one reading.
type point struct {
	at telemetry.At
	by telemetry.At // when it was measured, by its own clock: fixes may be read late, several at once
	v  float64
}

// series are the readings of the last moments.
type series struct {
	p [maxPoints]point
	n int
}

func (s *series) last() point {
	if s.n == 0 {
		return point{}
	}
	return s.p[s.n-1]
}

// add takes a reading. base is the one it is to be compared with; not ok: none.
func (s *series) add(p point) (base point, ok bool) {
	if s.n > 0 {
		since := p.by.Sub(s.last().by)
		if since < 0 || since > windowMax {
			s.n = 0
		} else if since < pointApart {
			return base, false
		}
	}
	for i := s.n - 1; i >= 0 && !ok; i-- {
		if d := p.by.Sub(s.p[i].by); d >= windowMin && d <= windowMax {
			base, ok = s.p[i], true
		}
	}
	if s.n == maxPoints {
		s.n = copy(s.p[:], s.p[1:])
	}
	s.p[s.n] = p
	s.n++
	return base, ok
}

// manoeuvre is one kind of harsh driving, and the one under way.
type manoeuvre struct {
	signal    *telemetry.Signal
	threshold float64 // m/s²; 0: not told

	active    bool
	confirmed bool // by the reading behind the first
	from, to  telemetry.At
	first     point   // before it
	second    float64 // the reading that began it
	peak      float64
	by        string
	where     place
	speeds    [2]float64 // at its begin and end
}

// note takes a rate, the reading it came with and the one it was compared with.
// It returns whether a manoeuvre is over, and whether the readings were wrong.
func (m *manoeuvre) note(at telemetry.At, rate float64, base point, v float64) (over, wrong bool) {
	switch {
	case m.threshold <= 0:
		return false, false
	case math.Abs(rate) > impossible:
		over = m.active && m.confirmed
		m.active = over
		return over, true
	case !m.active:
		if rate >= m.threshold {
			m.active, m.confirmed = true, false
			m.from, m.to, m.first, m.second, m.peak = base.at, at, base, v, rate
		}
		return false, false
	case !m.confirmed:
		if (m.second-v)/(m.second-m.first.v) >= outlier {
			m.active = false
			return false, true
		}
		m.confirmed = true
	}
	if rate < harshEnds*m.threshold {
		return true, false
	}
	m.peak, m.to = max(m.peak, rate), at
	return false, false
}

// measured is the time of a fix by the receiver's clock, where it has one.
func measured(f *telemetry.Fix) telemetry.At {
	if f.UTC.IsZero() {
		return f.At
	}
	return telemetry.At(f.UTC.UnixNano())
}

// speedReading holds a new speed against the thresholds.
func (w *Watch) speedReading(p point, by string) {
	at, v := p.at, p.v
	if w.speedBy != by {
		w.endManoeuvres(&w.accel, &w.brake)
		w.speeds.n, w.speedBy = 0, by
	}
	if n := w.speeds.n; n > 0 && p.by.Sub(w.speeds.last().by) > windowMax {
		w.endManoeuvres(&w.accel, &w.brake)
	}
	base, ok := w.speeds.add(p)
	if !ok {
		return
	}
	rate := (v - base.v) / p.by.Sub(base.by).Seconds()
	wrong := false
	for _, m := range [...]*manoeuvre{&w.accel, &w.brake} {
		was := m.active
		over, bad := m.note(at, rate, base, v)
		wrong = wrong || bad
		if m.active && !was {
			m.by, m.where, m.speeds[0] = by, w.spot(), base.v
		}
		if m.active && m.to == at {
			m.speeds[1] = v
		}
		if over {
			w.endManoeuvres(m)
		}
		rate = -rate
	}
	if wrong {
		w.accel.active, w.brake.active = false, false
		w.speeds.n = 0
	}
}

// courseReading holds the course of a good fix against the threshold.
func (w *Watch) courseReading(f *telemetry.Fix) {
	if math.IsNaN(f.CourseDeg) || !(f.SpeedMPS >= cornerMPS) || !w.motion.moving || f.At.Sub(w.locked) < steady { // the first courses turn to where it drives
		w.endManoeuvres(&w.corner)
		w.courses.n = 0
		return
	}
	course, by := f.CourseDeg, measured(f)
	if w.courses.n > 0 {
		if by.Sub(w.courses.last().by) > windowMax {
			w.endManoeuvres(&w.corner)
		}
		course = w.courses.last().v + math.Remainder(course-w.courses.last().v, 360)
	}
	base, ok := w.courses.add(point{f.At, by, course})
	if !ok {
		return
	}
	m := &w.corner
	was := m.active
	rate := f.SpeedMPS * math.Abs(course-base.v) * math.Pi / 180 / by.Sub(base.by).Seconds()
	over, wrong := m.note(f.At, rate, base, course)
	if m.active && !was {
		m.by, m.where, m.speeds[0] = byGPS, w.here, f.SpeedMPS
	}
	if m.active && m.to == f.At {
		m.speeds[1] = f.SpeedMPS
	}
	if over {
		w.endManoeuvres(m)
	}
	if wrong {
		m.active, w.courses.n = false, 0
	}
}

// endManoeuvres tells those that are under way and were confirmed, of a trip.
func (w *Watch) endManoeuvres(list ...*manoeuvre) {
	for _, m := range list {
		if m.active && m.confirmed && w.trip != nil {
			w.tell(m.signal, evidence(nil).at("from", m.from).at("to", m.to).num("value", m.peak, 2).num("threshold", m.threshold, 2).
				num("speed_from", m.speeds[0], 2).num("speed_to", m.speeds[1], 2).text("by", m.by).place("", m.where))
			w.trip.Harsh++
		}
		m.active = false
	}
}
