package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"

	"obu/can"
	"obu/can/canlog"
	"obu/gps"
	"obu/telemetry"
)

func decodeCommand() *command {
	cmd := &command{
		Use:   "decode",
		Short: "print what a recording says, as JSON lines; nothing is repaired",
	}
	cmd.AddCommand(decodeCANCommand(), decodeNMEACommand())
	return cmd
}

// maxProblems bounds how many complaints about one recording are printed, the
// rest is counted; maxExamples bounds them in a file that is no recording.
const (
	maxProblems = 20
	maxExamples = 3
)

// problems prints complaints about a recording as they come, once something was
// read of it: a file that is none gets its verdict first.
type problems struct {
	out   io.Writer
	n     int
	held  []error
	among bool // something was read
}

func (p *problems) add(err error) {
	switch p.n++; {
	case p.n > maxProblems:
	case p.among:
		fmt.Fprintf(p.out, "obu: warning: %v\n", err)
	default:
		p.held = append(p.held, err)
	}
}

// good notes that something was read.
func (p *problems) good() {
	if p.among {
		return
	}
	p.among = true
	for _, err := range p.held {
		fmt.Fprintf(p.out, "obu: warning: %v\n", err)
	}
	p.held = nil
}

// end counts what was not printed.
func (p *problems) end() {
	p.good()
	if more := p.n - maxProblems; more > 0 {
		fmt.Fprintf(p.out, "obu: warning: %d more problems like these\n", more)
	}
}

// examples are the first complaints, a line each.
func (p *problems) examples() (text string) {
	for _, err := range p.held[:min(len(p.held), maxExamples)] {
		text += "\n  " + err.Error()
	}
	return text
}

// appendRecord writes one line in the shape of `obu decode can`: the time and
// the number keep every digit.
func appendRecord(b []byte, r *can.Record) []byte {
	b = append(b, `{"t":`...)
	b = r.T.Append(b)
	b = appendField(b, "bus", r.Bus)
	b = appendField(b, "source", r.Source)
	b = appendField(b, "signal", r.Signal.Name)
	b = append(b, `,"value":`...)
	b = appendValue(b, r.Value)
	if r.Signal.Unit == "" {
		b = append(b, `,"unit":null`...)
	} else {
		b = appendField(b, "unit", r.Signal.Unit)
	}
	if r.Quality != telemetry.QualityLive {
		b = appendField(b, "quality", r.Quality.String())
	}
	if r.Text != "" {
		b = appendField(b, "text", r.Text)
	}
	return append(b, "}\n"...)
}

func appendField(b []byte, key, text string) []byte {
	b = append(append(append(b, `,"`...), key...), `":`...)
	return appendText(b, text)
}

func appendText(b []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string always marshals
	return append(b, quoted...)
}

func appendValue(b []byte, v telemetry.Value) []byte {
	switch v.Kind() {
	case telemetry.KindFloat:
		return appendNumber(b, v.Float())
	case telemetry.KindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case telemetry.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case telemetry.KindText, telemetry.KindBytes:
		return appendText(b, v.String())
	}
	return append(b, "null"...)
}

// appendNumber never prints NaN: an unknown number is null.
func appendNumber(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(b, "null"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

func decodeNMEACommand() *command {
	return &command{
		Use:     "nmea FILE|-",
		Short:   "positions in an NMEA log, one line per epoch",
		Example: "  obu decode nmea drive.nmea\n  cat /dev/ttyUSB0 | obu decode nmea -",
		Args:    exactly("FILE"),
		RunE: func(cmd *command, args []string) error {
			return withFile(cmd, args[0], func(r io.Reader, w *bufio.Writer) error {
				return decodeNMEA(r, w, cmd.ErrOrStderr())
			})
		},
	}
}

func decodeNMEA(r io.Reader, w *bufio.Writer, errw io.Writer) error {
	var line []byte
	var failed error
	br := bufio.NewReader(r)
	begins, _ := br.Peek(4)
	if err := canlog.Foreign(begins); err != nil {
		return fmt.Errorf("read nmea: %w", err)
	}
	stats, err := gps.Decode(br, func(f telemetry.Fix) {
		if failed == nil {
			line = appendFix(line[:0], &f)
			_, failed = w.Write(line)
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	rejected := ""
	if n := stats.Rejected.Total(); n > 0 {
		rejected = fmt.Sprintf("%d of %d lines rejected: checksum wrong %d, no checksum %d, malformed %d, too long %d", n, stats.Lines,
			stats.Rejected.Checksum, stats.Rejected.NoChecksum, stats.Rejected.Malformed, stats.Rejected.TooLong)
	}
	if stats.Epochs == 0 {
		if rejected != "" {
			rejected = "\n  " + rejected
		}
		if r := stats.Rejected; r.Bare() && stats.Sentences == 0 {
			return advised{fmt.Errorf("%d sentences without a checksum, and none with one, in %d lines", r.NoChecksum, stats.Lines), checksumNext}
		}
		return fmt.Errorf("no NMEA 0183 position sentence in %d lines: is this the receiver's text output ($GPRMC,…)? A log of a CAN bus is read by `obu decode can`%s", stats.Lines, rejected)
	}
	if rejected != "" {
		fmt.Fprintf(errw, "obu: warning: %s\n", rejected)
	}
	return nil
}

// appendFix writes one line in the shape of `obu decode nmea`.
func appendFix(b []byte, f *telemetry.Fix) []byte {
	b = append(b, `{"time":`...)
	if f.UTC.IsZero() {
		b = append(b, "null"...)
	} else {
		b = append(f.UTC.UTC().AppendFormat(append(b, '"'), "2006-01-02T15:04:05.000Z07:00"), '"')
	}
	for _, n := range [...]struct {
		key string
		v   float64
	}{{"lat", f.LatDeg}, {"lon", f.LonDeg}, {"alt", f.AltM}, {"speed", f.SpeedMPS}, {"course", f.CourseDeg}} {
		b = append(append(append(b, `,"`...), n.key...), `":`...)
		b = appendNumber(b, n.v)
	}
	b = appendField(b, "mode", f.Mode.String())
	b = append(b, `,"sats":`...)
	if f.Sats < 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, int64(f.Sats), 10)
	}
	b = append(b, `,"hdop":`...)
	b = appendNumber(b, f.HDOP)
	b = append(b, `,"valid":`...)
	b = strconv.AppendBool(b, f.Valid)
	if f.Doubt != 0 {
		reasons, _ := json.Marshal(f.Doubt.Strings())
		b = append(append(b, `,"doubt":`...), reasons...)
	}
	return append(appendDetail(b, f), "}\n"...)
}

// withFile opens FILE or standard input and buffers the output.
func withFile(cmd *command, name string, fn func(io.Reader, *bufio.Writer) error) error {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		if st, err := f.Stat(); err == nil && st.IsDir() {
			return usageError{fmt.Errorf("%s is a folder; name one file in it", name)}
		}
		in = f
	}
	size := 64 << 10
	if name == "-" {
		size = 1 // a pipe may be live: every line leaves at once
	}
	w := bufio.NewWriterSize(cmd.OutOrStdout(), size)
	err := fn(in, w)
	if flushErr := w.Flush(); err == nil {
		err = flushErr
	}
	return err
}
