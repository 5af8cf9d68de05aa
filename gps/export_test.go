package gps

import (
	"time"

	"obu/telemetry"
)

// MergeLive runs line reader and merger as a live line does, without a clock:
// in arrives in runs, and the line pauses between them.
func MergeLive(runs [][]byte, emit func(telemetry.Fix)) Stats {
	var stats Stats
	m := newMerger(&stats, func(f telemetry.Fix, _ time.Duration) { emit(f) })
	m.live = true
	lines := lineReader{
		stats:    &stats,
		sentence: func(at telemetry.At, l []byte) { stats.Rejected.count(m.line(at, l)) },
		tooLong:  func(telemetry.At) { stats.Rejected.count(rejectTooLong) },
	}
	for i, run := range runs {
		lines.write(telemetry.At(i)*telemetry.At(time.Second), run)
		m.pause()
	}
	return stats
}
