package obd

import (
	"encoding/binary"
	"fmt"
	"strings"

	"obu/telemetry"
)

var vinSignal = must("Vehicle.VehicleIdentification.VIN")

// decodeVehicle reads service 09: InfoType, number of items, data.
func decodeVehicle(dst []Reading, body []byte) ([]Reading, error) {
	if len(body) < 2 {
		return dst, fmt.Errorf("decode service 09: %w", ErrShort)
	}
	if body[0] != PIDVIN {
		if signal, text, ok := decodeInfo(body[0], body[1:]); ok {
			return append(dst, Reading{Signal: signal, Value: telemetry.Text(text)}), nil
		}
		return append(dst, Reading{Signal: raw09(body[0]), Value: telemetry.Bytes(body[1:])}), nil
	}
	text, sure := ParseVIN(body[2:])
	if text == "" {
		return dst, fmt.Errorf("decode service 09 PID 02: %w", ErrVIN)
	}
	r := Reading{Signal: vinSignal, Value: telemetry.Text(text)}
	if !sure {
		r.Quality = telemetry.QualityDoubtful
	}
	return append(dst, r), nil
}

// VINLength is the number of characters of ISO 3779.
const VINLength = 17

// ParseVIN strips the padding around the text of service 09 PID 02. It
// returns "" when the rest is not printable; sure says that it is a VIN as
// ISO 3779 has it: 17 characters, digits and capitals without I, O and Q.
func ParseVIN(data []byte) (vin string, sure bool) {
	for len(data) > 0 && vinPadding(data[0]) {
		data = data[1:]
	}
	for len(data) > 0 && vinPadding(data[len(data)-1]) {
		data = data[:len(data)-1]
	}
	s := string(data)
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return "", false
		}
	}
	if len(s) > maxVINText {
		return "", false
	}
	return s, ValidVIN(s)
}

// vinPadding reports whether c fills a VIN up. 55, a usual filler of frames,
// is the letter U.
func vinPadding(c byte) bool { return c == 0 || c == ' ' || c == 0xAA || c == 0xCC || c == 0xFF }

// maxVINText bounds what an ECU may tell as its VIN. Chassis numbers of some
// markets are shorter than 17; nothing real is longer than this.
const maxVINText = 32

// ValidVIN reports whether s has the length and the characters of ISO 3779.
func ValidVIN(s string) bool {
	if len(s) != VINLength {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' && c != 'I' && c != 'O' && c != 'Q') {
			return false
		}
	}
	return true
}

// decodeDTCs reads services 03, 07 and 0A as ISO 15765-4 lays them out: a
// count, then two bytes a code. The value is "P0301,P0420", "" for none.
func decodeDTCs(dst []Reading, body []byte, signal *telemetry.Signal) ([]Reading, error) {
	if len(body) < 1 || len(body) < 1+2*int(body[0]) {
		return dst, fmt.Errorf("decode trouble codes: %w", ErrShort)
	}
	codes := make([]string, 0, body[0])
	for i := range int(body[0]) {
		codes = append(codes, FormatDTC(binary.BigEndian.Uint16(body[1+2*i:])))
	}
	return append(dst, Reading{Signal: signal, Value: telemetry.Text(strings.Join(codes, ","))}), nil
}

// SupportedPIDs calls yield for every PID the four data bytes of a
// supported-PID bit map name; base is the PID of the map (00, 20, 40 ..).
func SupportedPIDs(base byte, bits []byte, yield func(pid byte)) {
	for i := range min(32, 8*len(bits)) {
		if bits[i/8]&(0x80>>(i%8)) != 0 && int(base)+1+i <= 0xFF {
			yield(base + 1 + byte(i))
		}
	}
}

// EncodeSupported is the inverse of SupportedPIDs.
func EncodeSupported(base byte, supported func(pid byte) bool) (bits [4]byte) {
	for i := range 32 {
		if int(base)+1+i <= 0xFF && supported(base+1+byte(i)) {
			bits[i/8] |= 0x80 >> (i % 8)
		}
	}
	return bits
}
