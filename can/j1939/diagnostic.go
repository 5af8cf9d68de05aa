package j1939

import (
	"errors"
	"fmt"
)

// MaxCodes is how many trouble codes one DM1 or DM2 can hold: 1785 bytes, two of
// lamps and four a code.
const MaxCodes = (MaxLength - 2) / 4

// Lamp is the state of one warning lamp (J1939-73 clause 5.7.1: SPN 987, 624,
// 623, 1213).
type Lamp uint8

// States of a lamp. A slow flash is 1 Hz, a fast one 2 Hz or more.
const (
	LampOff Lamp = iota
	LampOn
	LampSlowFlash
	LampFastFlash
	LampUnknown // reserved, or not available
)

var lampNames = [...]string{"off", "on", "slow-flash", "fast-flash", "unknown"}

// String returns the state in one word.
func (l Lamp) String() string {
	if int(l) < len(lampNames) {
		return lampNames[l]
	}
	return fmt.Sprintf("lamp-%d", uint8(l))
}

// Lamps are the four lamps of a DM1 or DM2.
type Lamps struct {
	Protect Lamp // SPN 987: engine protect
	Amber   Lamp // SPN 624: amber warning
	Red     Lamp // SPN 623: red stop
	MIL     Lamp // SPN 1213: malfunction indicator
}

// OccurrenceUnknown is the occurrence count of a code that has none.
const OccurrenceUnknown = 127

// Code is one diagnostic trouble code (J1939-73 clause 5.7.1.7 to 5.7.1.11).
type Code struct {
	SPN        uint32 // 19 bits, read by conversion method 4; see Legacy
	FMI        uint8  // 5 bits
	Occurrence uint8  // 0-126, or OccurrenceUnknown
	// Legacy says that the conversion method bit is set: the bits of SPN stand
	// in one of three older orders, and the message does not say in which.
	Legacy bool
}

// String returns "SPN 190 FMI 2", with the mark "legacy" where the SPN cannot be
// known.
func (c Code) String() string {
	s := fmt.Sprintf("SPN %d FMI %d", c.SPN, c.FMI)
	if c.Legacy {
		s += " legacy"
	}
	return s
}

// ErrShort: a message is shorter than its group needs.
var ErrShort = errors.New("message is too short")

// ParseDM reads a DM1 or DM2: lamps, and the trouble codes appended to codes. A
// message without any code ("no faults") is SPN 0, FMI 0.
func ParseDM(codes []Code, p []byte) (Lamps, []Code, error) {
	if len(p) < 2 {
		return Lamps{}, codes, fmt.Errorf("read trouble codes of %d bytes: %w", len(p), ErrShort)
	}
	l := Lamps{lamp(p, 0), lamp(p, 2), lamp(p, 4), lamp(p, 6)}
	for d := p[2:]; len(d) >= 4; d = d[4:] {
		c := Code{
			SPN: uint32(d[0]) | uint32(d[1])<<8 | uint32(d[2]>>5)<<16, FMI: d[2] & 0x1F,
			Occurrence: d[3] & 0x7F, Legacy: d[3]&0x80 != 0,
		}
		if c.SPN == 0 && c.FMI == 0 || c.SPN == 0x7FFFF && c.FMI == 0x1F {
			continue // none, or filled up
		}
		codes = append(codes, c)
	}
	return l, codes, nil
}

// lamp reads the two bits of status and, beside them, of flashing.
func lamp(p []byte, shift uint) Lamp {
	status, flash := p[0]>>shift&3, p[1]>>shift&3
	switch {
	case status == 0:
		return LampOff
	case status != 1:
		return LampUnknown
	case flash == 0:
		return LampSlowFlash
	case flash == 1:
		return LampFastFlash
	}
	return LampOn
}
