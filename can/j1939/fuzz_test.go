package j1939_test

import (
	"encoding/binary"
	"testing"
	"time"
	"unicode/utf8"

	"obu/can/j1939"
	"obu/telemetry"
)

// FuzzReceiver: whatever a network says, transfers stay within their bounds, every
// message has the announced size, and what was begun is delivered or told.
func FuzzReceiver(f *testing.F) {
	for _, seed := range [...]string{
		"\x1c\xec\xff\x00\x08\x20\x0a\x00\x02\xff\xca\xfe\x00\x1c\xeb\xff\x00\x08\x01\x01\x02\x03\x04\x05\x06\x07\x1c\xeb\xff\x00\x08\x02\x08\x09\x0a\xff\xff\xff\xff",
		"\x1c\xec\x2a\x00\x08\x10\x0a\x00\x02\xff\xca\xfe\x00\x1c\xec\x00\x2a\x08\x11\x02\x01\xff\xff\xca\xfe\x00\x1c\xec\x00\x2a\x08\xff\x03\xff\xff\xff\xca\xfe\x00",
		"\x0c\xf0\x04\x00\x08\xf0\x7d\x8c\x00\x20\xff\xff\xff\x18\xfe\xf1\x21\x08\xf7\x00\x50\xd1\xff\x5a\x1f\xff\x18\xfe\xea\x21\x03\x10\x10\x27",
		"\x18\xfe\xeb\x2a\x08AB*C*\xff\xff\xff\x18\xee\xff\x2a\x08\x45\x23\x61\x1f\x0b\x81\x02\x95\x18\xfe\xec\x00\x04VIN*",
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
			readable(t, m)
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

// readable holds what is read of any message: numbers are finite steps of their
// signal, each parameter comes at most once, texts have no padding and are valid.
func readable(t *testing.T, m j1939.Message) {
	var absent j1939.Absent
	last := -1
	for _, r := range j1939.Read(nil, m.PGN, m.Payload, &absent) {
		if r.Number <= last || r.Number >= j1939.Parameters || r.Signal != j1939.Signal(r.Number) || r.Value.Kind() != r.Signal.Kind {
			t.Errorf("PGN %v: %+v", m.PGN, r)
		}
		last = r.Number
		if r.Signal.Kind == telemetry.KindFloat {
			if n, exact := r.Signal.Step.Steps(r.Value.Float()); !exact {
				t.Errorf("PGN %v: %s is %v, %d steps", m.PGN, r.Signal.Name, r.Value, n)
			}
		}
	}
	kind, fact := j1939.IsFact(m.PGN)
	all, err := j1939.Describe(nil, m.PGN, m.Payload)
	if fact && (err == nil) != (j1939.CheckFact(kind, m.Payload) == nil) || !fact && len(all) > 0 || err != nil && len(all) > 0 {
		t.Errorf("PGN %v, %d bytes: %v %v", m.PGN, len(m.Payload), all, err)
	}
	for _, r := range all {
		if !utf8.ValidString(r.Value.Text()) {
			t.Errorf("PGN %v: %q", m.PGN, r.Value.Text())
		}
	}
	if len(j1939.Changes(nil, m.PGN, m.Payload, m.Payload)) > 0 {
		t.Errorf("PGN %v changed from itself", m.PGN)
	}
}
