// Package canlog reads recordings of CAN buses: logs of text lines by candump
// and other programs, known by their content. It repairs nothing: a line that
// cannot be read is told with its number, and the rest goes on. Playing one at
// its pace, and what the frames mean, is for package can. There is no goroutine;
// memory does not grow with a log.
package canlog

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"obu/can/frame"
)

// maxLine bounds one line of a log. The longest legal one, CAN FD with 64
// bytes in Vector's ASC, has about 400 characters.
const maxLine = 4096

// Entry is one frame of a log. Frame.At is not set: the log's own time is
// Stamp. Logs that number their buses have them as "can" and the number.
type Entry struct {
	frame.Frame
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

// Errors of a log.
var (
	// ErrLine: not a line of the log's format, or of any that is known.
	ErrLine = errors.New("not a line of a CAN log")
	// ErrLongLine: no line break for 4,096 bytes.
	ErrLongLine = errors.New("line is too long")
	// ErrCut: the file ends in the middle of a line or of its compressed data.
	ErrCut = errors.New("log is cut short")
	// ErrDamaged: the compressed data is not what was written, and some of what
	// was read before may be wrong too. Copy the file again.
	ErrDamaged = errors.New("compressed log is damaged")
	// ErrNotText: the file is a recording in a format that is not read, most of
	// them no text. Convert it to ASC or candump's format first.
	ErrNotText = errors.New("a recording in a format that is not read here")
	// ErrPacked: the file is compressed with something else than gzip. Unpack it.
	ErrPacked = errors.New("compressed with something else than gzip")
	// ErrEncoding: the file is text of another encoding. Save it again as UTF-8.
	ErrEncoding = errors.New("text in UTF-16")
)

// Reader reads logs of text lines, plain or compressed with gzip: candump
// ("-l", "-L" and what it prints), Vector ASC, PEAK TRC 1.0 to 2.1, CRTD, and
// the exports of SavvyCAN (GVRET and generic CSV, BusMaster, Microchip). What
// it is shows in its first lines. It reads as it goes: memory does not grow
// with the log.
type Reader struct {
	src    io.Reader
	r      *bufio.Reader
	line   int
	ifaces map[string]string
	end    error
	head   logHead
	entry  Entry    // of the present line,
	words  [][]byte // and its words
}

// logHead is what the head of a log says about the lines behind it.
type logHead struct {
	format   *logFormat // nil: no line has told yet
	columns  string     // one letter each, see trcColumns
	start    Stamp      // what the times of the log count from
	begun    bool       // a frame was read: the head is over
	fixed    bool       // start is the trigger's
	relative bool       // times count from the line before, which was at
	last     int64
	decimal  bool // base of identifiers and data
}

// logFormat is one kind of log.
type logFormat struct {
	prefix string                 // what its first line begins with,
	begins func(line []byte) bool // or looks like
	// read reads a line into e. It is false for lines that hold no frame.
	read func(l *Reader, e *Entry, line []byte) (bool, error)

	columns string // of a table; others tell their own
	sep     byte   // between them
	shift   int    // decimals its times are less than seconds: 3 in ms, 6 in µs
}

// logFormats are all of them; the first that a line begins is it.
var logFormats = [...]logFormat{
	{begins: beginsCandump, read: (*Reader).readCandump},
	{prefix: "date ", read: (*Reader).readASC},
	{prefix: "base ", read: (*Reader).readASC},
	{prefix: ";$", read: (*Reader).readTRC, sep: ' ', shift: 3},
	{prefix: ";##", read: (*Reader).readTRC, sep: ' ', shift: 3},                                              // 1.0
	{prefix: "Time Stamp,ID,Extended,Dir", read: (*Reader).readTable, columns: "OiE-BlD", sep: ',', shift: 6}, // SavvyCAN
	{prefix: "Time Stamp,ID,Extended", read: (*Reader).readTable, columns: "OiEBlD", sep: ',', shift: 6},
	{prefix: "ID,Data Bytes", read: (*Reader).readTable, columns: "iD", sep: ','}, // without times
	{prefix: "Microchip Technology", read: (*Reader).readTable, columns: "O-ilD", sep: ';', shift: 3},
	{prefix: "***BUSMASTER", read: (*Reader).readBusMaster, sep: ' '},
	{begins: beginsCRTD, read: (*Reader).readTable, columns: "OKkD", sep: ' '},
}

// begins is bytes.HasPrefix for either case.
//
//go:noinline
func begins(line []byte, with string) bool {
	return len(line) >= len(with) && strings.EqualFold(string(line[:len(with)]), with)
}

// MaxInterfaces bounds the interface names kept from a log.
const MaxInterfaces = 64

// MostDisorder is how far the time of a line may lie before the one above it
// where several interfaces share a log; further back the logger's clock was set.
const MostDisorder = time.Second

// NewReader returns a reader of the log in r.
func NewReader(r io.Reader) *Reader {
	return &Reader{src: r, ifaces: make(map[string]string)}
}

// Next returns the next frame, a *LineError for a line that cannot be read
// (call Next again), io.EOF at the end, or the error of the source.
func (l *Reader) Next() (Entry, error) {
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
		if l.line == 1 {
			text = bytes.TrimPrefix(text, []byte("\uFEFF"))
		}
		if len(text) == 0 {
			continue
		}
		l.entry = Entry{}
		found, perr := l.read(&l.entry, text)
		if perr != nil {
			if cut {
				perr = fmt.Errorf("%w (%w)", ErrCut, perr)
			}
			return Entry{}, &LineError{l.line, perr}
		}
		if found {
			l.head.begun = true
			l.entry.Line = l.line
			return l.entry, nil
		}
	}
}

// read reads one line, and finds out of what format it is as long as none is
// known.
func (l *Reader) read(e *Entry, line []byte) (bool, error) {
	if l.head.format == nil {
		for i := range logFormats {
			f := &logFormats[i]
			if f.prefix != "" && begins(line, f.prefix) || f.begins != nil && f.begins(line) {
				l.head.format = f
				break
			}
		}
		if l.head.format == nil {
			if begins(line, "//") { // above the head of a log
				return false, nil
			}
			return false, ErrLine
		}
	}
	return l.head.format.read(l, e, line)
}

// notText are the first bytes of recordings that are no text.
var notText = [...]struct {
	begins, what string
	err          error
}{
	{"LOGG", "a Vector BLF recording", ErrNotText},
	{"MDF ", "an ASAM MDF recording", ErrNotText},
	{"\xD4\xC3\xB2\xA1", "a pcap capture", ErrNotText},
	{"\x4D\x3C\xB2\xA1", "a pcap capture", ErrNotText},
	{"\x0A\x0D\x0D\x0A", "a pcapng capture", ErrNotText},
	{"@ TE", "a trace of CarBusAnalyzer", ErrNotText},
	{"PK\x03\x04", "a zip archive", ErrPacked},
	{"BZh", "bzip2", ErrPacked},
	{"\xFD7zX", "xz", ErrPacked},
	{"\x28\xB5\x2F\xFD", "zstd", ErrPacked},
	{"\xFF\xFE", "as Windows programs save it", ErrEncoding},
	{"\xFE\xFF", "with the high byte first", ErrEncoding},
}

// start looks whether the log is compressed, and whether it is one.
func (l *Reader) start() error {
	br := bufio.NewReaderSize(l.src, maxLine)
	if magic, _ := br.Peek(2); len(magic) == 2 && magic[0] == 0x1F && magic[1] == 0x8B {
		z, err := gzip.NewReader(br)
		if err != nil {
			return err
		}
		br = bufio.NewReaderSize(z, maxLine)
	}
	magic, _ := br.Peek(4)
	if err := Foreign(magic); err != nil {
		return err
	}
	l.r = br
	return nil
}

// Foreign tells from the first four bytes of a recording that it is no text, or
// none that can be read as it is: ErrNotText, ErrPacked, ErrEncoding; else nil.
func Foreign(begins []byte) error {
	for _, kind := range notText {
		if strings.HasPrefix(string(begins), kind.begins) {
			return fmt.Errorf("%w: %s", kind.err, kind.what)
		}
	}
	return nil
}

// fail ends the log. Compressed data that stops early is the log's own fault:
// one LineError, then io.EOF.
func (l *Reader) fail(err error) error {
	l.end = err
	if err == io.EOF {
		return err
	}
	why, corrupt := "", flate.CorruptInputError(0)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		l.end = io.EOF
		return &LineError{max(l.line, 1), fmt.Errorf("%w: %w: its end is missing", ErrDamaged, ErrCut)}
	case errors.Is(err, gzip.ErrChecksum):
		why = "the checksum at its end is wrong"
	case errors.Is(err, gzip.ErrHeader):
		why = "what follows is no gzip"
	case errors.As(err, &corrupt):
		why = "what follows cannot be unpacked"
	}
	if why != "" {
		l.end = io.EOF
		return &LineError{max(l.line, 1), fmt.Errorf("%w: %s", ErrDamaged, why)}
	}
	l.end = fmt.Errorf("read log: %w", err)
	return l.end
}

func (l *Reader) skipLine() error {
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
