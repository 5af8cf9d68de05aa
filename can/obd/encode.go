package obd

import (
	"errors"
	"fmt"

	"obu/telemetry"
)

// ErrValue: the value does not fit into the PID's data bytes.
var ErrValue = errors.New("value does not fit")

// Encode returns the data bytes of a service 01 PID that carry the values, one
// per signal of Signals(pid), rounded to the nearest step: what an ECU puts
// behind 41 and the PID. A value of KindNone leaves its quantity out where
// J1979 can say so. A PID without a formula takes its raw bytes.
func Encode(pid byte, values ...telemetry.Value) ([]byte, error) {
	r := &service01[pid]
	if len(r.fields) == 0 {
		if len(values) != 1 || values[0].Kind() != telemetry.KindBytes || r.size != 0 && len(values[0].Text()) != int(r.size) {
			return nil, fmt.Errorf("encode PID %02X: %w: want its raw bytes", pid, ErrValue)
		}
		return []byte(values[0].Text()), nil
	}
	if len(values) != len(r.fields) {
		return nil, fmt.Errorf("encode PID %02X: %d values for %d signals", pid, len(values), len(r.fields))
	}
	data := make([]byte, r.size)
	for i := range r.fields {
		f := &r.fields[i]
		v := values[i]
		if i > 0 && f.names(&r.fields[i-1]) {
			continue
		}
		if v.Kind() == telemetry.KindNone && f.hasAbsent {
			data[f.at] |= byte(f.absent)
			continue
		}
		if !f.write(data, v) {
			return nil, fmt.Errorf("encode PID %02X: %w: %s of %s", pid, ErrValue, v, f.signal.Name)
		}
	}
	return data, nil
}

// names reports whether f is the word for the number g holds: it needs no bits.
func (f *field) names(g *field) bool {
	return f.text != nil && g.signal.Kind == telemetry.KindInt && f.at == g.at && f.width == g.width && f.mask == g.mask
}

// EncodeVIN returns the payload of the answer to service 09 PID 02.
func EncodeVIN(vin string) []byte {
	return append([]byte{ServiceVehicle + PositiveOffset, PIDVIN, 1}, vin...)
}

// EncodeNegative returns the payload of a negative answer to a service.
func EncodeNegative(service byte, code NRC) []byte { return []byte{Negative, service, byte(code)} }
