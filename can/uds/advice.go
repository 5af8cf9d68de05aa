package uds

import "obu/can/obd"

// Negative responses that this package has words for.
const (
	nrcTooLong  obd.NRC = 0x14
	nrcSecurity obd.NRC = 0x33
	nrcSubInSes obd.NRC = 0x7E
	nrcInSes    obd.NRC = 0x7F
)

// Verdict is what follows from a negative answer.
type Verdict uint8

// The verdicts.
const (
	Later Verdict = iota // conditions: asked again, less and less often
	Soon                 // busy: asked again in a moment
	Never                // not in this drive: see Advice
)

// Judge says what follows from a negative answer.
func Judge(code obd.NRC) Verdict {
	switch {
	case code == obd.NRCBusyRepeat:
		return Soon
	case Advice(code) != "":
		return Never
	}
	return Later
}

// Advice is what a technician does about an answer that will not change while
// the car is driven, "" for one that may. The agent stays in the default
// session: it never sends 10, 27 or 3E.
func Advice(code obd.NRC) string {
	switch code {
	case obd.NRCServiceNotSupported:
		return "the ECU does not have this service: remove what it is asked for"
	case obd.NRCNotSupported:
		return "the ECU does not have this part of the service: remove what it is asked for"
	case obd.NRCOutOfRange:
		return "the ECU does not know this, or not with its software: correct the DID, or remove it"
	case nrcTooLong:
		return "the answer is longer than the ECU can send: remove it"
	case nrcSecurity:
		return "the ECU wants to be unlocked first, which the agent never does: remove it"
	case nrcSubInSes, nrcInSes:
		return "the ECU answers only in another diagnostic session, which the agent never opens: remove it"
	}
	return ""
}
