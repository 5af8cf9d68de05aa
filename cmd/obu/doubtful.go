package main

import (
	"strconv"
	"strings"

	"obu/can/obd"
	"obu/internal/config"
	"obu/telemetry"
)

// What may be meant as it stands is told and not refused: bytes of a PID that
// only the maker knows, a path of one's own, a bus that is silent for a while.

// idleBuses returns the ECUs that are asked nothing, as their bus is only
// listened to, and the PIDs that no standard explains.
func idleBuses(cfg *config.Config) (idle []idleEntry) {
	for b, c := range cfg.CAN {
		bus := "can." + strconv.Itoa(b)
		e := idleEntry{Origin: cfg.Origin(bus + ".uds.0"), list: "uds", entry: 1, what: "is asked nothing"}
		switch {
		case len(c.UDS) == 0:
		case c.J1939.Enabled:
			e.name, e.cure = "j1939 is on, and on such a network nobody is asked by UDS", "remove uds from this bus, or j1939"
			idle = append(idle, e)
		case !c.OBD.Enabled:
			e.name, e.cure = "obd.enabled is false, so this bus is only listened to", "write obd: {enabled: true}, or remove uds"
			idle = append(idle, e)
		}
		for i, p := range c.OBD.PIDs {
			if n := byte(p.PID); obd.Size(n) == 0 && !obd.HasFormula(n) {
				idle = append(idle, idleEntry{Origin: cfg.Origin(bus + ".obd.pids." + strconv.Itoa(i)), list: "pids", entry: i + 1,
					what: "is no PID of SAE J1979 that is known", name: p.PID.String(),
					cure: "compare it with the standard, or with what the maker says: what a vehicle answers is kept as bytes"})
			}
		}
	}
	return idle
}

// doubtfulPaths returns the entries whose path is one slip of the finger away
// from one of VSS.
func doubtfulPaths(cfg *config.Config) (idle []idleEntry) {
	doubt := func(where, key, list string, entry int, path string) {
		if near := nearPath(path); near != "" {
			idle = append(idle, idleEntry{Origin: cfg.Origin(where + "." + key), list: list, entry: entry + 1, what: notOfVSS, name: path, near: []string{near}})
		}
	}
	for b, c := range cfg.CAN {
		bus := "can." + strconv.Itoa(b)
		for i, v := range c.VSS {
			doubt(bus+".vss."+strconv.Itoa(i), "path", "vss", i, v.Path)
		}
		for e, ecu := range c.UDS {
			for d, did := range ecu.DIDs {
				for i, s := range did.Signals {
					doubt(bus+".uds."+strconv.Itoa(e)+".dids."+strconv.Itoa(d)+".signals."+strconv.Itoa(i), "name", "signals of DID "+did.DID.String(), i, s.Name)
				}
			}
		}
	}
	return idle
}

const notOfVSS = "has a path that VSS does not"

// nearPath returns the path of VSS that may be meant by one that VSS does not
// have, "" where it looks like nobody's slip.
func nearPath(path string) string {
	if _, known := telemetry.Declared(path); known || !strings.HasPrefix(strings.ToLower(path), "vehicle.") {
		return ""
	}
	names := telemetry.CorePaths(path)
	for _, s := range telemetry.Signals() {
		names = append(names, s.Name)
	}
	return config.Slip(path, names)
}
