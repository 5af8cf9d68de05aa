package virtual

import (
	"fmt"
	"time"

	"obu/telemetry"
)

// Faults is when the engine's ECU finds something wrong: the code P0301
// (misfire of cylinder 1) is stored, pending and permanent, the lamp is lit and a
// freeze frame kept. Zero times mean never.
type Faults struct {
	After  time.Duration // since the start of the drive
	Repair time.Duration // since then it is cleared; permanent it stays
}

// codeP0301 is what the ECU stores, as on the wire and as people write it.
const (
	codeP0301 = "\x03\x01"
	textP0301 = "P0301"
)

// diagnosis is an ECU's self-test: what it has stored and said.
type diagnosis struct {
	frame *State          // when the code was stored
	told  map[byte]string // lists by service
}

// fault reports whether the code stands, and whether it ever came.
func (c *Car) fault(e *ecu, o ECUOptions) (stands, ever bool) {
	driven := c.clk.Now().Sub(c.origin)
	ever = e.vin && o.Faults.After > 0 && driven >= o.Faults.After
	stands = ever && (o.Faults.Repair == 0 || driven < o.Faults.Repair)
	if stands && e.self.frame == nil {
		state := c.stateAt(c.clk.Now())
		e.self.frame = &state
	}
	return stands, ever
}

// status answers PID 01: lamp, number of codes, spark ignition, the monitors
// it has, and that EVAP has not run.
func (c *Car) status(e *ecu, o ECUOptions) ([]byte, []said) {
	lamp, n := byte(0), int64(0)
	if stands, _ := c.fault(e, o); stands {
		lamp, n = 0x80, 1
	}
	return []byte{lamp | byte(n), 0x07, 0x65, 0x04}, []said{
		{signal: "Vehicle.OBD.Status.IsMILOn", value: telemetry.Bool(n > 0)},
		{signal: "Vehicle.Diagnostics.DTCCount", value: telemetry.Int(n)},
		{signal: "Vehicle.OBD.Status.IgnitionType", value: telemetry.Text("SPARK")},
		{signal: "Vehicle.Obu.OBD.Readiness.Supported", value: telemetry.Text("MIS,FUEL,CCM,CAT,EVAP,O2S,HTR")},
		{signal: "Vehicle.Obu.OBD.Readiness.Incomplete", value: telemetry.Text("EVAP")},
	}
}

// codes answers services 03, 07 and 0A. What came and went since the list
// before is journalled with it: the agent tells it.
func (c *Car) codes(e *ecu, service byte, o ECUOptions) ([]byte, []said) {
	stands, ever := c.fault(e, o)
	if service == servicePermanent {
		stands = ever
	}
	reply, list := []byte{service + positive, 0}, ""
	if stands {
		reply, list = append([]byte{service + positive, 1}, codeP0301...), textP0301
	}
	values := []said{{signal: codeLists[service], value: telemetry.Text(list)}}
	kind := map[byte]string{serviceStored: "Stored", servicePending: "Pending", servicePermanent: "Permanent"}[service]
	before, asked := e.self.told[service]
	if e.self.told == nil {
		e.self.told = make(map[byte]string)
	}
	e.self.told[service] = list
	if asked && list > before {
		values = append(values, said{signal: "Vehicle.Obu.Diagnostics." + kind + ".Appeared", value: telemetry.Text(list)})
	}
	if asked && list < before {
		values = append(values, said{signal: "Vehicle.Obu.Diagnostics." + kind + ".Cleared", value: telemetry.Text(before)})
	}
	return reply, values
}

// framePIDs are in the freeze frame.
var framePIDs = map[byte]bool{0x04: true, 0x05: true, 0x0C: true, 0x0D: true, 0x11: true}

// freeze answers service 02 of frame 0; nil without one.
func (c *Car) freeze(e *ecu, req []byte, o ECUOptions) ([]byte, []said) {
	if stands, _ := c.fault(e, o); !stands || len(req) != 3 || req[2] != 0 {
		return nil, nil
	}
	reply := []byte{serviceFreeze + positive, req[1], 0}
	switch req[1] {
	case 0x00:
		bits := uint32(1) << 30 // 02: which code it is of
		for id := range framePIDs {
			bits |= 1 << (32 - id)
		}
		return append(reply, byte(bits>>24), byte(bits>>16), byte(bits>>8), byte(bits)), nil
	case 0x02:
		return append(reply, codeP0301...), []said{{signal: "Vehicle.OBD.FreezeDTC", value: telemetry.Text(textP0301), frozen: true}}
	}
	for i := range e.pids {
		if p := &e.pids[i]; p.id == req[1] && framePIDs[p.id] {
			data, v := p.quantise(e.self.frame)
			return append(reply, data...), []said{{signal: p.name, value: v, frozen: true}}
		}
	}
	return nil, nil
}

// info answers service 09; nil for what the ECU does not have.
func (c *Car) info(e *ecu, id byte) ([]byte, []said) {
	reply := []byte{serviceInfo + positive, id}
	fact := func(signal, text string) []said { return []said{{signal: signal, value: telemetry.Text(text)}} }
	switch id {
	case 0x00:
		return append(reply, 0x55, 0x40, 0, 0), nil // 02, 04, 06, 08, 0A
	case infoVIN:
		return append(append(reply, 1), c.VIN...), fact("Vehicle.VehicleIdentification.VIN", c.VIN)
	case 0x04:
		id := fmt.Sprintf("SIM-%08X", uint32(c.seed))
		return append(append(append(reply, 1), id...), make([]byte, 16-len(id))...), fact("Vehicle.Obu.ECU.CalibrationIDs", id)
	case 0x06:
		n := uint32(c.seed*2654435761 + 1)
		return append(reply, 1, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)), fact("Vehicle.Obu.ECU.CVNs", fmt.Sprintf("%08X", n))
	case 0x08:
		return append(reply, 2, 0x04, 0x00, 0x0E, 0x10), fact("Vehicle.Obu.OBD.InUseCounters", "OBDCOND=1024,IGNCNTR=3600")
	case 0x0A:
		return append(append(reply, 1), "ECM\x00-EngineControl\x00\x00"...), fact("Vehicle.Obu.ECU.Name", "ECM-EngineControl")
	}
	return nil, nil
}
