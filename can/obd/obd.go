// Package obd reads and writes the answers of SAE J1979 (ISO 15031-5)
// services 01, 02, 03, 07, 09 and 0A: reassembled payloads in, readings of the
// signals in package telemetry out. The table of services and PIDs is data;
// looking a PID up is one array index.
//
// It knows neither CAN identifiers nor time, holds no state and starts no
// goroutine. Values are physical, in the unit of their signal; percent and
// newton metres stay as J1979 has them. Every number is a whole count of its
// signal's Step, so Decode gives the same bits everywhere. A PID without a
// formula gives its raw data bytes under Vehicle.Obu.OBD.Service01.PIDxx.
//
// Encode is the inverse used by simulators and tests.
package obd

import (
	"errors"
	"fmt"

	"obu/telemetry"
)

// Services of SAE J1979 that this package reads, and the two bytes that mark
// an answer: positive answers carry service + PositiveOffset.
const (
	ServiceCurrent   = 0x01 // current powertrain data
	ServiceFreeze    = 0x02 // freeze frame data
	ServiceStored    = 0x03 // confirmed DTCs
	ServicePending   = 0x07 // DTCs of this or the last driving cycle
	ServiceVehicle   = 0x09 // vehicle information
	ServicePermanent = 0x0A // permanent DTCs

	PositiveOffset = 0x40
	Negative       = 0x7F
)

// PIDs that steer the poller or need an own reader.
const (
	PIDStatus        = 0x01 // MIL, number of trouble codes, readiness
	PIDFreezeDTC     = 0x02 // the trouble code that stored the freeze frame
	PIDSupported     = 0x00 // and 20, 40 .. E0: bit map of the next 32 PIDs
	PIDEngineSpeed   = 0x0C
	PIDVehicleSpeed  = 0x0D
	PIDModuleVoltage = 0x42

	// Of service 09.
	PIDVIN           = 0x02
	PIDCalibration   = 0x04 // CALID
	PIDVerification  = 0x06 // CVN
	PIDInUseSpark    = 0x08 // in-use performance counters, spark ignition
	PIDName          = 0x0A // ECU name
	PIDInUseCompress = 0x0B // in-use performance counters, compression ignition
)

// Errors of Decode. They are counted by callers, never fatal.
var (
	// ErrShort: the answer ends before its last data byte; the ECU or the
	// transfer is damaged.
	ErrShort = errors.New("answer is too short")
	// ErrService: not a positive answer of a service this package reads.
	ErrService = errors.New("not a positive answer of a known service")
	// ErrVIN: service 09 PID 02 carried no printable text.
	ErrVIN = errors.New("no readable VIN")
)

// Reading is one value an ECU told.
type Reading struct {
	Signal *telemetry.Signal
	PID    byte // of services 01 and 02
	Value  telemetry.Value
	// Quality is live, doubtful outside the signal's range, or unsupported when
	// the support bits of the answer say so; the value is then what stood there.
	Quality telemetry.Quality
}

// Decode appends the readings of one reassembled positive answer to dst and
// returns it. Several PIDs in one answer are read one after the other. What
// could be read is returned beside an error.
func Decode(dst []Reading, payload []byte) ([]Reading, error) {
	if len(payload) == 0 {
		return dst, ErrShort
	}
	body := payload[1:]
	switch payload[0] {
	case ServiceCurrent + PositiveOffset:
		return decodeCurrent(dst, body)
	case ServiceFreeze + PositiveOffset:
		return decodeFreeze(dst, body)
	case ServiceVehicle + PositiveOffset:
		return decodeVehicle(dst, body)
	case ServiceStored + PositiveOffset:
		return decodeDTCs(dst, body, dtcSignals[0])
	case ServicePending + PositiveOffset:
		return decodeDTCs(dst, body, dtcSignals[1])
	case ServicePermanent + PositiveOffset:
		return decodeDTCs(dst, body, dtcSignals[2])
	}
	return dst, fmt.Errorf("decode %02X: %w", payload[0], ErrService)
}

// Known reports whether Decode reads positive answers that begin with b.
func Known(b byte) bool {
	switch b {
	case ServiceCurrent + PositiveOffset, ServiceFreeze + PositiveOffset, ServiceVehicle + PositiveOffset,
		ServiceStored + PositiveOffset, ServicePending + PositiveOffset, ServicePermanent + PositiveOffset:
		return true
	}
	return false
}

// decodeFreeze reads PID, frame number, data of service 02: one PID, for whose
// data service 01's rules hold. The readings are of the moment the trouble code
// came, the caller keeps them apart from current ones.
func decodeFreeze(dst []Reading, body []byte) ([]Reading, error) {
	if len(body) < 3 {
		return dst, fmt.Errorf("decode service 02: %w", ErrShort)
	}
	pid, data := body[0], body[2:]
	size := Size(pid)
	if size == 0 {
		return append(dst, Reading{Signal: raw02(pid), PID: pid, Value: telemetry.Bytes(data)}), nil
	}
	if !fits(pid, data) {
		return dst, fmt.Errorf("decode freeze frame PID %02X: %w: %d of %d bytes", pid, ErrShort, len(data), size)
	}
	return decodePID(dst, pid, data[:min(size, len(data))]), nil
}

// decodeCurrent reads PID, data, PID, data ... of service 01. An answer that
// does not fall exactly into known PIDs is read as its first PID alone.
func decodeCurrent(dst []Reading, body []byte) ([]Reading, error) {
	if len(body) < 2 {
		return dst, fmt.Errorf("decode service 01: %w", ErrShort)
	}
	if !several(body) {
		pid, data, size := body[0], body[1:], Size(body[0])
		if size == 0 {
			return append(dst, Reading{Signal: raw01(pid), PID: pid, Value: telemetry.Bytes(data)}), nil
		}
		if !fits(pid, data) {
			return dst, fmt.Errorf("decode PID %02X: %w: %d of %d bytes", pid, ErrShort, len(data), size)
		}
		first := len(dst)
		size = min(size, len(data))
		dst = decodePID(dst, pid, data[:size])
		if second := service01[pid].second; second != nil && len(data) == size+1 && !padding(data[size:]) {
			r := second.read(data)
			r.PID = pid
			return append(dst, r), nil
		}
		if !padding(data[size:]) {
			for i := first; i < len(dst); i++ {
				dst[i].Quality = telemetry.QualityDoubtful
			}
		}
		return dst, nil
	}
	for len(body) > 0 {
		size := Size(body[0])
		dst = decodePID(dst, body[0], body[1:1+size])
		body = body[1+size:]
	}
	return dst, nil
}

// fits reports whether data holds all it says it holds: what an ECU does not
// support may be left out at the end, as ECUs of older editions do.
func fits(pid byte, data []byte) bool {
	row := &service01[pid]
	if len(data) >= int(row.size) {
		return true
	}
	some := false
	for i := range row.fields {
		f := &row.fields[i]
		if f.needs == 0 || f.supported(data) && !f.within(data) {
			return false
		}
		some = some || f.supported(data)
	}
	return some
}

// Each calls yield for each PID of a positive answer of service 01 with its data
// bytes: for the first alone where the others cannot be told apart.
func Each(payload []byte, yield func(pid byte, data []byte)) {
	if len(payload) < 2 || payload[0] != ServiceCurrent+PositiveOffset {
		return
	}
	body := payload[1:]
	if !several(body) {
		yield(body[0], body[1:])
		return
	}
	for len(body) > 0 {
		size := Size(body[0])
		yield(body[0], body[1:1+size])
		body = body[1+size:]
	}
}

// Shares reports whether a PID can share an answer with others: its size is
// the same in every edition of the standard and in every car.
func Shares(pid byte) bool { return pid < 0x64 && Size(pid) > 0 && service01[pid].second == nil }

// several reports whether body is one PID after the other, without filler.
func several(body []byte) bool {
	size := Size(body[0])
	return tiles(body) && (len(body) <= 1+size || !padding(body[1+size:]))
}

// tiles reports whether body is a whole number of PIDs of known size.
func tiles(body []byte) bool {
	for len(body) > 0 {
		size := Size(body[0])
		if size == 0 || len(body) < 1+size {
			return false
		}
		body = body[1+size:]
	}
	return true
}

// padding reports whether b is filler: one of the bytes ECUs pad with, only.
func padding(b []byte) bool {
	for _, c := range b {
		if c != b[0] {
			return false
		}
	}
	return len(b) == 0 || b[0] == 0x00 || b[0] == 0x55 || b[0] == 0xAA || b[0] == 0xCC || b[0] == 0xFF
}

func decodePID(dst []Reading, pid byte, data []byte) []Reading {
	row := &service01[pid]
	if len(row.fields) == 0 {
		return append(dst, Reading{Signal: raw01(pid), PID: pid, Value: telemetry.Bytes(data)})
	}
	for i := range row.fields {
		f := &row.fields[i]
		if f.within(data) && f.present(data) {
			r := f.read(data)
			r.PID = pid
			dst = append(dst, r)
		}
	}
	return dst
}

// Size returns the number of data bytes of a service 01 PID, 0 when the table
// does not know it.
func Size(pid byte) int { return int(service01[pid].size) }

// Signals returns the signals a service 01 PID carries, in the order Decode
// gives and Encode takes them; a PID without a formula has its raw one.
func Signals(pid byte) []*telemetry.Signal {
	row := &service01[pid]
	if len(row.fields) == 0 {
		return []*telemetry.Signal{raw01(pid)}
	}
	out := make([]*telemetry.Signal, len(row.fields))
	for i := range row.fields {
		out[i] = row.fields[i].signal
	}
	return out
}

// PIDOf returns the service 01 PID that carries a signal, the first of two
// for the lambda of a wide range oxygen sensor.
func PIDOf(signal string) (pid byte, ok bool) {
	for p := range service01 {
		for i := range service01[p].fields {
			if service01[p].fields[i].signal.Name == signal {
				return byte(p), true
			}
		}
		if second := service01[p].second; second != nil && second.signal.Name == signal {
			return byte(p), true
		}
		if raw01(byte(p)).Name == signal {
			return byte(p), true
		}
	}
	return 0, false
}

// HasFormula reports whether a service 01 PID is read as quantities, not as
// raw bytes.
func HasFormula(pid byte) bool { return len(service01[pid].fields) > 0 }
