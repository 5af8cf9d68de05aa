package can

import (
	"encoding/binary"

	"obu/can/frame"
)

const (
	sizeFrame   = 16 // struct can_frame
	sizeFrameFD = 72 // struct canfd_frame
)

// parseFrame reads a struct can_frame or canfd_frame.
func parseFrame(p []byte) (f Frame, ok bool) {
	if len(p) != sizeFrame && len(p) != sizeFrameFD {
		return f, false
	}
	id := binary.NativeEndian.Uint32(p)
	f.Extended, f.Remote, f.Error = id&flagExtended != 0, id&flagRemote != 0, id&flagError != 0
	f.FD = len(p) == sizeFrameFD
	f.Len = p[4]
	if f.Extended || f.Error {
		f.ID = id & maskExtended
	} else {
		f.ID = id & maskStandard
	}
	// The masks above leave an identifier nothing to be wrong in (Validate).
	if !f.FD && f.Len > 8 || f.FD && (f.Remote || !frame.IsLength(f.Len)) {
		return f, false
	}
	if f.FD {
		f.Flags = p[5] & (frame.FlagBRS | frame.FlagESI)
	}
	copy(f.Data[:], p[8:8+f.Len])
	return f, true
}

// formatFrame is the inverse of parseFrame; it returns the bytes in use.
func formatFrame(p *[sizeFrameFD]byte, f *Frame) int {
	clear(p[:])
	id := f.ID
	if f.Extended {
		id |= flagExtended
	}
	if f.Remote {
		id |= flagRemote
	}
	if f.Error {
		id |= flagError
	}
	binary.NativeEndian.PutUint32(p[:], id)
	p[4] = f.Len
	copy(p[8:], f.Data[:f.Len])
	if f.FD {
		p[5] = f.Flags
		return sizeFrameFD
	}
	return sizeFrame
}
