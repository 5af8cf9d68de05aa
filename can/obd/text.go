package obd

import (
	"strconv"
	"strings"
)

// pidList reads a supported-PID bit map as the PIDs it names: "01,03,04".
// The value is the PID of the bit map itself.
type pidList int

func (base pidList) format(n uint32) (string, bool) {
	var b strings.Builder
	for i := range 32 {
		if n&(1<<(31-i)) != 0 {
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteString(hexByte(byte(int(base) + 1 + i)))
		}
	}
	return b.String(), true
}

func (base pidList) parse(s string) (n uint32, ok bool) {
	for len(s) > 0 {
		var one string
		one, s, _ = strings.Cut(s, ",")
		v, err := strconv.ParseUint(one, 16, 8)
		i := int(v) - int(base) - 1
		if err != nil || i < 0 || i > 31 {
			return 0, false
		}
		n |= 1 << (31 - i)
	}
	return n, true
}

// ignition reads bit 3 of byte B of PID 01, in the words VSS allows.
type ignition struct{}

func (ignition) format(n uint32) (string, bool) {
	if n == 1 {
		return "COMPRESSION", true
	}
	return "SPARK", true
}

func (ignition) parse(s string) (uint32, bool) {
	if s == "COMPRESSION" {
		return 1, true
	}
	return 0, s == "SPARK"
}

// dtc reads two bytes as a trouble code, "P0301"; none is "".
type dtc struct{}

func (dtc) format(n uint32) (string, bool) {
	if n == 0 {
		return "", true
	}
	return FormatDTC(uint16(n)), true
}

func (dtc) parse(s string) (uint32, bool) {
	if s == "" {
		return 0, true
	}
	v, ok := ParseDTC(s)
	return uint32(v), ok
}

// FormatDTC returns a trouble code as SAE J2012 prints it: 0x0301 is "P0301",
// 0xC123 is "U0123".
func FormatDTC(code uint16) string {
	b := [5]byte{"PCBU"[code>>14], '0' + byte(code>>12&3)}
	for i := range 3 {
		b[2+i] = upperHex[code>>(8-4*i)&0xF]
	}
	return string(b[:])
}

// ParseDTC is the inverse of FormatDTC.
func ParseDTC(s string) (code uint16, ok bool) {
	if len(s) != 5 || s[1] < '0' || s[1] > '3' {
		return 0, false
	}
	system := strings.IndexByte("PCBU", s[0])
	rest, err := strconv.ParseUint(s[2:], 16, 16)
	if system < 0 || err != nil {
		return 0, false
	}
	return uint16(system)<<14 | uint16(s[1]-'0')<<12 | uint16(rest), true
}

// fuelStatus reads PID 03: the loop state of one or two fuel systems in the
// abbreviations of J1979, "CL" or "CL,OL-Drive"; "OFF" with the engine.
type fuelStatus struct{}

var loopStates = [...]string{"OL", "CL", "OL-Drive", "OL-Fault", "CL-Fault"}

func (fuelStatus) format(n uint32) (string, bool) {
	first, sure := loopState(byte(n >> 8))
	if byte(n) == 0 {
		return first, sure
	}
	second, alsoSure := loopState(byte(n))
	return first + "," + second, sure && alsoSure
}

func loopState(b byte) (string, bool) {
	if b == 0 {
		return "OFF", true
	}
	for i, name := range loopStates {
		if b == 1<<i {
			return name, true
		}
	}
	return "0x" + hexByte(b), false
}

func (fuelStatus) parse(s string) (uint32, bool) {
	var n uint32
	first, second, _ := strings.Cut(s, ",")
	for i, state := range [...]string{first, second} {
		b, ok := parseLoopState(state)
		if !ok {
			return 0, false
		}
		n |= uint32(b) << (8 - 8*i)
	}
	return n, true
}

func parseLoopState(s string) (byte, bool) {
	if s == "" || s == "OFF" {
		return 0, true
	}
	for i, name := range loopStates {
		if s == name {
			return 1 << i, true
		}
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(s, "0x"), 16, 8)
	return byte(v), err == nil && strings.HasPrefix(s, "0x")
}

const upperHex = "0123456789ABCDEF"

func hexByte(b byte) string { return string([]byte{upperHex[b>>4], upperHex[b&0xF]}) }
