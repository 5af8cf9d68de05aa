// Package uds reads and writes what ISO 14229-1 (UDS) has for reading:
// service 22 ReadDataByIdentifier and service 19 ReadDTCInformation with the
// trouble codes of a status mask (02), their snapshots (04) and extended data
// (06). Requests are built, reassembled answers are read; what the bytes of a
// DID mean comes from a Table made of the configuration.
//
// It knows neither CAN identifiers nor time, sends nothing and starts no
// goroutine. It has no request that opens a session (10), unlocks (27), keeps
// a tester present (3E), clears or writes: an ECU that wants one of these
// first is left alone, see Advice.
//
// Trouble codes are SAE J2012-DA's: two bytes as OBD has them and the failure
// type, "P0301-00". Values have the unit of their signal.
package uds

import (
	"errors"

	"obu/telemetry"
)

// Services and what marks their positive answers.
const (
	ServiceDTC  = 0x19 // ReadDTCInformation
	ServiceData = 0x22 // ReadDataByIdentifier

	PositiveOffset = 0x40
)

// Sub-functions of ServiceDTC.
const (
	ByMask       = 0x02 // reportDTCByStatusMask
	Snapshot     = 0x04 // reportDTCSnapshotRecordByDTCNumber
	ExtendedData = 0x06 // reportDTCExtDataRecordByDTCNumber

	allRecords = 0xFF
)

// Errors of reading an answer. They are counted by callers, never fatal.
var (
	// ErrShort: the answer ends before its last byte, or the configuration says
	// that a DID is longer than it is in this car: correct its length.
	ErrShort = errors.New("answer is too short")
	// ErrAnswer: no positive answer of a service, or of a sub-function of service
	// 19, that this package reads.
	ErrAnswer = errors.New("no answer of service 22, or of 19 with the sub-functions 02, 04 and 06, which are read")
	// ErrUnknown: the answer is about a DID that the table does not have.
	ErrUnknown = errors.New("DID is not in the configuration")
)

// The signals of trouble codes and of what has no name.
var (
	SignalCodes    = &telemetry.Signal{Name: "Vehicle.Obu.UDS.DTCList", Kind: telemetry.KindText, Level: telemetry.LevelObu}
	SignalAppeared = &telemetry.Signal{Name: "Vehicle.Obu.UDS.DTCAppeared", Kind: telemetry.KindText, Level: telemetry.LevelObu}
	SignalCleared  = &telemetry.Signal{Name: "Vehicle.Obu.UDS.DTCCleared", Kind: telemetry.KindText, Level: telemetry.LevelObu}
	SignalStatus   = &telemetry.Signal{Name: "Vehicle.Obu.UDS.DTCStatus", Kind: telemetry.KindText, Level: telemetry.LevelObu}
	SignalRest     = &telemetry.Signal{Name: "Vehicle.Obu.UDS.SnapshotRest", Kind: telemetry.KindBytes, Level: telemetry.LevelObu}
	SignalExtended = &telemetry.Signal{Name: "Vehicle.Obu.UDS.ExtendedData", Kind: telemetry.KindBytes, Level: telemetry.LevelObu}
)

// Raw returns the signal of a DID that nobody explains: its bytes.
func Raw(did uint16) *telemetry.Signal {
	return &telemetry.Signal{Name: "Vehicle.Obu.UDS.DID" + Hex(uint32(did), 4), Kind: telemetry.KindBytes, Level: telemetry.LevelObu}
}

// RequestData is a request for some DIDs.
func RequestData(dids ...uint16) []byte {
	b := []byte{ServiceData}
	for _, d := range dids {
		b = append(b, byte(d>>8), byte(d))
	}
	return b
}

// RequestCodes is a request for the trouble codes with one of the status bits.
func RequestCodes(mask byte) []byte { return []byte{ServiceDTC, ByMask, mask} }

// RequestRecords is a request for all records of a trouble code: Snapshot or
// ExtendedData.
func RequestRecords(sub byte, code uint32) []byte {
	return []byte{ServiceDTC, sub, byte(code >> 16), byte(code >> 8), byte(code), allRecords}
}

// Answers reports whether a payload, or its first six bytes, is the positive
// answer to a request.
func Answers(request, payload []byte) bool {
	if len(request) < 3 || len(payload) < 3 || payload[0] != request[0]+PositiveOffset {
		return false
	}
	if request[0] == ServiceData {
		for i := 1; i+1 < len(request); i += 2 {
			if request[i] == payload[1] && request[i+1] == payload[2] {
				return true
			}
		}
		return false
	}
	if request[1] != payload[1] {
		return false
	}
	return request[1] == ByMask || len(payload) >= 5 && string(request[2:5]) == string(payload[2:5])
}

const upperHex = "0123456789ABCDEF"

// Hex writes a number with so many hexadecimal digits.
func Hex(n uint32, digits int) string {
	b := make([]byte, digits)
	for i := range b {
		b[i] = upperHex[n>>(4*(digits-1-i))&15]
	}
	return string(b)
}
