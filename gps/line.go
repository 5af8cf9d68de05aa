package gps

import "obu/telemetry"

// maxLine is how many bytes of one line are kept. NMEA 0183 allows 82; the
// longest proprietary sentences seen in recordings stay under 256.
const maxLine = 1024

// lineReader cuts a byte stream into sentences. It survives whatever a serial
// line can carry: half lines, binary, lost line ends, a sentence glued behind
// another one, megabytes without a newline. It keeps at most maxLine bytes.
//
// A line ends at CR, LF, or where the next '$' starts. What stands before the
// '$' (or '!') of a line is dropped: a logger's time stamp, a binary message,
// noise. A line that begins with '#' is a comment of gpsd's log format.
type lineReader struct {
	// sentence receives everything from the '$' or '!' to the end of the
	// line, valid until it returns, and the time of the read that brought
	// its first byte.
	sentence func(at telemetry.At, line []byte)
	// tooLong is called once for each line that did not fit.
	tooLong func(at telemetry.At)

	stats *Stats
	buf   [maxLine]byte
	n     int // bytes of the line: kept in lineBody, seen in lineJunk
	at    telemetry.At
	state lineState
}

type lineState uint8

const (
	lineStart   lineState = iota // nothing of the line yet
	lineJunk                     // before a '$'
	lineComment                  // a '#' line
	lineBody                     // from a '$' or '!' on
	lineSkip                     // too long: wait for its end
)

// write consumes one read's bytes, which arrived at at.
func (r *lineReader) write(at telemetry.At, p []byte) {
	r.stats.Bytes += uint64(len(p))
	for _, c := range p {
		switch {
		case c == '\n' || c == '\r':
			r.end()
		case c == '$' && r.state != lineComment, c == '!' && r.state < lineComment:
			if r.state == lineBody {
				r.sentence(r.at, r.buf[:r.n])
			}
			r.state, r.at = lineBody, at
			r.buf[0], r.n = c, 1
		case r.state == lineBody:
			r.keep(c)
		case r.state == lineJunk:
			r.junk(at, c)
		case r.state == lineStart && c == '#':
			r.state = lineComment
		case r.state == lineStart:
			r.state, r.n = lineJunk, 0
			r.junk(at, c)
		}
	}
}

func (r *lineReader) keep(c byte) {
	if r.n == maxLine {
		r.state = lineSkip
		r.tooLong(r.at)
		return
	}
	r.buf[r.n] = c
	r.n++
}

func (r *lineReader) junk(at telemetry.At, c byte) {
	if c >= 0x7f || c < 0x20 && c != '\t' {
		r.stats.Noise++
	}
	if r.n++; r.n > maxLine {
		r.state = lineSkip
		r.tooLong(at)
	}
}

// end closes the line; at the end of the input, also one without line end.
func (r *lineReader) end() {
	if r.state == lineStart {
		return
	}
	r.stats.Lines++
	if r.state == lineBody {
		r.sentence(r.at, r.buf[:r.n])
	}
	r.state, r.n = lineStart, 0
}
