package gps

import (
	"errors"
	"fmt"
	"io"
	"time"

	"obu/telemetry"
)

// Decode reads a recording, plain or gzip, to its end and calls fn for each
// epoch, in order. It tells what the recording says: nothing is repaired, At is
// zero, Receiver is empty, and positions keep nine decimals whatever the
// quality. Comments, garbage and rejected sentences are skipped and counted. It
// returns an error only when reading fails; what came before was decoded.
func Decode(r io.Reader, fn func(telemetry.Fix)) (Stats, error) {
	var stats Stats
	m := newMerger(&stats, func(f telemetry.Fix, _ time.Duration) { fn(f) })
	m.fine = true
	lines := lineReader{
		stats:    &stats,
		sentence: func(at telemetry.At, l []byte) { stats.Rejected.count(m.line(at, l)) },
		tooLong:  func(telemetry.At) { stats.Rejected.count(rejectTooLong) },
	}
	in, err := inflate(r)
	if err != nil {
		return stats, fmt.Errorf("read nmea: %w", err)
	}
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		lines.write(0, buf[:n])
		if err == nil {
			continue
		}
		lines.end()
		m.finish()
		if errors.Is(err, io.EOF) {
			return stats, nil
		}
		if damaged(err) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return stats, fmt.Errorf("read nmea: %w", err)
	}
}
