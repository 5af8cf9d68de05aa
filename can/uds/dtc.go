package uds

import (
	"strings"

	"obu/can/obd"
)

// DTC is a trouble code with the byte of its status.
type DTC struct {
	Code   uint32 // 24 bits: two bytes as OBD has them, and the failure type
	Status byte
}

// Bits of a status.
const (
	TestFailed = 0x01
	Confirmed  = 0x08
)

// String returns the code as SAE J2012-DA writes it: "P0301-00".
func (d DTC) String() string {
	return obd.FormatDTC(uint16(d.Code>>8)) + "-" + Hex(d.Code&0xFF, 2)
}

// statusNames are the bits of a status from the lowest on (ISO 14229-1 annex D).
var statusNames = [...]string{"testFailed", "testFailedThisOperationCycle", "pendingDTC", "confirmedDTC",
	"testNotCompletedSinceLastClear", "testFailedSinceLastClear", "testNotCompletedThisOperationCycle", "warningIndicatorRequested"}

// StatusText names the bits of a status: "testFailed+confirmedDTC", "" for none.
func StatusText(status byte) string {
	var on []string
	for i, name := range statusNames {
		if status&(1<<i) != 0 {
			on = append(on, name)
		}
	}
	return strings.Join(on, "+")
}

// ParseCodes appends the trouble codes of an answer 59 02 to dst. mask is which
// status bits the ECU has.
func ParseCodes(dst []DTC, payload []byte) (mask byte, list []DTC, err error) {
	switch {
	case len(payload) < 2 || payload[0] != ServiceDTC+PositiveOffset || payload[1] != ByMask:
		return 0, dst, ErrAnswer
	case len(payload) < 3 || len(payload)%4 != 3:
		return 0, dst, ErrShort
	}
	for b := payload[3:]; len(b) > 0; b = b[4:] {
		if code := code24(b); code != 0 { // 000000: filler of some ECUs
			dst = append(dst, DTC{code, b[3]})
		}
	}
	return payload[2], dst, nil
}

func code24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }

// Item is one DID in a snapshot.
type Item struct {
	Record byte
	DID    uint16
	Data   []byte
}

// ParseRecords reads an answer 59 04 or 59 06: the code and what follows it.
func ParseRecords(payload []byte) (sub byte, d DTC, records []byte, err error) {
	switch {
	case len(payload) < 2 || payload[0] != ServiceDTC+PositiveOffset || payload[1] != Snapshot && payload[1] != ExtendedData:
		return 0, DTC{}, nil, ErrAnswer
	case len(payload) < 6:
		return payload[1], DTC{}, nil, ErrShort
	}
	return payload[1], DTC{code24(payload[2:]), payload[5]}, payload[6:], nil
}

// ParseSnapshot takes the records of a snapshot apart: number of the record,
// how many DIDs, each with its data. An answer does not say how long these are,
// length does: 0 of one that it does not know. From there on nobody can tell
// where what begins, and rest is what was not read; the items before it are
// right only if every length is.
func ParseSnapshot(dst []Item, records []byte, length func(did uint16) int) (items []Item, rest []byte) {
	for len(records) > 0 {
		if len(records) < 2 || records[1] == 0 { // 0: more than 255, or unknown
			return dst, records
		}
		b := records[2:]
		for i := range int(records[1]) {
			n := 0
			if len(b) >= 2 {
				n = length(uint16(b[0])<<8 | uint16(b[1]))
			}
			switch {
			case n > 0 && len(b) >= 2+n:
			case i == 0:
				return dst, records
			default:
				return dst, b
			}
			dst = append(dst, Item{records[0], uint16(b[0])<<8 | uint16(b[1]), b[2 : 2+n]})
			b = b[2+n:]
		}
		records = b
	}
	return dst, nil
}
