package uds

import (
	"fmt"

	"obu/can/dbc"
	"obu/telemetry"
)

// Kind is what the bits of a Signal are.
type Kind uint8

// The kinds of a Signal.
const (
	Number Kind = iota // a whole number, signed or not, scaled
	Float              // IEEE 754, of 32 or 64 bits, scaled
	Text               // characters, filled up with zeros or blanks
	Bytes              // as they are
	Bits               // digits 0 and 1, the highest bit first
)

// Signal is one quantity in the data of a DID.
type Signal struct {
	Name, Unit string
	Kind       Kind
	// Byte is where it begins, counted from 0 behind the DID. Bit is, of a number,
	// its highest bit in that byte (7 is the byte's highest), with Little its
	// lowest one.
	Byte, Bit int
	Bits      int // 0 of Text and Bytes: to the end
	Little    bool
	Signed    bool
	Scale     string // decimals; "" is 1
	Offset    string // "" is 0
}

// DID is what the data of an identifier means.
type DID struct {
	ID      uint16
	Length  int // bytes of data; 0: not known
	Signals []Signal
}

// Reading is one value of an answer.
type Reading struct {
	Signal  *telemetry.Signal
	Value   telemetry.Value
	Quality telemetry.Quality
}

// Table explains the DIDs of one ECU. It is never changed: several goroutines
// may use it at once.
type Table struct {
	dids    map[uint16]*did
	numbers *dbc.Decoder // a message for each DID, whose identifier it is
}

type did struct {
	DID
	message *dbc.Message
	targets []*telemetry.Signal // of the message's signals
	others  []field
	raw     *telemetry.Signal // of a DID without signals
	needs   int               // bytes that reach all signals
}

// field is a Signal that is no number.
type field struct {
	Signal
	target *telemetry.Signal
}

// MaxLength is the most data a DID can have: what one transfer holds.
const MaxLength = dbc.MaxSize - 3

// Compile makes a table. An error says which signal is wrong and what to do.
func Compile(all []DID) (*Table, error) {
	t := &Table{dids: make(map[uint16]*did, len(all))}
	file := &dbc.File{}
	for _, d := range all {
		if t.dids[d.ID] != nil {
			return nil, fmt.Errorf("DID %s stands there twice: keep one", Hex(uint32(d.ID), 4))
		}
		c := &did{DID: d, message: &dbc.Message{ID: uint32(d.ID), Extended: true, Size: d.Length}}
		if len(d.Signals) == 0 {
			c.raw = Raw(d.ID)
		}
		for i := range d.Signals {
			if err := c.add(&d.Signals[i]); err != nil {
				return nil, fmt.Errorf("DID %s, signal %s: %w", Hex(uint32(d.ID), 4), d.Signals[i].Name, err)
			}
		}
		t.dids[d.ID] = c
		file.Messages = append(file.Messages, c.message)
	}
	t.numbers = dbc.Compile(file)
	for _, c := range t.dids {
		for i, s := range c.message.Signals {
			if err := c.name(i, s); err != nil {
				return nil, fmt.Errorf("DID %s, signal %s: %w", Hex(uint32(c.ID), 4), c.targets[i].Name, err)
			}
		}
	}
	return t, nil
}

// add takes one signal of the configuration.
func (c *did) add(s *Signal) error {
	target, err := targetOf(s)
	if err != nil {
		return err
	}
	end := s.Byte*8 + s.Bits
	if s.Kind <= Float {
		first := s.Byte*8 + s.Bit // Little: up from there
		if !s.Little {
			first = s.Byte*8 + 7 - s.Bit
		}
		end = first + s.Bits
	}
	if end = (end + 7) / 8; c.Length > 0 && end > c.Length || end > MaxLength {
		return fmt.Errorf("it ends in byte %d of %d: correct byte, bits or the DID's length", end, max(c.Length, 0))
	}
	c.needs = max(c.needs, end)
	if s.Kind > Float {
		c.others = append(c.others, field{*s, target})
		return nil
	}
	if s.Bits < 1 || s.Bits > dbc.MaxBits || s.Kind == Float && s.Bits != 32 && s.Bits != 64 {
		return fmt.Errorf("a number has 1 to 64 bits, one of type float 32 or 64, not %d: correct bytes or bits", s.Bits)
	}
	d := &dbc.Signal{Name: s.Name, Unit: target.Unit, Start: s.Byte*8 + s.Bit, Length: s.Bits, BigEndian: !s.Little, Signed: s.Signed, Float: s.Kind == Float}
	if err := d.SetScale(s.Scale, s.Offset); err != nil {
		return err
	}
	c.message.Signals = append(c.message.Signals, d)
	c.targets = append(c.targets, target)
	return nil
}

// targetOf returns the signal a value is told as: one of the vocabulary, or a new
// one.
func targetOf(s *Signal) (*telemetry.Signal, error) {
	known, ok := telemetry.Lookup(s.Name)
	if !ok {
		kind := telemetry.KindText
		if s.Kind == Bytes {
			kind = telemetry.KindBytes
		}
		unit := s.Unit
		if core, ok := telemetry.Declared(s.Name); ok && (unit == "" || telemetry.UnitName(unit) == core.Unit) {
			unit = core.Unit
		}
		return &telemetry.Signal{Name: s.Name, Unit: unit, Kind: kind, Level: telemetry.LevelDynamic}, nil
	}
	number := known.Kind == telemetry.KindFloat || known.Kind == telemetry.KindInt || known.Kind == telemetry.KindBool
	switch {
	case s.Unit != "" && s.Unit != known.Unit:
		return nil, fmt.Errorf("it has the unit %q, not %q: convert with scale and offset, or choose another name", known.Unit, s.Unit)
	case number != (s.Kind <= Float):
		return nil, fmt.Errorf("its values are of type %s: correct type, or choose another name", known.Kind)
	}
	return known, nil
}

// name gives a number the signal it is told as, once its step is known.
func (c *did) name(i int, s *dbc.Signal) error {
	target := c.targets[i]
	switch {
	case target.Level == telemetry.LevelDynamic:
		own := s.Telemetry
		own.Name = target.Name
		c.targets[i] = &own
	case target.Kind == telemetry.KindInt && s.Telemetry.Kind != telemetry.KindInt:
		return fmt.Errorf("its values are whole numbers and the scale makes fractions: choose another name")
	}
	return nil
}

// Length returns how many bytes of data a DID has, 0 when that is not known.
func (t *Table) Length(did uint16) int {
	if c := t.dids[did]; c != nil {
		return c.Length
	}
	return 0
}

// IsRaw reports whether nobody has said what the bytes of a DID mean.
func (t *Table) IsRaw(did uint16) bool { return t.dids[did] != nil && t.dids[did].raw != nil }

// Signals calls yield for each signal of a DID.
func (t *Table) Signals(did uint16, yield func(*telemetry.Signal)) {
	c := t.dids[did]
	if c == nil {
		return
	}
	for _, s := range c.targets {
		yield(s)
	}
	for i := range c.others {
		yield(c.others[i].target)
	}
	if c.raw != nil {
		yield(c.raw)
	}
}
