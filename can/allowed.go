package can

import "errors"

// errForbidden: the allow-list stopped a frame. Nothing but a mistake in this
// package can cause it.
var errForbidden = errors.New("frame is not on the allow-list")

// allowedRequest is the allow-list: what may be transmitted at all. Requests
// are single frames of reading services; nothing that clears, writes, resets
// or unlocks exists here. Services 19 and 22 alone may also go to the physical
// identifiers 700-7FF, without those that ECUs answer OBD with.
func allowedRequest(f *Frame) bool {
	if f.Remote || f.Error || f.FD || f.Len < 2 || f.Len > 8 {
		return false
	}
	n := f.Data[0]
	if n < 1 || n > 7 || n > f.Len-1 {
		return false // not a single frame
	}
	enhanced := false
	switch f.Data[1] {
	case 0x01, 0x02, 0x03, 0x07, 0x09, 0x0A:
	case 0x19, 0x22:
		enhanced = true
	default:
		return false
	}
	return isRequest(f) || enhanced && isPhysical(f)
}

// isPhysical reports whether an ECU may be asked by UDS with an identifier of 11
// bits. 7E8-7EF are other nodes' answers: two would send with one identifier.
func isPhysical(f *Frame) bool {
	return !f.Extended && f.ID >= 0x700 && f.ID <= 0x7FF && f.ID != idFunctional11 && (f.ID < idFirstResponse || f.ID > idLastResponse)
}

// allowedAddressed is the allow-list of requests with an address byte in front:
// services 19 and 22 to the physical identifiers 700-7FF. An ECU that does not
// know the address would take it for the length, and the length for the service:
// four bytes would be service 04, which clears.
func allowedAddressed(f *Frame) bool {
	if f.Remote || f.Error || f.FD || f.Len != 8 || !isPhysical(f) {
		return false
	}
	n := f.Data[1]
	return n >= 3 && n <= 6 && n != 4 && (f.Data[2] == 0x19 || f.Data[2] == 0x22)
}

// allowedFlow reports whether f is flow control to the physical identifier of
// an ECU: with a request of services 19 or 22 outstanding, of 700-7FF, too. head
// is the number of address bytes in front.
func allowedFlow(f *Frame, head int, enhanced bool) bool {
	if f.Remote || f.Error || f.FD || f.Len < 3 || f.Len > 8 || f.Data[head]>>4 != 3 {
		return false
	}
	if f.ID == idFunctional11 || f.ID == idFunctional29 {
		return false
	}
	return isRequest(f) || enhanced && isPhysical(f)
}
