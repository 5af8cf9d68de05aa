package can

import (
	"fmt"
)

// Identifiers of ISO 15765-4 (OBD on CAN).
const (
	idFunctional11  = 0x7DF      // request to every ECU
	idFirstRequest  = 0x7E0      // .. 7E7: request to one ECU
	idLastRequest   = 0x7E7      //
	idFirstResponse = 0x7E8      // .. 7EF
	idLastResponse  = 0x7EF      //
	idFunctional29  = 0x18DB33F1 // request to every ECU
	idRequest29     = 0x18DA00F1 // 18DAxxF1: request to ECU xx
	idResponse29    = 0x18DAF100 // 18DAF1xx: answer of ECU xx
)

// ecuKey is the identifier of an ECU's answers, with flagExtended in front of
// a 29-bit one: a key that mixes both widths.
type ecuKey uint32

// responseKey returns the ECU a frame is an OBD answer of.
func responseKey(f *Frame) (ecuKey, bool) {
	switch {
	case f.Remote || f.Error:
		return 0, false
	case f.Extended:
		return ecuKey(f.ID | flagExtended), f.ID&^0xFF == idResponse29
	}
	return ecuKey(f.ID), f.ID >= idFirstResponse && f.ID <= idLastResponse
}

// isOBD reports whether an ECU's answers may be OBD's.
func isOBD(k ecuKey) bool {
	return k&flagExtended != 0 && uint32(k&^flagExtended)&^0xFF == idResponse29 || k >= idFirstResponse && k <= idLastResponse
}

// isRequest reports whether a frame is a diagnostic request or flow control of
// a tester.
func isRequest(f *Frame) bool {
	switch {
	case f.Remote || f.Error:
		return false
	case f.Extended:
		return f.ID == idFunctional29 || f.ID&^0xFF00 == idRequest29
	}
	return f.ID == idFunctional11 || f.ID >= idFirstRequest && f.ID <= idLastRequest
}

// isTester reports whether a frame is of a tester, of OBD or a workshop's: with
// 29 bits anybody with an address of test equipment (F0 to FD) who speaks to an
// ECU, with 11 bits who opens or holds a session (UDS services 10 and 3E) on one
// of the identifiers that makers use for that. Broadcasts live there as well: a
// frame counts only when all that it does not need is filler.
func isTester(f *Frame) bool {
	if isRequest(f) {
		return true
	}
	if f.Remote || f.Error {
		return false
	}
	if f.Extended {
		target, source := byte(f.ID>>8), byte(f.ID)
		return (f.ID>>16 == 0x18DA || f.ID>>16 == 0x18DB) && isTestAddress(source) && !isTestAddress(target)
	}
	d := f.Data[:f.Len]
	if f.ID < 0x700 || len(d) < 3 || d[0] != 2 || d[1] != 0x3E && d[1] != 0x10 || d[1] == 0x3E && d[2]&0x7F != 0 || d[1] == 0x10 && d[2]&0x7F == 0 {
		return false
	}
	for _, b := range d[3:] {
		if b != d[3] {
			return false
		}
	}
	return true
}

func isTestAddress(a byte) bool { return a >= 0xF0 && a <= 0xFD }

// request returns the identifier on which the ECU takes physical requests and
// flow control.
func (k ecuKey) request() (id uint32, extended bool) {
	if k&flagExtended != 0 {
		return idRequest29 | uint32(k&0xFF)<<8, true
	}
	return uint32(k) - 8, false
}

// String returns the address as it stands in telemetry.Source: "7E8" or
// "18DAF110".
func (k ecuKey) String() string {
	if k&flagExtended != 0 {
		return fmt.Sprintf("%08X", uint32(k&^flagExtended))
	}
	if k&flagAddressed != 0 {
		return fmt.Sprintf("%03X/%02X", uint32(k)&maskStandard, uint32(k)>>16&0xFF)
	}
	return fmt.Sprintf("%03X", uint32(k))
}
