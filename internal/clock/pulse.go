package clock

import (
	"time"

	"obu/telemetry"
)

const (
	// pulseUncertainty is that of a pulse the kernel stamped: a driver on USB
	// looks every few milliseconds, a loaded kernel is late.
	pulseUncertainty = 10 * time.Millisecond
	// pulseJitter is how far apart two pulses a second may be stamped.
	pulseJitter = 4 * time.Millisecond
	// pulseGap is how many pulses in a row may be missing.
	pulseGap = 10 * time.Second
	// pulseTrain is how many pulses make a train, and pulsePairs how many fixes
	// have to agree with it; pulseProof how many when it moved or contradicts.
	pulseTrain = 4
	pulsePairs = 5
	pulseProof = 30
	// pulseFresh is how long after a pulse an epoch may be paired with it.
	pulseFresh = 3 * time.Second
	// pulseEvery is how often a pulse that goes on agreeing anchors again.
	pulseEvery = 5 * time.Minute
	// latestNMEA is how late after its pulse an epoch's first sentence is
	// believed to come. What comes later comes after the wrong edge.
	latestNMEA = 900 * time.Millisecond
)

// pulses is what is known of a receiver's pulse per second.
type pulses struct {
	n    int           // pulses in a row that came whole seconds apart
	last telemetry.At  // the newest
	late time.Duration // how late they may be

	pairs  int           // fixes in a row that fit them
	paired telemetry.At  // the newest
	offset time.Duration // what it said: UTC since 1970 minus time since boot
	wrong  int           // fixes that did not fit, in a row
}

// Pulse shows the clock a pulse per second: at was when its edge was stamped,
// and the second began then, or up to late before, when it is not known which
// of its edges that was. A pulse does not say which second; it counts together
// with the fixes that follow, and a receiver without a fix may pulse as it
// likes. On a replay it is ignored.
func (c *Clock) Pulse(at telemetry.At, late time.Duration) {
	if c.replay != nil {
		return
	}
	w := &c.wall
	w.mu.Lock()
	defer w.unlock(c)
	w.suspended(c, c.read())
	p := &w.pulse
	apart := at.Sub(p.last)
	whole := apart.Round(time.Second)
	off := (apart - whole).Abs()
	if p.n == 0 || late != p.late || whole < time.Second || whole > pulseGap || off > pulseJitter+whole/1e6*driftPPM {
		*p = pulses{n: 1, last: at, late: late}
		return
	}
	p.n++
	p.last = at
	w.counts.Pulses++
}

// pair pairs a fix with the pulse of its epoch. The fix says which second that
// was, the pulse when it began.
func (p *pulses) pair(w *wallClock, at telemetry.At, utc time.Time, offset time.Duration) {
	heard := at.Add(w.behind)
	if p.n < pulseTrain || heard.Sub(p.last).Abs() > pulseFresh {
		p.pairs = 0
		return
	}
	behind := (heard.Sub(p.last) - time.Duration(utc.Nanosecond())) % time.Second
	if behind < 0 {
		behind += time.Second
	}
	if behind > latestNMEA {
		p.pairs = 0
		if p.wrong++; p.wrong == pulseProof {
			w.sayOnce("pulse", "the receiver's sentences come just before its pulse, so the pulse is not believed and the time stays as good as without: it is the wrong edge, or the sentences are late; try gps.pps_edge, a higher gps.baud, fewer sentences",
				"behind_pulse", behind)
		}
		return
	}
	p.wrong = 0
	off := offset - w.behind + behind + p.late/2
	since := at.Sub(p.paired)
	if since > pulseFresh || (off-p.offset).Abs() > pulseJitter+since/1e6*driftPPM {
		p.pairs = 0
	}
	p.pairs++
	p.paired, p.offset = at, off
}

// offsetAt returns what the pulse says at a fix that was just paired.
func (p *pulses) offsetAt(at telemetry.At) (offset, width time.Duration, ok bool) {
	return p.offset, pulseUncertainty + p.late/2, p.pairs >= pulsePairs && p.paired == at
}

// news is offsetAt when that is worth an anchor, g being the present one.
func (p *pulses) news(g telemetry.Anchor, at telemetry.At) (offset, width time.Duration, ok bool) {
	offset, width, ok = p.offsetAt(at)
	apart := (offset - offsetOf(g)).Abs()
	switch {
	case !ok:
	case apart > uncertaintyAt(g, at), g.Uncertainty <= width && apart > width:
		ok = p.pairs >= pulseProof
	case g.Uncertainty <= width:
		ok = at.Sub(g.At) >= pulseEvery && uncertaintyAt(g, at) >= width
	}
	return offset, width, ok
}
