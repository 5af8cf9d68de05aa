package isotp

import (
	"fmt"
	"time"
)

// Bounds and timers. Times are ISO 15765-2 table 18's maxima unless noted.
const (
	TimeoutAs = 1000 * time.Millisecond // sender: until the bus has taken a frame
	TimeoutCr = 1000 * time.Millisecond // receiver: between consecutive frames
	TimeoutBs = 1000 * time.Millisecond // sender: until the flow control arrives

	// MaxBr is how old a first frame or a full block may be when its flow
	// control leaves (N_Br + N_Ar < 0.9 N_Bs): later, the sender has given up.
	MaxBr = TimeoutBs * 9 / 10
	// MaxCs is how long a sender may take from flow control, or one consecutive
	// frame, to the next (N_Cs + N_As < 0.9 N_Cr). STmin is at most 127 ms.
	MaxCs = TimeoutCr * 9 / 10

	// MaxWaits is the number of "wait" flow controls in a row a sender bears
	// (WFTmax) before it gives up. A Receiver never asks to wait.
	MaxWaits = 8
	// MaxLength bounds one message. The escape to 32-bit lengths goes to 4 GB;
	// more than this is refused.
	MaxLength = 65_535
	// MaxTransfers bounds the transfers open at once, one per Address: an
	// OBD request has 8 (11 bit) or at most 16 answers, a UDS tool a handful.
	MaxTransfers = 64
	// MaxLong bounds those among them longer than 4,095 bytes.
	MaxLong = 4

	maxShort = 4095 // the longest message without the escape
)

// Reason names why a transfer broke.
type Reason uint8

// The reasons of a Fault.
const (
	ReasonAborted    Reason = iota // the sender began anew before it was done
	ReasonSequence                 // a consecutive frame is missing or out of order
	ReasonTimeout                  // the next frame came too late, or never
	ReasonUnfinished               // the input ended in the middle
	ReasonUnexpected               // a consecutive frame without a first one
	ReasonLength                   // a length that cannot be, or above MaxLength
	ReasonCrowded                  // more than MaxTransfers or MaxLong at once
	ReasonMalformed                // no frame of ISO 15765-2
	ReasonUnsent                   // the bus did not take our flow control

	reasons
)

var reasonNames = [reasons]string{
	"aborted", "sequence", "timeout", "unfinished", "unexpected", "length", "crowded", "malformed", "unsent",
}

// Reasons is the number of reasons; Reason values lie below it.
const Reasons = int(reasons)

// String returns the reason in one word.
func (r Reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// PCI types: the high nibble of the first byte.
const (
	pciSingle      = 0
	pciFirst       = 1
	pciConsecutive = 2
	pciFlow        = 3
)
