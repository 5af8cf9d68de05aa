// Package isotp is the transport protocol of ISO 15765-2: it puts frames of
// up to 8 (CAN) or 64 (CAN FD) bytes together to messages, and cuts messages
// into frames, with normal addressing.
//
// A Receiver reassembles many senders at once, one transfer per identifier,
// and names the reason of every transfer that broke. It is passive, as on a
// recording, unless Permit says that a first frame answers our own request.
// A Sender transmits one message at a time.
//
// The package moves bytes only: it knows no bus, reads no clock (the caller
// brings the time of each frame) and starts no goroutine. Identifiers are
// opaque; callers that mix 11 and 29 bit ids fold the width in.
package isotp

import (
	"fmt"
	"time"
)

// Bounds and timers. Times are ISO 15765-2 table 18's maxima unless noted.
const (
	TimeoutCr = 1000 * time.Millisecond // receiver: between consecutive frames
	TimeoutBs = 1000 * time.Millisecond // sender: until the flow control arrives

	// MaxWaits is the number of "wait" flow controls in a row a sender bears
	// (WFTmax) before it gives up.
	MaxWaits = 8
	// MaxLength bounds one message. OBD and UDS answers stay below 4,096; the
	// escape to 32-bit lengths is understood, and refused above this.
	MaxLength = 4095
	// MaxTransfers bounds the transfers open at once, one per identifier: an
	// OBD request has 8 (11 bit) or at most 16 answers, a UDS tool a handful.
	MaxTransfers = 64
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
	ReasonCrowded                  // more than MaxTransfers at once
	ReasonMalformed                // no frame of ISO 15765-2

	reasons
)

var reasonNames = [reasons]string{
	"aborted", "sequence", "timeout", "unfinished", "unexpected", "length", "crowded", "malformed",
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

// FlowStatus is the answer of a receiver to a first frame or a full block.
type FlowStatus uint8

// Flow statuses of ISO 15765-2 table 16.
const (
	ContinueToSend FlowStatus = 0
	Wait           FlowStatus = 1
	Overflow       FlowStatus = 2
)

// FlowControl is a flow control frame.
type FlowControl struct {
	Status    FlowStatus
	BlockSize uint8         // frames until the next flow control; 0: no more
	STmin     time.Duration // least time between consecutive frames
}

// Bytes returns the three bytes of the frame, without padding.
func (f FlowControl) Bytes() [3]byte {
	return [3]byte{pciFlow<<4 | byte(f.Status), f.BlockSize, encodeSTmin(f.STmin)}
}

// ParseFlowControl reads a flow control frame.
func ParseFlowControl(data []byte) (f FlowControl, ok bool) {
	if len(data) < 3 || data[0]>>4 != pciFlow || data[0]&0xF > byte(Overflow) {
		return FlowControl{}, false
	}
	return FlowControl{FlowStatus(data[0] & 0xF), data[1], decodeSTmin(data[2])}, true
}

// decodeSTmin reads a separation time: 0-127 ms, or F1-F9 for 100-900 µs.
// Reserved values mean the longest, 127 ms.
func decodeSTmin(b byte) time.Duration {
	switch {
	case b <= 0x7F:
		return time.Duration(b) * time.Millisecond
	case b >= 0xF1 && b <= 0xF9:
		return time.Duration(b-0xF0) * 100 * time.Microsecond
	}
	return 127 * time.Millisecond
}

func encodeSTmin(d time.Duration) byte {
	switch {
	case d <= 0:
		return 0
	case d < time.Millisecond:
		tenths := (d + 99*time.Microsecond) / (100 * time.Microsecond)
		if tenths > 9 {
			return 1
		}
		return 0xF0 + byte(tenths)
	}
	return byte(min((d+time.Millisecond-1)/time.Millisecond, 127))
}
