package can

import (
	"obu/can/j1939"
	"obu/telemetry"
)

// groups reads the parameter groups of SAE J1939 on one bus. It listens only.
// One goroutine at a time uses it.
type groups struct {
	rx       *j1939.Receiver
	readings []j1939.Reading

	// said hears what one message of a sender says; the slice is valid during
	// the call.
	said func(at telemetry.At, source uint8, r []j1939.Reading)
	// fact hears a message that Describe reads; see j1939.IsFact.
	fact func(at telemetry.At, source uint8, kind int, payload []byte)
	// packed hears of every message that came in packets; it may be nil.
	packed  func(j1939.Message)
	damaged func(j1939.Fault)

	messages uint64 // that said something
	absent   j1939.Absent
}

// newGroups completes g.
func newGroups(g *groups) *groups {
	g.rx = j1939.NewReceiver(g.deliver, g.damaged)
	return g
}

// share has transfers put together once for both: b, which reads the same bus by
// database, hears of the whole ones through packed, usually its group. What breaks
// is told by g alone.
func (g *groups) share(b *broadcast, packed func(j1939.Message)) {
	if b.tp != nil {
		b.tp, g.packed = nil, packed
	}
}

// frame takes one frame.
func (g *groups) frame(f *Frame) {
	if f.Extended && !f.Remote && !f.Error && !f.FD {
		g.rx.Feed(f.At, f.ID, f.Data[:f.Len])
	}
}

func (g *groups) deliver(m j1939.Message) {
	if m.Packets > 0 && g.packed != nil {
		g.packed(m)
	}
	if kind, ok := j1939.IsFact(m.PGN); ok {
		g.messages++
		g.fact(m.At, m.Source, kind, m.Payload)
		return
	}
	g.readings = j1939.Read(g.readings[:0], m.PGN, m.Payload, &g.absent)
	if len(g.readings) > 0 {
		g.messages++
		g.said(m.At, m.Source, g.readings)
	}
}

// nodeNames are the addresses from 00 to FF, two digits each.
var nodeNames = func() string {
	b := make([]byte, 0, 512)
	for i := range 256 {
		b = append(b, "0123456789ABCDEF"[i>>4], "0123456789ABCDEF"[i&15])
	}
	return string(b)
}()

// nodeName is the address of a J1939 node as it stands in telemetry.Source: "2A".
func nodeName(address uint8) string { return nodeNames[2*int(address):][:2] }
