package can

import (
	"obu/can/dbc"
	"obu/can/isotp"
	"obu/can/j1939"
	"obu/telemetry"
)

// Database is a compiled DBC file and the bus whose frames it explains.
type Database struct {
	Bus     string // "" for every one
	Decoder *dbc.Decoder
}

// broadcast decodes what ECUs say to everybody on one bus, with databases. One
// goroutine at a time uses it.
//
// A message that cannot fit a classic frame travels in a transfer: of J1939,
// or of ISO 15765-2. To the latter a database counts bits from the last byte
// in front of the payload, its length: files that explain diagnostic answers
// are written so, because that is where the bits stand in a single frame.
type broadcast struct {
	files []*dbc.Decoder
	isotp *isotp.Receiver
	tp    *j1939.Receiver // nil: no file has messages of J1939

	value   func(at telemetry.At, from ecuKey, s *dbc.Signal, raw int64, v telemetry.Value)
	damaged func(at telemetry.At, from ecuKey, what string)

	emit    dbc.Emit // calls value, with:
	at      telemetry.At
	from    ecuKey
	first   int // number of the file's first signal among those of all files
	payload []byte
	fd      bool // of the frame that completes it

	messages uint64 // frames and transfers that a file knows
	short    uint64 // signals beyond the received length
}

// newBroadcast completes b; nil when no database explains the bus.
func newBroadcast(b *broadcast, bus string, all []Database) *broadcast {
	grouped := false
	for _, d := range all {
		if d.Bus == "" || d.Bus == bus {
			b.files = append(b.files, d.Decoder)
			grouped = grouped || d.Decoder.J1939()
		}
	}
	if len(b.files) == 0 {
		return nil
	}
	b.emit = func(s *dbc.Signal, raw int64, v telemetry.Value) { b.value(b.at, b.from, s, raw, v) }
	b.isotp = isotp.NewReceiver(isotp.ReceiverConfig{Deliver: b.transfer, Damaged: func(f isotp.Fault) {
		b.damaged(f.At, ecuKey(f.ID), "transfer"+broken(f.Reason.String(), f.Got, f.Want))
	}})
	if grouped {
		b.tp = j1939.NewReceiver(b.group, b.brokenGroup)
	}
	return b
}

// explains reports whether a file knows an identifier.
func (b *broadcast) explains(id uint32, extended bool) bool {
	for _, d := range b.files {
		if d.Find(id, extended) != nil {
			return true
		}
	}
	return false
}

// frame takes one frame.
func (b *broadcast) frame(f *Frame) {
	if f.Remote || f.Error {
		return
	}
	key := ecuKey(f.ID)
	if f.Extended {
		key |= flagExtended
	}
	data := f.Data[:f.Len]
	transfer, first := false, 0
	for _, d := range b.files {
		m := d.Find(f.ID, f.Extended)
		switch {
		case m == nil:
		case carried(m, f.FD):
			transfer = true
		default:
			b.read(d, first, m, f.At, key, data)
		}
		first += d.Signals()
	}
	if transfer {
		b.fd = f.FD
		b.isotp.Feed(f.At, uint32(key), data)
	}
	if b.tp != nil && f.Extended && !f.FD {
		if pgn := j1939.Parse(f.ID).PGN; pgn == j1939.PGNConnect || pgn == j1939.PGNTransport {
			b.tp.Feed(f.At, f.ID, data)
		}
	}
}

// carried reports whether a message is too long for one frame, and no other
// protocol is at hand.
func carried(m *dbc.Message, fd bool) bool {
	return !m.J1939 && (m.Size > 64 || m.Size > 8 && !m.FD && !fd)
}

func (b *broadcast) read(d *dbc.Decoder, first int, m *dbc.Message, at telemetry.At, from ecuKey, data []byte) {
	b.at, b.from, b.first = at, from, first
	b.messages++
	b.short += uint64(d.Read(m, data, b.emit))
}

// transfer takes a reassembled message of ISO 15765-2.
func (b *broadcast) transfer(m isotp.Message) {
	b.payload = append(append(b.payload[:0], byte(len(m.Payload))), m.Payload...)
	key, first := ecuKey(m.ID), 0
	for _, d := range b.files {
		if found := d.Find(m.ID&^flagExtended, key&flagExtended != 0); found != nil && carried(found, b.fd) {
			b.read(d, first, found, m.At, key, b.payload)
		}
		first += d.Signals()
	}
}

// group takes a message of J1939 that came in packets.
func (b *broadcast) group(m j1939.Message) {
	id, first := groupID(m.PGN, m.Source, m.Destination), 0
	for _, d := range b.files {
		if found := d.Find(id, true); found != nil && found.J1939 {
			b.read(d, first, found, m.At, ecuKey(id|flagExtended), m.Payload)
		}
		first += d.Signals()
	}
}

// brokenGroup hears of a damaged transfer; those no file knows are nobody's.
func (b *broadcast) brokenGroup(f j1939.Fault) {
	id := groupID(f.PGN, f.Source, f.Destination)
	for _, d := range b.files {
		if d.Find(id, true) != nil {
			b.damaged(f.At, ecuKey(id|flagExtended), "transfer of PGN "+f.PGN.String()+broken(f.Reason.String(), f.Got, f.Want))
			return
		}
	}
}

// groupID is the identifier a group would have in a single frame, with the
// usual priority of long messages.
func groupID(pgn j1939.PGN, source, destination uint8) uint32 {
	return j1939.ID{Priority: 6, PGN: pgn, Source: source, Destination: destination}.Identifier()
}

// expire ends transfers that are overdue.
func (b *broadcast) expire(now telemetry.At) {
	b.isotp.Expire(now)
	if b.tp != nil {
		b.tp.Expire(now)
	}
}

// flush ends every transfer: nothing more will come.
func (b *broadcast) flush() {
	b.isotp.Flush()
	if b.tp != nil {
		b.tp.Flush()
	}
}
