package can

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line of a candump log. The longest legal one, CAN FD
// with 64 bytes, has about 170 characters.
const maxLine = 4096

// Entry is one line of a candump log. Frame.At is not set: the log's own
// time is Stamp.
type Entry struct {
	Frame
	Stamp     Stamp
	Interface string
	Line      int
}

// LineError is a line of a log that could not be read, or the end of a log
// that was cut. The rest of the log goes on behind it.
type LineError struct {
	Line int
	Err  error
}

// Error says the line and what is wrong with it.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong.
func (e *LineError) Unwrap() error { return e.Err }

// Errors of a LineError.
var (
	// ErrLine: not "(time) interface ID#DATA".
	ErrLine = errors.New("not a candump line")
	// ErrLongLine: no line break for 4,096 bytes.
	ErrLongLine = errors.New("line is too long")
	// ErrCut: the file ends in the middle of a line or of its compressed data.
	ErrCut = errors.New("log is cut short")
)

// LogReader reads candump logs ("candump -L", "-l"), plain or compressed with
// gzip. It reads as it goes: memory does not grow with the log.
type LogReader struct {
	src    io.Reader
	r      *bufio.Reader
	line   int
	ifaces map[string]string
	end    error
}

// maxInterfaces bounds the interface names kept from a log.
const maxInterfaces = 64

// ReadLog returns a reader of the log in r.
func ReadLog(r io.Reader) *LogReader {
	return &LogReader{src: r, ifaces: make(map[string]string)}
}

// Next returns the next frame, a *LineError for a line that cannot be read
// (call Next again), io.EOF at the end, or the error of the source.
func (l *LogReader) Next() (Entry, error) {
	if l.end != nil {
		return Entry{}, l.end
	}
	if l.r == nil {
		if err := l.start(); err != nil {
			return Entry{}, l.fail(err)
		}
	}
	for {
		text, err := l.r.ReadSlice('\n')
		l.line++
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return Entry{}, l.skipLine()
		case err == io.EOF && len(text) == 0:
			return Entry{}, l.fail(io.EOF)
		case err != nil && err != io.EOF:
			return Entry{}, l.fail(err)
		}
		cut := err == io.EOF
		text = bytes.TrimRight(text, "\r\n \t")
		if len(text) == 0 {
			continue
		}
		var e Entry
		if perr := l.parse(&e, text); perr != nil {
			if cut {
				perr = fmt.Errorf("%w (%w)", ErrCut, perr)
			}
			return Entry{}, &LineError{l.line, perr}
		}
		e.Line = l.line
		return e, nil
	}
}

// start looks whether the log is compressed.
func (l *LogReader) start() error {
	br := bufio.NewReaderSize(l.src, maxLine)
	if magic, _ := br.Peek(2); len(magic) == 2 && magic[0] == 0x1F && magic[1] == 0x8B {
		z, err := gzip.NewReader(br)
		if err != nil {
			return err
		}
		br = bufio.NewReaderSize(z, maxLine)
	}
	l.r = br
	return nil
}

// fail ends the log. Compressed data that stops early is the log's own fault:
// one LineError, then io.EOF.
func (l *LogReader) fail(err error) error {
	l.end = err
	if err == io.EOF {
		return err
	}
	var corrupt flate.CorruptInputError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, gzip.ErrHeader) || errors.As(err, &corrupt) {
		l.end = io.EOF
		return &LineError{max(l.line, 1), fmt.Errorf("%w (%w)", ErrCut, err)}
	}
	l.end = fmt.Errorf("read log: %w", err)
	return l.end
}

func (l *LogReader) skipLine() error {
	for {
		_, err := l.r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && err != io.EOF {
			return l.fail(err)
		}
		return &LineError{l.line, ErrLongLine}
	}
}

// parse reads "(1725695599.863200) can0 7E8#03410D4A" with an optional
// direction flag behind it.
func (l *LogReader) parse(e *Entry, s []byte) error {
	end := bytes.IndexByte(s, ')')
	if s[0] != '(' || end < 0 {
		return ErrLine
	}
	stamp, ok := parseStamp(bytes.TrimSpace(s[1:end]))
	if !ok {
		return fmt.Errorf("%w: time %q", ErrLine, clip(s[1:end]))
	}
	e.Stamp = stamp
	iface, rest := word(s[end+1:])
	frame, rest := word(rest)
	if len(iface) == 0 || len(frame) == 0 || len(rest) > 0 && string(rest) != "R" && string(rest) != "T" {
		return ErrLine
	}
	if !parseText(&e.Frame, frame) {
		return fmt.Errorf("%w: frame %q", ErrLine, clip(frame))
	}
	e.Interface = l.name(iface)
	return nil
}

// name keeps one string for each interface.
func (l *LogReader) name(b []byte) string {
	if s, ok := l.ifaces[string(b)]; ok {
		return s
	}
	s := string(clip(b))
	if len(l.ifaces) < maxInterfaces {
		l.ifaces[s] = s
	}
	return s
}

// clip bounds what of the input is repeated in messages and names.
func clip(b []byte) []byte { return b[:min(len(b), 40)] }

// word returns the first word of s and what is behind it.
func word(s []byte) (w, rest []byte) {
	s = bytes.TrimLeft(s, " \t")
	if i := bytes.IndexAny(s, " \t"); i >= 0 {
		return s[:i], bytes.TrimLeft(s[i:], " \t")
	}
	return s, nil
}

// parseText reads a frame as candump prints it: ID#DATA, ID#R[length],
// ID##<flags>DATA for CAN FD, an error frame with its flag in the identifier.
// What it accepts passes Validate.
func parseText(f *Frame, s []byte) bool {
	hash := bytes.IndexByte(s, '#')
	if hash != 3 && hash != 8 {
		return false
	}
	var id uint32
	for _, c := range s[:hash] {
		d := unhex[c]
		if d > 0xF {
			return false
		}
		id = id<<4 | uint32(d)
	}
	f.Extended = hash == 8
	if f.Extended && id&flagError != 0 {
		f.Error, f.Extended, id = true, false, id&^flagError
	}
	f.ID = id
	data := s[hash+1:]
	switch {
	case len(data) > 0 && data[0] == '#':
		if len(data) < 2 || unhex[data[1]] > 0xF {
			return false
		}
		f.FD, data = true, data[2:]
	case len(data) > 0 && data[0] == 'R':
		f.Remote = true
		if len(data) > 2 || len(data) == 2 && (data[1] < '0' || data[1] > '8') {
			return false
		}
		if len(data) == 2 {
			f.Len = data[1] - '0'
		}
		return f.Validate() == nil
	}
	if len(data)%2 != 0 || len(data) > 2*len(f.Data) {
		return false
	}
	for i := 0; i < len(data); i += 2 {
		hi, lo := unhex[data[i]], unhex[data[i+1]]
		if hi|lo > 0xF {
			return false
		}
		f.Data[i/2] = hi<<4 | lo
	}
	f.Len = uint8(len(data) / 2)
	return f.Validate() == nil
}

// unhex is the value of a hexadecimal digit, or 0xFF.
var unhex = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xFF
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()
