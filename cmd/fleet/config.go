package main

import (
	"time"

	"obu/internal/config"
)

// agentConfig is the configuration of one agent of the fleet: what a
// technician would write for this car, and no more.
func agentConfig(c *car, o *options, fleet, broker, dir string) config.Config {
	cfg := config.Default()
	cfg.Unit, cfg.Vehicle, cfg.Fleet = c.unit, "car-"+c.unit, fleet
	cfg.Buffer.Dir = dir
	cfg.Uplink.Broker, cfg.Uplink.LiveEvery = broker, config.Duration(o.Live)
	cfg.Uplink.Custody = o.Custody
	if o.Restart > 0 { // a receiver that lost something has it back within the run
		cfg.Uplink.ReceiptPatience = config.Duration(receiptPatience)
	}
	cfg.Status.Socket = "none"
	if c.recorded != nil {
		return cfg // the recording says what there is
	}
	cfg.GPS = &config.GPS{Device: "gps", Baud: 9600, Name: "gps"}
	switch c.load {
	case loadTrack:
		bus := config.CAN{Device: "can0", Bitrate: 500000, OBD: config.OBD{Enabled: true,
			Period: config.Duration(time.Second), Addressing: "11bit", MaxRequestsPerSecond: 20,
			PIDsPerRequest: 6, DTC: true, DTCEvery: config.Duration(time.Minute), FreezeFrame: true, VehicleInfo: true}}
		for _, pid := range trackPIDs {
			bus.OBD.PIDs = append(bus.OBD.PIDs, config.PID{PID: config.PIDNumber(pid)})
		}
		cfg.CAN = []config.CAN{bus}
	case loadCity:
		cfg.Dashcam = []config.Dashcam{{Camera: "front", Dir: c.clips, Settle: config.Duration(2 * time.Second)}}
	}
	return cfg
}
