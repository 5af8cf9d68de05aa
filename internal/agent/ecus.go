package agent

import (
	"time"

	"obu/can"
	"obu/can/isotp"
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
