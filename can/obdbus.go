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

// Identifiers below 700 on which workshop testers speak, an address in front.
const (
	idTesterBMW = 0x6F1
	idTesterGM  = 0x101 // to all nodes: FE
)

// isTester reports whether a frame is of a tester, of OBD or a workshop's: with
// 29 bits anybody with an address of test equipment (F0 to FD) who speaks to an
// ECU, with 11 bits who opens or holds a session on one of the identifiers that
// makers use for that, an address in front or not.
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
	switch {
	case len(d) < 3 || f.ID < 0x700 && f.ID != idTesterBMW && (f.ID != idTesterGM || d[0] != 0xFE):
		return false
	case f.ID >= 0x700 && holdsSession(d, 2):
		return true
	case f.ID == idTesterGM:
		return holdsSession(d[1:], 1)
	}
	return holdsSession(d[1:], 2)
}

// holdsSession reports whether a single frame of at least so many bytes opens or
// holds a session (UDS services 10 and 3E, the latter of KWP2000, too).
// Broadcasts have the same identifiers: a frame counts only when all that it
// does not need is filler.
func holdsSession(d []byte, least byte) bool {
	n := d[0]
	switch {
	case n < least || n > 2 || len(d) <= int(n):
		return false
	case n == 1 && d[1] != 0x3E, n == 2 && (d[1] != 0x3E || d[2]&0x7C != 0) && (d[1] != 0x10 || d[2]&0x7F == 0):
		return false
	}
	rest := d[1+n:]
	for _, b := range rest {
		if b != rest[0] {
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
