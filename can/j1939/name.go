package j1939

import (
	"encoding/binary"
	"fmt"
)

// Name is the 64-bit NAME of a node (J1939-81 clause 4.1.1). The lower one wins
// an address that two claim.
type Name uint64

// ParseName reads an address claimed message.
func ParseName(p []byte) (Name, error) {
	if len(p) < 8 {
		return 0, fmt.Errorf("read NAME of %d bytes: %w", len(p), ErrShort)
	}
	return Name(binary.LittleEndian.Uint64(p)), nil
}

// Identity is the manufacturer's number of this very unit: 21 bits.
func (n Name) Identity() uint32 { return uint32(n & 0x1FFFFF) }

// Manufacturer is the maker's code: 11 bits.
func (n Name) Manufacturer() uint16 { return uint16(n >> 21 & 0x7FF) }

// ECUInstance tells ECUs of one function apart: 3 bits.
func (n Name) ECUInstance() uint8 { return uint8(n >> 32 & 7) }

// FunctionInstance tells functions of one kind apart: 5 bits.
func (n Name) FunctionInstance() uint8 { return uint8(n >> 35 & 0x1F) }

// Function is what the node does: below 128 the same in every industry.
func (n Name) Function() uint8 { return uint8(n >> 40) }

// VehicleSystem is the part of the vehicle: 7 bits.
func (n Name) VehicleSystem() uint8 { return uint8(n >> 49 & 0x7F) }

// SystemInstance tells vehicle systems of one kind apart: 4 bits.
func (n Name) SystemInstance() uint8 { return uint8(n >> 56 & 0xF) }

// Industry is the industry group: 1 is on-highway, 2 agriculture, 3 construction.
func (n Name) Industry() uint8 { return uint8(n >> 60 & 7) }

// Arbitrary reports whether the node may take another address.
func (n Name) Arbitrary() bool { return n>>63 != 0 }

// String returns the NAME as 16 hexadecimal digits.
func (n Name) String() string { return fmt.Sprintf("%016X", uint64(n)) }

// Claims is who has which address, as far as it was heard. It is bounded by the
// address space.
type Claims struct {
	names [256]Name
	known [256]bool
}

// Take books an address claimed message and reports whether it says something new.
// A node that cannot claim any address says so from AddressNull; that is no news.
func (c *Claims) Take(source uint8, n Name) (changed bool) {
	if source >= AddressNull || c.known[source] && c.names[source] == n {
		return false
	}
	c.names[source], c.known[source] = n, true
	return true
}

// Who returns the NAME at an address.
func (c *Claims) Who(source uint8) (Name, bool) { return c.names[source], c.known[source] }

// VIN returns the vehicle identification of a PGN 65260 message: printable ASCII up
// to the delimiter "*" (J1939-71, SPN 237); "" when there is none.
func VIN(p []byte) string {
	for i, b := range p {
		if b == '*' || b < ' ' || b > '~' {
			p = p[:i]
			break
		}
	}
	return string(p)
}
