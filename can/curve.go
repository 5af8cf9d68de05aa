package can

import (
	"math"

	"obu/telemetry"
)

// maxPoints bounds the values that wait in the curves of one bus: 8 MB.
const maxPoints = 160_000

// point is one value of a curve.
type point struct {
	at telemetry.At
	reading
}

// curve hears a value of a signal whose rule is a curvelog: of Buffer values,
// or of what came in repeatEvery, only those go on between which a straight
// line is nowhere further than MaxError from those left out.
func (l *selection) curve(st *slot, rule *Rule, at telemetry.At, r reading) {
	if n := len(st.points); n == 0 || at < st.points[n-1].at {
		l.draw(st, rule)
		l.points += 1 - len(st.points)
		st.points = append(st.points[:0], point{at, r})
		l.give(at, st.from, st.signal, r)
		return
	}
	st.points = append(st.points, point{at, r})
	if l.points++; len(st.points) >= max(rule.Buffer, 3) || at.Sub(st.points[0].at) >= repeatEvery || l.points > maxPoints {
		l.draw(st, rule)
	}
}

// draw passes on what a curve needs. Its first value was passed on before, the
// last one begins the next.
func (l *selection) draw(st *slot, rule *Rule) {
	n := len(st.points)
	if n < 2 {
		return
	}
	l.simplify(st, st.points, rule.MaxError)
	l.points -= n - 1
	st.points = append(st.points[:0], st.points[n-1])
}

// simplify passes on the last of p, before it the value that is furthest from
// the line between the first and the last, if that is too far, and so on for
// both parts (Ramer, Douglas and Peucker).
func (l *selection) simplify(st *slot, p []point, maxError float64) {
	last := len(p) - 1
	first, span := p[0].v.Float(), float64(p[last].at-p[0].at)
	furthest, far := 0, maxError
	for i := 1; i < last; i++ {
		line := first
		if span > 0 {
			line += (p[last].v.Float() - first) * float64(p[i].at-p[0].at) / span
		}
		if d := math.Abs(p[i].v.Float() - line); d > far {
			furthest, far = i, d
		}
	}
	if furthest > 0 {
		l.simplify(st, p[:furthest+1], maxError)
		l.simplify(st, p[furthest:], maxError)
		return
	}
	l.give(p[last].at, st.from, st.signal, p[last].reading)
}
