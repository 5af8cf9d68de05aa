// Package dbc reads CAN databases (Vector DBC files, as of the file format's
// public descriptions) and decodes frames with them. Parse is tolerant: what
// it cannot read is left out and named with its line, the rest is used. Compile
// turns a file into tables of shifts and factors, once; Decode then costs some
// nanoseconds a signal and allocates nothing.
//
// A value is what the raw bits say: raw*factor+offset, never clamped to the
// [min|max] of the file, which Signal keeps for information; those of J1939
// that stand for no value are for the caller to tell apart (Signal.Absent).
// Signals beyond the received length are absent and counted. Units are the file's own words.
//
// A payload may be longer than 8 bytes: a CAN FD frame, or a transfer that
// somebody reassembled; this package knows no transport protocol. Messages of
// J1939 are matched by their PGN, all others by their identifier.
//
// It does no I/O, holds no state between calls and starts no goroutine: a
// Decoder may be used by several at once.
package dbc

import (
	"fmt"
	"sort"
	"time"

	"obu/telemetry"
)

// Bounds of one file. The largest public databases have some 20,000 signals
// in 5 MB; a file past these is refused, so that it cannot eat a unit's memory.
const (
	MaxFile     = 16 << 20 // bytes
	MaxMessages = 20_000
	MaxSignals  = 100_000
	MaxChoices  = 500_000 // entries of all value tables
	MaxSize     = 4095    // bytes of one message: the longest transfer of ISO 15765-2
	MaxBits     = 64      // of one signal

	maxRanges   = 100_000 // of SG_MUL_VAL_
	maxWarnings = 100     // kept; the rest is counted
	maxText     = 255     // bytes of a kept name, unit or value text
)

// File is what a database defines.
type File struct {
	Name     string
	Messages []*Message
	// Warnings name what was left out, at most maxWarnings of them; More
	// counts the rest.
	Warnings []Warning
	More     int
}

// Warning is one thing in a file that was left out or mended.
type Warning struct {
	File string
	Line int
	Text string // what is wrong, what was left out, what to do
}

// Error returns file, line and text: "car.dbc:12: …".
func (w Warning) Error() string { return fmt.Sprintf("%s:%d: %s", w.File, w.Line, w.Text) }

// Message is one BO_ of a file with its SG_ lines.
type Message struct {
	Name     string // long symbol, if the file has one
	ID       uint32 // 11 or 29 bits
	Extended bool
	// J1939: frames are matched by PGN; the source address, and of PDU1 the
	// destination, are ignored.
	J1939   bool
	FD      bool          // the file says that it travels in CAN FD frames
	Size    int           // bytes, as the file says
	Cycle   time.Duration // of sending, 0 when the file does not say
	Signals []*Signal

	steps []step // by Compile
	line  int
}

// Signal is one SG_ of a message.
type Signal struct {
	// Telemetry declares it: name Message.Signal, unit, kind, step. It is
	// complete after Compile.
	Telemetry telemetry.Signal

	Name      string // long symbol, if the file has one
	Unit      string
	Start     int // bit, as the file counts
	Length    int // bits, 1-64
	BigEndian bool
	Signed    bool
	Float     bool // IEEE 754, of 32 or 64 bits
	Min, Max  float64
	Choices   []Choice // sorted by value
	SPN       uint32   // of SAE J1939, 0 when the file does not say
	Number    int      // by Compile: counts the file's signals from 0

	factor, offset decimal
	target         *target // of a Name
	selector       bool    // others depend on it (M)
	multiplexed    bool    // it depends on another (m0)
	parent         string  // that selector's name; "" for the message's only one
	parentSignal   *Signal // and the selector
	ranges         []Range // values of it that bring this signal
	reserved       int64   // by Compile: raw values from this one on are none; 0: all are
	long           string  // long symbol, until the file is complete
	line           int
}

// Choice is one entry of a value table.
type Choice struct {
	Value int64 // raw
	Text  string
}

// Absent reports whether a raw value is none: in a message of J1939 the top of
// a number of whole bytes (from FB on) and of two bits stands for not available,
// for an error or for nothing yet (J1939-71). A raw value that the file names,
// or that its [min|max] ends among, is one.
func (s *Signal) Absent(raw int64) bool {
	return s.reserved > 0 && raw >= s.reserved && s.Text(raw) == ""
}

// Range is a span of a selector's raw values, both ends included.
type Range struct{ Low, High uint64 }

// Text returns what the file calls a raw value, "" when it has no name for it.
func (s *Signal) Text(raw int64) string {
	i := sort.Search(len(s.Choices), func(i int) bool { return s.Choices[i].Value >= raw })
	if i < len(s.Choices) && s.Choices[i].Value == raw {
		return s.Choices[i].Text
	}
	return ""
}

// PGN returns the parameter group of a 29-bit identifier of J1939.
func PGN(id uint32) uint32 {
	pgn := id >> 8 & 0x3FFFF
	if pgn>>8&0xFF < 240 { // PDU1: the low byte is the destination
		pgn &^= 0xFF
	}
	return pgn
}
