package can_test

import (
	"testing"

	"obu/can"
	"obu/can/frame"
)

// FuzzFrame: whatever a packet holds, it is refused or a frame that can be on
// a bus; that one is written and read again unchanged, as struct and as text.
func FuzzFrame(f *testing.F) {
	f.Add(can.FormatFrame(&can.Frame{ID: 0x7E8, Len: 8, Data: [64]byte{3, 0x41, 0x0D, 0x4A}}))
	f.Add(can.FormatFrame(&can.Frame{ID: 0x18DAF110, Extended: true, FD: true, Len: 64, Flags: frame.FlagBRS}))
	f.Add(can.FormatFrame(&can.Frame{ID: 0x88, Error: true, Len: 8}))
	f.Add(can.FormatFrame(&can.Frame{ID: 0x123, Remote: true, Len: 4}))
	f.Fuzz(func(t *testing.T, packet []byte) {
		frame, ok := can.ParseFrame(packet)
		if !ok {
			return
		}
		if err := frame.Validate(); err != nil {
			t.Fatalf("%x became %v: %v", packet, frame, err)
		}
		again, ok := can.ParseFrame(can.FormatFrame(&frame))
		if !ok || again != frame {
			t.Fatalf("%x became %+v, and that %+v", packet, frame, again)
		}
		if frame.String() == "" {
			t.Fatalf("%+v has no text", frame)
		}
	})
}
