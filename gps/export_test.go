package gps

import (
	"io"
	"log/slog"
	"net"
	"time"

	"obu/telemetry"
)

// MergeLive runs line reader and merger as a live line does, without a clock:
// in arrives in runs, and the line pauses between them.
func MergeLive(runs [][]byte, emit func(telemetry.Fix)) Stats {
	var stats Stats
	m := newMerger(&stats, func(f telemetry.Fix, _ time.Duration) { emit(f) })
	m.live, m.judge.live = true, true
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

// Daemon is a connection to gpsd that somebody else made.
func Daemon(c net.Conn, device string) io.ReadCloser { return &daemon{c, device} }

// ReadReports takes what gpsd says in runs that arrive a second apart; between
// them it is quiet.
func ReadReports(runs [][]byte, emit func(telemetry.Fix)) Stats {
	in := reportsFor(emit)
	for i, run := range runs {
		in.write(telemetry.At(i)*telemetry.At(time.Second), run)
		in.pause()
	}
	return in.source.stats
}

// ReadInSteps takes what gpsd says as r reads it, all at one time.
func ReadInSteps(r io.Reader, emit func(telemetry.Fix)) Stats {
	in, buf := reportsFor(emit), make([]byte, readSize)
	for {
		n, err := r.Read(buf)
		in.write(0, buf[:n])
		if err != nil {
			in.pause()
			return in.source.stats
		}
	}
}

func reportsFor(emit func(telemetry.Fix)) *reports {
	s := &Source{cfg: Config{Name: "gps", Emit: emit}, log: slog.New(slog.DiscardHandler)}
	s.loss = loss{report: func(_, _ telemetry.At, _ int64, _ telemetry.Reason) {}}
	return newReports(s, "")
}
