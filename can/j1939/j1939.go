// Package j1939 reads what a J1939 network says to anybody: identifiers as
// priority, PGN and addresses (SAE J1939-21 clause 5), messages that travel in
// several packets (5.10: TP.BAM, and RTS/CTS sessions of others, overheard),
// who claimed which address (J1939-81), which diagnostic trouble codes and
// lamps are active (J1939-73: DM1, DM2), and the values of the FMS-Standard and
// its neighbours (J1939-71), under the names and in the units of rows.
//
// It sends nothing. Times are of the frames; sizes are bytes, at most
// MaxLength a message. What a network can make it keep is bounded: MaxSessions
// transfers, 256 addresses, MaxCodes trouble codes a source.
package j1939

import "fmt"

// Addresses with a meaning of their own (J1939-21 clause 5.2).
const (
	AddressNull   = 0xFE // a node without an address
	AddressGlobal = 0xFF // everybody
)

// PGNs this package knows by number (J1939-21, -71, -73, -81).
const (
	PGNRequest     PGN = 0x0EA00 // 59904: asks for another PGN
	PGNTransport   PGN = 0x0EB00 // 60160: TP.DT, data transfer
	PGNConnect     PGN = 0x0EC00 // 60416: TP.CM, connection management
	PGNClaim       PGN = 0x0EE00 // 60928: address claimed
	PGNECUID       PGN = 0x0FDC5 // 64965: part number and serial number of an ECU
	PGNSoftwareID  PGN = 0x0FEDA // 65242: software identification
	PGNDM1         PGN = 0x0FECA // 65226: active trouble codes
	PGNDM2         PGN = 0x0FECB // 65227: previously active trouble codes
	PGNComponentID PGN = 0x0FEEB // 65259: make, model, serial number of a component
	PGNVehicleID   PGN = 0x0FEEC // 65260: vehicle identification
)

// PGN is a parameter group number: 18 bits (J1939-21 clause 5.1.2).
type PGN uint32

// String returns the number in decimal, as the standard's tables print it.
func (p PGN) String() string { return fmt.Sprint(uint32(p)) }

// pdu1 reports whether a group is sent to one address: its PDU format is below 240.
func (p PGN) pdu1() bool { return p>>8&0xFF < 240 }

// ID is a 29-bit identifier taken apart.
type ID struct {
	Priority    uint8 // 0 is the highest, 7 the lowest
	PGN         PGN
	Source      uint8
	Destination uint8 // AddressGlobal for a PDU2 group
}

// Parse takes a 29-bit identifier apart (J1939-21 clause 5.2).
func Parse(id uint32) ID {
	out := ID{Priority: uint8(id >> 26 & 7), PGN: PGN(id >> 8 & 0x3FFFF), Source: uint8(id), Destination: AddressGlobal}
	if out.PGN.pdu1() {
		out.Destination = uint8(out.PGN)
		out.PGN &^= 0xFF
	}
	return out
}

// Identifier is the inverse of Parse.
func (id ID) Identifier() uint32 {
	pgn := uint32(id.PGN)
	if id.PGN.pdu1() {
		pgn = pgn&^0xFF | uint32(id.Destination)
	}
	return uint32(id.Priority&7)<<26 | pgn&0x3FFFF<<8 | uint32(id.Source)
}
