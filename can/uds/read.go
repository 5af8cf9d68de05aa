package uds

import (
	"fmt"

	"obu/can/dbc"
	"obu/telemetry"
)

// Each calls yield for each DID of a positive answer of service 22 with its
// data. An answer does not say how long these are: it is taken for several when
// it falls exactly into DIDs of known length, else for its first alone. sure is
// false when that one is longer than its length.
func (t *Table) Each(payload []byte, yield func(did uint16, data []byte, sure bool)) error {
	if len(payload) < 3 || payload[0] != ServiceData+PositiveOffset {
		return ErrAnswer
	}
	body := payload[1:]
	if !t.tiles(body) {
		id, data := uint16(body[0])<<8|uint16(body[1]), body[2:]
		c := t.dids[id]
		switch {
		case c == nil:
			return ErrUnknown
		case len(data) < max(c.Length, c.needs):
			says := "the configuration says"
			if c.Length < c.needs {
				says = "its signals reach into"
			}
			return fmt.Errorf("DID %s has %d bytes of data, %s %d: %w", Hex(uint32(id), 4), len(data), says, max(c.Length, c.needs), ErrShort)
		}
		yield(id, data, c.Length == 0 || len(data) == c.Length)
		return nil
	}
	for len(body) > 0 {
		id := uint16(body[0])<<8 | uint16(body[1])
		end := 2 + t.Length(id)
		yield(id, body[2:end], true)
		body = body[end:]
	}
	return nil
}

// tiles reports whether body is a whole number of DIDs of known length.
func (t *Table) tiles(body []byte) bool {
	for len(body) > 0 {
		if len(body) < 2 {
			return false
		}
		n := t.Length(uint16(body[0])<<8 | uint16(body[1]))
		if n == 0 || len(body) < 2+n {
			return false
		}
		body = body[2+n:]
	}
	return true
}

// Read appends what the data of a DID says to dst.
func (t *Table) Read(dst []Reading, id uint16, data []byte) []Reading {
	c := t.dids[id]
	if c == nil {
		return dst
	}
	first := 0
	if len(c.message.Signals) > 0 {
		first = c.message.Signals[0].Number
	}
	t.numbers.Read(c.message, data, func(s *dbc.Signal, _ int64, v telemetry.Value) {
		dst = append(dst, number(c.targets[s.Number-first], v))
	})
	for i := range c.others {
		dst = append(dst, c.others[i].read(data))
	}
	if c.raw != nil {
		dst = append(dst, Reading{Signal: c.raw, Value: telemetry.Bytes(data)})
	}
	return dst
}

// number makes a value one of the signal's kind.
func number(s *telemetry.Signal, v telemetry.Value) Reading {
	r := Reading{Signal: s, Value: v}
	switch {
	case s.Kind == telemetry.KindBool:
		r.Value = telemetry.Bool(v.Float() != 0)
	case s.Kind == telemetry.KindFloat && v.Kind() == telemetry.KindInt:
		r.Value = telemetry.Float(v.Float())
	}
	if v.Kind() == telemetry.KindNone || !s.InRange(v.Float()) {
		r.Quality = telemetry.QualityDoubtful
	}
	return r
}

// read takes a text, bytes or bits out of the data.
func (f *field) read(data []byte) Reading {
	r := Reading{Signal: f.target}
	end := len(data)
	if f.Bits > 0 {
		end = min(end, f.Byte+(f.Bits+7)/8)
	}
	b := data[min(f.Byte, end):end]
	switch f.Kind {
	case Bytes:
		r.Value = telemetry.Bytes(b)
	case Bits:
		digits := make([]byte, 0, 8*len(b))
		for i := range 8 * len(b) {
			digits = append(digits, '0'+b[i/8]>>(7-i%8)&1)
		}
		if f.Bits > 0 {
			digits = digits[:min(f.Bits, len(digits))]
		}
		r.Value = telemetry.Text(string(digits))
	default:
		for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == ' ' || b[len(b)-1] == 0xFF) {
			b = b[:len(b)-1] // filler
		}
		s := string(b)
		for _, c := range []byte(s) {
			if c < ' ' || c > '~' { // no text: its bytes
				s, r.Quality = hexOf(b), telemetry.QualityDoubtful
				break
			}
		}
		r.Value = telemetry.Text(s)
	}
	return r
}

func hexOf(b []byte) string {
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, upperHex[c>>4], upperHex[c&15])
	}
	return string(out)
}
