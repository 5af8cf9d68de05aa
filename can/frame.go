package can

import "obu/can/frame"

// Flags in the identifier of struct can_frame (linux/can.h).
const (
	flagExtended = frame.Extended
	flagRemote   = frame.Remote
	flagError    = frame.Error

	maskStandard = frame.MaskStandard
	maskExtended = frame.MaskExtended
)
