package obd

import (
	"encoding/binary"
	"fmt"
	"strings"

	"obu/telemetry"
)

var (
	infoTypesSignal    = must("Vehicle.Obu.OBD.InfoTypes")
	calibrationSignal  = must("Vehicle.Obu.ECU.CalibrationIDs")
	verificationSignal = must("Vehicle.Obu.ECU.CVNs")
	nameSignal         = must("Vehicle.Obu.ECU.Name")
	inUseSignal        = must("Vehicle.Obu.OBD.InUseCounters")
)

const (
	calibrationLength  = 16
	verificationLength = 4
	nameLength         = 20
)

// inUseSpark and inUseCompress are the counters of InfoTypes 08 and 0B in
// their order: COMP how often a monitor ran to its end, COND how often it could
// have.
var (
	inUseSpark = [...]string{"OBDCOND", "IGNCNTR", "CATCOMP1", "CATCOND1", "CATCOMP2", "CATCOND2", "O2SCOMP1", "O2SCOND1",
		"O2SCOMP2", "O2SCOND2", "EGRCOMP", "EGRCOND", "AIRCOMP", "AIRCOND", "EVAPCOMP", "EVAPCOND", "SO2SCOMP1", "SO2SCOND1",
		"SO2SCOMP2", "SO2SCOND2", "AFRICOMP1", "AFRICOND1", "AFRICOMP2", "AFRICOND2", "PFCOMP1", "PFCOND1", "PFCOMP2", "PFCOND2"}
	inUseCompress = [...]string{"OBDCOND", "IGNCNTR", "HCCATCOMP", "HCCATCOND", "NCATCOMP", "NCATCOND", "NADSCOMP", "NADSCOND",
		"PMCOMP", "PMCOND", "EGSCOMP", "EGSCOND", "EGRCOMP", "EGRCOND", "BPCOMP", "BPCOND", "FUELCOMP", "FUELCOND"}
)

// decodeInfo reads what follows the InfoType of service 09: the number of
// items, then the items. ok is false for an InfoType without a reading, and for
// one that is not laid out as J1979 says.
func decodeInfo(info byte, data []byte) (signal *telemetry.Signal, text string, ok bool) {
	n, items := int(data[0]), data[1:]
	switch info {
	case PIDSupported:
		if len(data) < 4 {
			return nil, "", false
		}
		text, _ = pidList(0).format(binary.BigEndian.Uint32(data))
		return infoTypesSignal, text, true
	case PIDCalibration:
		text, ok = texts(items, n, calibrationLength)
		return calibrationSignal, text, ok
	case PIDName:
		text, ok = texts(items, n, nameLength)
		return nameSignal, text, ok
	case PIDVerification:
		if n == 0 || len(items) < n*verificationLength {
			return nil, "", false
		}
		cvns := make([]string, n)
		for i := range cvns {
			cvns[i] = fmt.Sprintf("%08X", binary.BigEndian.Uint32(items[i*verificationLength:]))
		}
		return verificationSignal, strings.Join(cvns, ","), true
	case PIDInUseSpark:
		text, ok = counters(items, n, inUseSpark[:])
		return inUseSignal, text, ok
	case PIDInUseCompress:
		text, ok = counters(items, n, inUseCompress[:])
		return inUseSignal, text, ok
	}
	return nil, "", false
}

// texts reads n texts of size bytes, filled up with zeros: "a,b". An ECU name
// has its acronym in the first four bytes: "ECM-EngineControl".
func texts(items []byte, n, size int) (string, bool) {
	if n == 0 || len(items) < n*size {
		return "", false
	}
	out := make([]string, n)
	for i := range out {
		s := strings.ReplaceAll(string(items[i*size:(i+1)*size]), "\x00", "")
		out[i] = strings.TrimSpace(s)
		for _, c := range []byte(out[i]) {
			if c < ' ' || c > '~' {
				return "", false
			}
		}
	}
	return strings.Join(out, ","), true
}

// counters reads n numbers of two bytes with their names:
// "OBDCOND=1024,IGNCNTR=3600".
func counters(items []byte, n int, names []string) (string, bool) {
	if n == 0 || n > len(names) || len(items) < 2*n {
		return "", false
	}
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s=%d", names[i], binary.BigEndian.Uint16(items[2*i:]))
	}
	return strings.Join(out, ","), true
}

// facts are the quantities of service 01 that say what the car is or how far
// its self-test is: worth an event when they change, not a sample each time.
var facts = factSet(
	"Vehicle.Obu.OBD.Readiness.Supported", "Vehicle.Obu.OBD.Readiness.Incomplete",
	"Vehicle.Obu.OBD.DriveCycle.Enabled", "Vehicle.Obu.OBD.DriveCycle.Incomplete",
	"Vehicle.Obu.OBD.Standard", "Vehicle.Obu.OBD.FuelTypeName", "Vehicle.Obu.OBD.EmissionStandard",
)

func factSet(names ...string) map[*telemetry.Signal]bool {
	m := make(map[*telemetry.Signal]bool)
	for _, n := range names {
		m[must(n)] = true
	}
	return m
}

// IsFact reports whether a quantity of service 01 is told when it changes.
func IsFact(s *telemetry.Signal) bool { return facts[s] }

// CodeChanges are the signals that tell which trouble codes came and which
// went since the list of a service before; ok is false for other services.
func CodeChanges(service byte) (appeared, cleared *telemetry.Signal, ok bool) {
	c, ok := codeChanges[service]
	return c[0], c[1], ok
}

var codeChanges = map[byte][2]*telemetry.Signal{
	ServiceStored:    {must("Vehicle.Obu.Diagnostics.Stored.Appeared"), must("Vehicle.Obu.Diagnostics.Stored.Cleared")},
	ServicePending:   {must("Vehicle.Obu.Diagnostics.Pending.Appeared"), must("Vehicle.Obu.Diagnostics.Pending.Cleared")},
	ServicePermanent: {must("Vehicle.Obu.Diagnostics.Permanent.Appeared"), must("Vehicle.Obu.Diagnostics.Permanent.Cleared")},
}
