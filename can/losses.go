package can

import (
	"sync"

	"obu/telemetry"
)

// losses sums losses up until they are listed, so that a storm of a thousand
// frames is one Gap a second.
type losses struct {
	boot telemetry.BootID
	lost func(telemetry.Gap)

	mu   sync.Mutex // guards what follows
	sums map[lossKey]*telemetry.Gap
}

// maxLossKeys bounds the sums of one interval; what is beyond shares the row
// of its reason.
const maxLossKeys = 64

type lossKey struct {
	reason telemetry.Reason
	source telemetry.Source
}

// add notes n losses at a time, or that their number is not known.
func (l *losses) add(k lossKey, at telemetry.At, n int64) { l.span(k, at, at, n) }

// span is add for losses from one time to another.
func (l *losses) span(k lossKey, from, to telemetry.At, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sums == nil {
		l.sums = make(map[lossKey]*telemetry.Gap)
	}
	if l.sums[k] == nil && len(l.sums) >= maxLossKeys {
		k.source = telemetry.Source{Bus: k.source.Bus}
	}
	g := l.sums[k]
	if g == nil {
		l.sums[k] = &telemetry.Gap{
			Class: telemetry.ClassTelemetry, Boot: l.boot, From: from, To: to, Count: n,
			Reason: k.reason, Source: k.source.String(),
		}
		return
	}
	g.From, g.To = min(g.From, from), max(g.To, to)
	if g.Count == telemetry.CountUnknown || n == telemetry.CountUnknown {
		g.Count = telemetry.CountUnknown
		return
	}
	g.Count += n
}

// flush lists what was summed up.
func (l *losses) flush() {
	l.mu.Lock()
	sums := l.sums
	l.sums = nil
	l.mu.Unlock()
	for _, g := range sums {
		l.lost(*g)
	}
}
