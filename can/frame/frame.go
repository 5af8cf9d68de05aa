// Package frame is a CAN or CAN FD frame as it stands on the bus and in logs. It
// knows which frames can exist (ISO 11898-1), and their text as candump writes
// it. Whence a frame comes is for package can; there is no goroutine and no
// state.
package frame

import (
	"errors"
	"fmt"

	einride "go.einride.tech/can"

	"obu/telemetry"
)

// Frame is one CAN or CAN FD frame, passed by value.
type Frame struct {
	At       telemetry.At // when it was received
	ID       uint32       // 11 or 29 bits
	Extended bool         // 29-bit identifier
	Remote   bool         // remote transmission request
	Error    bool         // controller error frame: ID holds the error class bits
	FD       bool         // CAN FD: up to 64 bytes
	ReadTime bool         // At is when it was read, not when it was received
	Flags    uint8        // of CAN FD: FlagBRS, FlagESI
	Len      uint8        // bytes of Data in use
	Data     [64]byte
}

// Flags of a CAN FD frame, as in linux/can.h.
const (
	FlagBRS = 1 // its data came at the higher bit rate
	FlagESI = 2 // its sender is error-passive
)

// ErrFrame is wrapped by everything that refuses an impossible frame.
var ErrFrame = errors.New("not a CAN frame")

// fdLengths are the payload lengths CAN FD has above 8 bytes.
var fdLengths = [...]uint8{12, 16, 20, 24, 32, 48, 64}

// Validate reports whether f can exist on a bus: identifier and length in
// range, the length one that CAN FD knows.
func (f Frame) Validate() error {
	if f.FD {
		if f.Remote {
			return fmt.Errorf("%w: CAN FD has no remote frames", ErrFrame)
		}
		if !IsLength(f.Len) {
			return fmt.Errorf("%w: %d data bytes are no CAN FD length", ErrFrame, f.Len)
		}
	}
	c := einride.Frame{ID: f.ID, Length: f.Len, IsRemote: f.Remote, IsExtended: f.Extended || f.Error}
	if f.FD {
		c.Length = 0
	}
	if err := c.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return nil
}

// IsLength reports whether CAN FD has a length.
func IsLength(n uint8) bool {
	if n <= 8 {
		return true
	}
	for _, l := range fdLengths {
		if n == l {
			return true
		}
	}
	return false
}

// DataLength returns the data bytes of a length code (DLC), in CAN FD or not.
func DataLength(code int, fd bool) int {
	switch {
	case code <= 8:
		return code
	case !fd:
		return 8
	}
	return int(fdLengths[min(code-9, len(fdLengths)-1)])
}

// String returns the frame as candump writes it: 7E8#03410D4A,
// 18DAF110##1..., 123#R.
func (f Frame) String() string {
	return string(f.Append(nil))
}

// Append appends String.
func (f Frame) Append(b []byte) []byte {
	if !f.FD && !f.Error {
		c := einride.Frame{ID: f.ID, Length: min(f.Len, 8), IsRemote: f.Remote, IsExtended: f.Extended}
		copy(c.Data[:], f.Data[:8])
		return append(b, c.String()...)
	}
	id := f.ID
	if f.Error {
		id |= Error
	}
	if f.Extended || f.Error {
		b = fmt.Appendf(b, "%08X", id)
	} else {
		b = fmt.Appendf(b, "%03X", id)
	}
	if f.FD {
		b = append(b, '#', '#', '0'+f.Flags&(FlagBRS|FlagESI))
	} else {
		b = append(b, '#')
	}
	return fmt.Appendf(b, "%X", f.Data[:f.Len])
}

// Flags in the identifier of struct can_frame (linux/can.h), which candump
// prints in error frames too, and the bits of an identifier.
const (
	Extended = 1 << 31
	Remote   = 1 << 30
	Error    = 1 << 29

	MaskStandard = 1<<11 - 1
	MaskExtended = 1<<29 - 1
)
