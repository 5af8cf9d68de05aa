package j1939_test

import (
	"encoding/binary"
	"testing"
	"time"

	"obu/can/j1939"
	"obu/telemetry"
)

// FuzzReceiver: whatever a network says, transfers stay within their bounds, every
// message has the announced size, and what was begun is delivered or told.
func FuzzReceiver(f *testing.F) {
	for _, seed := range [...]string{
		"\x1c\xec\xff\x00\x08\x20\x0a\x00\x02\xff\xca\xfe\x00\x1c\xeb\xff\x00\x08\x01\x01\x02\x03\x04\x05\x06\x07\x1c\xeb\xff\x00\x08\x02\x08\x09\x0a\xff\xff\xff\xff",
		"\x1c\xec\x2a\x00\x08\x10\x0a\x00\x02\xff\xca\xfe\x00\x1c\xec\x00\x2a\x08\x11\x02\x01\xff\xff\xca\xfe\x00\x1c\xec\x00\x2a\x08\xff\x03\xff\xff\xff\xca\xfe\x00",
		"\x18\xfe\xca\x00\x08\x44\xff\xbe\x00\x02\x05\xff\xff",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		begun, ended := 0, 0
		var codes []j1939.Code
		rx := j1939.NewReceiver(func(m j1939.Message) {
			if m.Packets > 0 {
				ended++
				if len(m.Payload) < 9 || len(m.Payload) > j1939.MaxLength || (len(m.Payload)+6)/7 != m.Packets {
					t.Errorf("%d bytes in %d packets", len(m.Payload), m.Packets)
				}
			}
			_, codes, _ = j1939.ParseDM(codes[:0], m.Payload)
			if len(codes) > j1939.MaxCodes {
				t.Errorf("%d codes", len(codes))
			}
			_ = j1939.VIN(m.Payload)
		}, func(fault j1939.Fault) {
			switch fault.Reason {
			case j1939.ReasonAborted, j1939.ReasonSequence, j1939.ReasonTimeout, j1939.ReasonUnfinished:
				ended++
			}
			if fault.Got > fault.Want && fault.Want > 0 {
				t.Errorf("%+v", fault)
			}
		})
		open := 0
		at := telemetry.At(1)
		for len(in) >= 5 {
			id, n := binary.BigEndian.Uint32(in)&0x1FFFFFFF, min(int(in[4]&15), 8, len(in)-5)
			before := rx.Open() + ended
			rx.Feed(at, id, in[5:5+n])
			if rx.Open()+ended > before { // at most one begins with a frame
				begun++
			}
			open = max(open, rx.Open())
			at, in = at.Add(time.Duration(id&0xFF)*time.Millisecond), in[5+n:]
		}
		rx.Flush()
		if rx.Open() != 0 || open > j1939.MaxSessions || begun != ended {
			t.Errorf("%d open, %d at most; %d begun, %d ended", rx.Open(), open, begun, ended)
		}
	})
}
