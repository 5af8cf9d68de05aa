package budget

import (
	"strings"
	"time"
)

// Measure is one way to save.
type Measure string

// The measures of the ladder.
const (
	Slower  Measure = "slower"  // live leaves every 10 s at most
	Coarser Measure = "coarser" // live is one batch a minute; what lies between, and history, waits for a free network
	Media   Measure = "media"   // media waits for a free network
)

// DefaultLadder is the order in which the measures are taken: step n is the
// first n of them together.
var DefaultLadder = [...]Measure{Slower, Coarser, Media}

// Steps is the last step of the ladder: the month's bytes are used up, or will
// be in spite of all measures. Events and a sign of life still leave.
const Steps = len(DefaultLadder) + 1

// What the measures mean.
const (
	slowerEvery    = 10 * time.Second
	coarserEvery   = time.Minute
	exhaustedEvery = 5 * time.Minute
)

// Plan is what may leave over a link. Events always may.
type Plan struct {
	LiveEvery time.Duration // live leaves no more often; 0: as configured
	Newest    bool          // live is the newest batch alone, the others become history
	History   bool          // telemetry and health that live has passed by may leave
	Media     bool          // media may leave
	SeekFree  bool          // a free network is worth a new session
}

// Unrestricted is the plan of a free link.
var Unrestricted = Plan{History: true, Media: true}

// planOf returns the plan of a step on a metered link.
func planOf(ladder []Measure, step int) Plan {
	p := Unrestricted
	for _, m := range ladder[:min(step, len(ladder))] {
		switch m {
		case Slower:
			p.LiveEvery = max(p.LiveEvery, slowerEvery)
		case Coarser:
			p.LiveEvery, p.Newest, p.History = max(p.LiveEvery, coarserEvery), true, false
		case Media:
			p.Media = false
		}
	}
	if step >= Steps {
		p = Plan{LiveEvery: exhaustedEvery, Newest: true}
	}
	return p
}

// saving says in words what a step does.
func saving(ladder []Measure, step int) string {
	p := planOf(ladder, step)
	if step == 0 {
		return "nothing is held back"
	}
	var out []string
	switch {
	case p.Newest:
		out = append(out, "one live batch every "+span(p.LiveEvery), "history waits for a free network")
	case p.LiveEvery > 0:
		out = append(out, "live every "+span(p.LiveEvery))
	}
	if !p.Media {
		out = append(out, "media waits for a free network")
	}
	return strings.Join(out, ", ")
}

func span(d time.Duration) string {
	if d%time.Minute == 0 {
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.String()
}
