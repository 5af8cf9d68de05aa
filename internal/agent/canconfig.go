package agent

import (
	"math"
	"time"

	"obu/can"
	"obu/can/isotp"
	"obu/can/j1939"
	"obu/internal/config"
)

// ECUs translates what the technician wrote for the ECUs of a bus that are
// asked by UDS.
func ECUs(all []config.ECU) []can.ECU {
	var out []can.ECU
	for _, c := range all {
		e := can.ECU{Name: c.Name, Request: uint32(c.Request), Response: uint32(c.Response), Extended: c.Request.Extended(),
			Address: uint8(c.Address), PerRequest: c.DIDsPerRequest}
		switch c.Addressing {
		case "extended":
			e.Addressing = isotp.Extended
		case "mixed":
			e.Addressing = isotp.Mixed
		}
		if c.DTC.Enabled {
			e.Codes = can.CodesPoll{Every: time.Duration(c.DTC.Period), Mask: byte(c.DTC.Mask), Snapshot: c.DTC.Snapshot, Extended: c.DTC.Extended}
		}
		for i := range c.DIDs {
			d := &c.DIDs[i]
			every := time.Duration(d.Period)
			if every == 0 {
				every = time.Duration(c.Period)
			}
			e.DIDs = append(e.DIDs, can.DIDPoll{DID: d.UDS(), Every: every, OnChange: d.OnChange})
		}
		out = append(out, e)
	}
	return out
}

// signalRules translates what the technician wrote about broadcast signals.
func signalRules(all []config.Signal) []can.Rule {
	var out []can.Rule
	for _, c := range all {
		r := can.Rule{Path: c.Path, Drop: !c.Keep, Timebased: time.Duration(c.Timebased),
			Change: c.Change.Or(0), Low: c.Above.Or(math.Inf(-1)), High: c.Below.Or(math.Inf(1))}
		if c.Curvelog != nil {
			r.MaxError, r.Buffer = c.Curvelog.MaxError.Or(0), c.Curvelog.Buffer
		}
		out = append(out, r)
	}
	return out
}

// requests are what a technician can have asked on a J1939 network.
var requests = map[string]j1939.PGN{"vin": j1939.PGNVehicleID, "component": j1939.PGNComponentID, "dm2": j1939.PGNDM2}

// j1939Config translates what the technician wrote for a network.
func j1939Config(c *config.J1939) *can.J1939Config {
	out := &can.J1939Config{Every: time.Duration(c.Period), Name: j1939.Name(c.Name), Address: uint8(c.Address)}
	for _, word := range c.Request {
		out.Requests = append(out.Requests, requests[word])
	}
	return out
}

// obdConfig translates what the technician wrote for a bus.
func obdConfig(c config.OBD) *can.OBDConfig {
	o := &can.OBDConfig{Passive: !c.Enabled, MaxRate: c.MaxRequestsPerSecond, Every: time.Duration(c.Period),
		Several: c.PIDsPerRequest, Codes: c.DTC, CodesEvery: time.Duration(c.DTCEvery), Freeze: c.DTC && c.FreezeFrame,
		SkipVIN: !c.VehicleInfo, Info: c.VehicleInfo}
	switch c.Addressing {
	case "11bit":
		o.Addressing = can.Address11
	case "29bit":
		o.Addressing = can.Address29
	}
	for _, p := range c.PIDs {
		every := time.Duration(p.Period)
		if every == 0 {
			every = time.Duration(c.Period)
		}
		o.Polls = append(o.Polls, can.Poll{PID: byte(p.PID), Every: every, OnChange: p.OnChange})
	}
	return o
}
