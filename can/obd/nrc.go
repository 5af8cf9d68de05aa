package obd

import "fmt"

// NRC is the code of a negative answer (ISO 14229-1 annex A).
type NRC byte

// Negative response codes the poller reacts to.
const (
	NRCServiceNotSupported NRC = 0x11
	NRCNotSupported        NRC = 0x12
	NRCBusyRepeat          NRC = 0x21
	NRCConditions          NRC = 0x22
	NRCOutOfRange          NRC = 0x31
	NRCPending             NRC = 0x78
)

var nrcNames = map[NRC]string{
	0x10: "general-reject", 0x11: "service-not-supported", 0x12: "sub-function-not-supported",
	0x13: "incorrect-length", 0x14: "response-too-long", 0x21: "busy-repeat-request",
	0x22: "conditions-not-correct", 0x24: "request-sequence-error", 0x25: "no-response-from-subnet",
	0x26: "failure-prevents-execution", 0x31: "request-out-of-range", 0x33: "security-access-denied",
	0x35: "invalid-key", 0x36: "too-many-attempts", 0x37: "time-delay-not-expired",
	0x70: "upload-download-not-accepted", 0x71: "transfer-suspended", 0x72: "programming-failure",
	0x73: "wrong-block-sequence", 0x78: "response-pending", 0x7E: "sub-function-not-supported-in-session",
	0x7F: "service-not-supported-in-session",
}

// String returns the name of the code, "nrc-9A" for one without.
func (n NRC) String() string {
	if s, ok := nrcNames[n]; ok {
		return s
	}
	return fmt.Sprintf("nrc-%02X", byte(n))
}

// ParseNegative reads a negative answer: 7F, service, code.
func ParseNegative(payload []byte) (service byte, code NRC, ok bool) {
	if len(payload) < 3 || payload[0] != Negative {
		return 0, 0, false
	}
	return payload[1], NRC(payload[2]), true
}
