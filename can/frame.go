package can

import (
	"errors"
	"fmt"

	einride "go.einride.tech/can"
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
		if !fdLength(f.Len) {
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

func fdLength(n uint8) bool {
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

// String returns the frame as candump writes it: 7E8#03410D4A,
// 18DAF110##1..., 123#R.
func (f Frame) String() string {
	return string(f.append(nil))
}

func (f Frame) append(b []byte) []byte {
	if !f.FD && !f.Error {
		c := einride.Frame{ID: f.ID, Length: min(f.Len, 8), IsRemote: f.Remote, IsExtended: f.Extended}
		copy(c.Data[:], f.Data[:8])
		return append(b, c.String()...)
	}
	id := f.ID
	if f.Error {
		id |= flagError
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
// prints in error frames too.
const (
	flagExtended = 1 << 31
	flagRemote   = 1 << 30
	flagError    = 1 << 29

	maskStandard = 1<<11 - 1
	maskExtended = 1<<29 - 1
)
