package isotp

import "time"

// FlowStatus is the answer of a receiver to a first frame or a full block.
type FlowStatus uint8

// Flow statuses of ISO 15765-2 table 16; the others are reserved.
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

// Bytes returns the three bytes of the frame, without address and padding.
func (f FlowControl) Bytes() [3]byte {
	return [3]byte{pciFlow<<4 | byte(f.Status), f.BlockSize, encodeSTmin(f.STmin)}
}

// ParseFlowControl reads a flow control frame, behind its address byte if it
// has one (Addressing.Split). A reserved status is returned as it is.
func ParseFlowControl(data []byte) (f FlowControl, ok bool) {
	if len(data) < 3 || data[0]>>4 != pciFlow {
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

// encodeSTmin rounds up: a receiver never asks for less than it needs.
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
