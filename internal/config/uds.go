package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"obu/can/uds"
	"obu/telemetry"
)

// CANID is an identifier of a frame, written as hexadecimal digits.
type CANID uint32

// Extended reports whether it has 29 bits.
func (c CANID) Extended() bool { return c > 0x7FF }

// String returns three hexadecimal digits, or eight.
func (c CANID) String() string {
	if c.Extended() {
		return uds.Hex(uint32(c), 8)
	}
	return uds.Hex(uint32(c), 3)
}

// DIDNumber identifies data of an ECU, written as four hexadecimal digits.
type DIDNumber uint16

// String returns four hexadecimal digits.
func (n DIDNumber) String() string { return uds.Hex(uint32(n), 4) }

// HexByte is written as two hexadecimal digits.
type HexByte uint8

// String returns two hexadecimal digits.
func (b HexByte) String() string { return uds.Hex(uint32(b), 2) }

// hexDigits reads so many hexadecimal digits at most, with 0x in front or not.
func hexDigits(text string, most int) (uint32, bool) {
	digits := strings.TrimPrefix(strings.TrimPrefix(text, "0x"), "0X")
	v, err := strconv.ParseUint(digits, 16, 32)
	return uint32(v), err == nil && len(digits) <= most
}

func (c *CANID) parse(text string) *problem {
	v, ok := hexDigits(text, 8)
	if !ok || v == 0 || v >= 1<<29 {
		return &problem{fmt.Sprintf("`%s` is not an identifier of a CAN frame", cut(text)), "write hexadecimal digits, three or eight: 7E4 or 18DA10F1"}
	}
	*c = CANID(v)
	return nil
}

func (n *DIDNumber) parse(text string) *problem {
	v, ok := hexDigits(text, 4)
	if !ok {
		return &problem{fmt.Sprintf("`%s` is not a DID", cut(text)), "write four hexadecimal digits, for example F190 for the VIN"}
	}
	*n = DIDNumber(v)
	return nil
}

func (b *HexByte) parse(text string) *problem {
	v, ok := hexDigits(text, 2)
	if !ok {
		return &problem{fmt.Sprintf("`%s` is not a byte", cut(text)), "write two hexadecimal digits, for example 09"}
	}
	*b = HexByte(v)
	return nil
}

// checkValueName holds a text against what may name a value.
func checkValueName(text string) *problem {
	const cure = "use letters, digits and _ with points between: Vehicle.Powertrain.TractionBattery.StateOfCharge.Current"
	if text == "" || len(text) > 2*maxName || strings.Trim(text, ".") != text || strings.Contains(text, "..") {
		return &problem{fmt.Sprintf("`%s` cannot be the name of a value", cut(text)), cure}
	}
	for _, r := range text {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' {
			return &problem{fmt.Sprintf("`%c` cannot be part of the name of a value", r), cure}
		}
	}
	return nil
}

// kinds are the words of a signal's type.
var kinds = map[string]uds.Kind{"number": uds.Number, "float": uds.Float, "text": uds.Text, "bytes": uds.Bytes, "bits": uds.Bits}

// UDS returns the DID as package uds takes it.
func (d *DID) UDS() uds.DID {
	out := uds.DID{ID: uint16(d.DID), Length: d.Length}
	for _, s := range d.Signals {
		u := uds.Signal{Name: s.Name, Unit: s.Unit, Kind: kinds[s.Type], Byte: s.Byte, Bits: s.Bits, Little: s.ByteOrder == "little",
			Signed: s.Signed, Scale: string(s.Scale), Offset: string(s.Offset), Bit: int(s.Bit.Or(7))}
		if u.Little {
			u.Bit = int(s.Bit.Or(0))
		}
		switch {
		case s.Bytes > 0:
			u.Bits = 8 * s.Bytes
		case u.Bits == 0 && (u.Kind == uds.Number || u.Kind == uds.Bits):
			u.Bits = 8
		case u.Bits == 0 && u.Kind == uds.Float:
			u.Bits = 32
		}
		out.Signals = append(out.Signals, u)
	}
	return out
}

// complete gives an ECU the identifier of its answers, where none is set.
func (e *ECU) complete() {
	switch {
	case e.Response != 0:
	case e.Request.Extended():
		e.Response = 0x18DAF100 | e.Request>>8&0xFF
	default:
		e.Response = e.Request + 8
	}
}

// ecus reports what cannot be among the ECUs of a bus.
func (d *decoder) ecus(path string, all []ECU) {
	d.onlyOnce(path, len(all), "name", func(i int) string { return all[i].Name }, "give each ECU its own name")
	for i := range all {
		e := &all[i]
		p := index(path, i)
		if e.Request == 0 {
			continue // reported already
		}
		e.complete()
		extended := e.Request.Extended()
		switch {
		case extended && e.Request&^0xFF00 != 0x18DA00F1, !extended && (e.Request < 0x700 || e.Request == 0x7DF || e.Request >= 0x7E8 && e.Request <= 0x7EF):
			d.conflict(p+".request", fmt.Sprintf("an ECU may not be asked with %v", e.Request), "the agent asks one ECU by 700 to 7FF without 7DF (all of them) and 7E8 to 7EF (answers), or by 18DAxxF1")
		case extended != e.Response.Extended() || extended && e.Response&^0xFF != 0x18DAF100 || e.Response == 0x7DF || e.Response == e.Request:
			d.conflict(p+".response", fmt.Sprintf("%v does not answer %v", e.Response, e.Request), "both have three digits, or 18DAxxF1 is answered by 18DAF1xx; without the line it is what is usual")
		case e.Addressing != "normal" && (extended || e.Response >= 0x7E8 && e.Response <= 0x7EF):
			d.conflict(p+".addressing", "these identifiers have no address byte", "remove the line: 7E0 to 7EF and 18DA say by themselves who is meant")
		case e.Addressing != "normal" && e.Address == 0:
			d.conflict(p+".addressing", "there is no `address`", "add `address`, the byte in front of each frame to this ECU, for example 12")
		case e.Addressing == "normal" && e.Address != 0:
			d.conflict(p+".address", "the addressing is normal, without a byte in front", "add `addressing: extended` or `addressing: mixed`, or remove the line")
		case len(e.DIDs) == 0 && !e.DTC.Enabled:
			d.conflict(p, fmt.Sprintf("ECU `%s` is asked for nothing", e.Name), "add `dids` or `dtc: true`")
		}
		d.onlyOnce(p+".dids", len(e.DIDs), "", func(i int) string { return e.DIDs[i].key() }, "put the signals into one entry")
		for j := range e.DIDs {
			d.did(index(p+".dids", j), &e.DIDs[j])
		}
	}
	d.onlyOnce(path, len(all), "", func(i int) string { return all[i].answers() }, "put both into one entry, or correct `response`")
	for i := range all {
		e := &all[i]
		for _, o := range all[:i] {
			switch {
			case o.Name == e.Name || e.Request == 0 || o.Request == 0: // reported already
			case e.Request == o.Response || o.Request == e.Response:
				d.conflict(index(path, i)+".request", fmt.Sprintf("one of ECU `%s` and `%s` is asked with what the other answers with", o.Name, e.Name), "correct `request` or `response`: two nodes must not send with one identifier")
			case e.Response == o.Response && (e.Addressing == "normal") != (o.Addressing == "normal"):
				d.conflict(index(path, i)+".request", fmt.Sprintf("ECU `%s` and `%s` answer with %v, with and without an address byte", o.Name, e.Name, e.Response), "correct `addressing` or `response`: nobody can tell such frames apart")
			}
		}
	}
}

// key is by what a DID is known, "" of one that was reported already.
func (d *DID) key() string {
	if d.DID == 0 {
		return ""
	}
	return d.DID.String()
}

// answers is by what an ECU's answers are known.
func (e *ECU) answers() string {
	if e.Addressing == "mixed" {
		return e.Response.String() + "/" + e.Address.String()
	}
	return e.Response.String()
}

// did reports what cannot be in a DID.
func (d *decoder) did(path string, c *DID) {
	list := path + ".signals"
	if !d.spare {
		d.onlyOnce(list, len(c.Signals), "name", func(i int) string { return c.Signals[i].Name }, "two values would mix: give one of them another name")
	}
	for i, s := range c.Signals {
		p := index(list, i)
		if s.Scale.Or(1) == 0 && !d.spare {
			d.conflict(p+".scale", "with a scale of 0 each value is the offset", "write what one step of the raw number is worth, 0.5 for example, or remove the line: then it is 1")
		}
		if core, known := telemetry.Declared(s.Name); known && s.Unit != "" && telemetry.UnitName(s.Unit) != core.Unit && !d.spare {
			d.conflict(p+".unit", "the path is in "+cmp.Or(core.Unit, "no unit"), "convert with scale and offset and remove `unit`, or choose another name")
			return
		}
		if b := s.Bit.Or(0); b != float64(int(b)) || b < 0 || b > 7 {
			d.conflict(p+".bit", fmt.Sprintf("there is no bit %s in a byte", s.Bit), "7 is the highest and 0 the lowest")
			return
		}
		if s.Bits > 0 && s.Bytes > 0 {
			d.conflict(p+".bits", "there are `bits` and `bytes`", "one of the two says how long it is: remove the other")
			return
		}
	}
	one := c.UDS()
	if _, err := uds.Compile([]uds.DID{one}); err != nil {
		what, cure := err.Error(), "compare it with `obu config example`"
		if i := strings.LastIndex(what, ": "); i > 0 {
			what, cure = what[:i], what[i+2:]
		}
		i := slices.IndexFunc(c.Signals, func(s DIDSignal) bool { return strings.Contains(what, "signal "+s.Name+":") })
		if i >= 0 {
			path = index(list, i)
		}
		d.conflict(path, what, cure)
	}
}
