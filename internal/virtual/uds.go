package virtual

import (
	"math"

	"obu/can"
	"obu/telemetry"
)

// Services of ISO 14229-1 that the engine answers, and what it says when asked
// for others.
const (
	serviceDTC     = 0x19
	serviceData    = 0x22
	byStatusMask   = 0x02
	dtcSnapshot    = 0x04
	dtcExtended    = 0x06
	accessDenied   = 0x33
	responseIsLate = 0x78

	didVIN   = 0xF190
	didDrive = 0x1001 // engine speed, coolant temperature, flags
	didLoad  = 0x1002 // load with a sign
)

// udsCode is P0301 with the failure type 00, and its status: failed, confirmed,
// lamp on.
const (
	udsCode   = "\x03\x01\x00"
	udsStatus = 0x89
	udsText   = "P0301-00"
)

// UDSFault is how the engine misbehaves when it is asked by UDS.
type UDSFault uint8

// The faults of an ECU.
const (
	UDSWell       UDSFault = iota
	UDSRefuses             // security access denied, to all
	UDSPending             // puts off twice, then answers
	UDSUnending            // puts off and never answers
	UDSBreaksOff           // a long answer ends after its first frame
	UDSWrongDID            // answers with another DID than asked for
	UDSCutShort            // leaves out the last byte
	UDSOneAtATime          // refuses several DIDs in one request
)

// UDSOptions make the engine answer services 22 and 19.
type UDSOptions struct {
	On    bool
	Fault UDSFault
}

// UDS signal names of the car, as its journal has them.
const (
	SimVIN       = "Sim.VIN"
	SimSpeed     = "Sim.EngineSpeed"        // DID 1001, bytes 0 and 1, 0.25 rpm
	SimCoolant   = "Sim.CoolantTemperature" // DID 1001, byte 2, -40 °C
	SimFault     = "Sim.IsFaulty"           // DID 1001, byte 3, bit 0
	SimLoad      = "Sim.Load"               // DID 1002, bytes 0 and 1, signed, 0.01 %
	udsCodesName = "Vehicle.Obu.UDS.DTC"
)

// did returns the data of a DID and what it says; nil for one there is not.
func (c *Car) did(id int, s *State, faulty bool) ([]byte, []said) {
	switch id {
	case didVIN:
		return []byte(c.VIN), []said{{signal: SimVIN, value: telemetry.Text(c.VIN)}}
	case didDrive:
		speed, coolant, flags := int64(math.Round(4*s.RPM)), int64(math.Round(s.CoolantC))+40, byte(0xF0)
		if faulty {
			flags |= 1
		}
		return []byte{byte(speed >> 8), byte(speed), byte(coolant), flags}, []said{
			{signal: SimSpeed, value: telemetry.Float(float64(speed) / 4)},
			{signal: SimCoolant, value: telemetry.Int(coolant - 40)},
			{signal: SimFault, value: telemetry.Int(int64(flags & 1))},
		}
	case didLoad:
		load := int64(math.Round(1e4 * (s.Load - 0.3)))
		return []byte{byte(load >> 8), byte(load)}, []said{{signal: SimLoad, value: telemetry.Float(float64(load) / 100)}}
	}
	return nil, nil
}

// enhanced answers services 22 and 19; a refusal is a negative answer.
func (c *Car) enhanced(e *ecu, req []byte, o ECUOptions) ([]byte, []said) {
	refuse := func(code byte) ([]byte, []said) { return []byte{negative, req[0], code}, nil }
	if o.UDS.Fault == UDSRefuses {
		return refuse(accessDenied)
	}
	if req[0] == serviceDTC {
		if reply, values := c.udsCodes(e, req, o); reply != nil {
			return reply, values
		}
		return refuse(outOfRange)
	}
	if len(req) < 3 || len(req)%2 != 1 || o.UDS.Fault == UDSOneAtATime && len(req) > 3 {
		return refuse(0x13) // incorrect length
	}
	state := c.stateAt(c.clk.Now())
	stands, _ := c.fault(e, o)
	reply := []byte{serviceData + positive}
	var values []said
	for b := req[1:]; len(b) > 0; b = b[2:] {
		data, v := c.did(int(b[0])<<8|int(b[1]), &state, stands)
		if data == nil {
			continue // ISO 14229-1: those it has
		}
		reply, values = append(append(reply, b[0], b[1]), data...), append(values, v...)
	}
	switch {
	case len(reply) == 1:
		return refuse(outOfRange)
	case o.UDS.Fault == UDSWrongDID:
		reply[1] ^= 0x80
		return reply, nil
	case o.UDS.Fault == UDSCutShort:
		return reply[:len(reply)-1], nil
	case o.UDS.Fault == UDSBreaksOff && len(reply) > 7:
		return reply, nil
	}
	return reply, values
}

// udsCodes answers service 19; nil for what the engine does not have. The list
// is journalled when it has changed, as the agent tells it.
func (c *Car) udsCodes(e *ecu, req []byte, o ECUOptions) ([]byte, []said) {
	stands, _ := c.fault(e, o)
	switch {
	case len(req) == 3 && req[1] == byStatusMask:
		reply, list := []byte{serviceDTC + positive, byStatusMask, 0xFF}, ""
		if stands && req[2]&udsStatus != 0 {
			reply, list = append(append(reply, udsCode...), udsStatus), udsText
		}
		before, asked := e.self.told[serviceDTC]
		if e.self.told == nil {
			e.self.told = make(map[byte]string)
		}
		if e.self.told[serviceDTC] = list; asked && list == before {
			return reply, nil
		}
		values := []said{{signal: udsCodesName + "List", value: telemetry.Text(list)}}
		if list != "" {
			values = append(values, said{signal: udsCodesName + "Status", value: telemetry.Text(list + "=testFailed+confirmedDTC+warningIndicatorRequested")})
		}
		if asked && list != "" {
			values = append(values, said{signal: udsCodesName + "Appeared", value: telemetry.Text(list)})
		}
		if asked && list == "" {
			values = append(values, said{signal: udsCodesName + "Cleared", value: telemetry.Text(before)})
		}
		return reply, values
	case len(req) == 6 && stands && string(req[2:5]) == udsCode && req[1] == dtcSnapshot:
		data, values := c.did(didDrive, e.self.frame, true)
		for i := range values {
			values[i].of, values[i].frozen = "/"+udsText+"/1", true
		}
		reply := append([]byte{serviceDTC + positive, dtcSnapshot}, udsCode...)
		return append(append(reply, udsStatus, 1, 1, didDrive>>8, didDrive&0xFF), data...), values
	case len(req) == 6 && stands && string(req[2:5]) == udsCode && req[1] == dtcExtended:
		reply := append([]byte{serviceDTC + positive, dtcExtended}, udsCode...)
		return append(reply, udsStatus, 1, 3), []said{{signal: "Vehicle.Obu.UDS.ExtendedData", value: telemetry.Bytes([]byte{1, 3}), of: "/" + udsText}}
	}
	return nil, nil
}

// putOff sends the negative answers that come before an answer, and reports
// whether that comes at all.
func (c *Car) putOff(bus can.Bus, e *ecu, req []byte, o ECUOptions) (answers bool, err error) {
	if req[0] != serviceData || o.UDS.Fault != UDSPending && o.UDS.Fault != UDSUnending {
		return true, nil
	}
	for range 2 {
		if err := bus.Send(e.frame([]byte{3, negative, req[0], responseIsLate}, o)); err != nil {
			return false, err
		}
	}
	return o.UDS.Fault == UDSPending, nil
}
