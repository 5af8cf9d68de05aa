package can

import (
	"hash/maphash"
	"slices"
	"strings"

	"obu/can/obd"
	"obu/can/uds"
	"obu/telemetry"
)

// maxMemory bounds the facts remembered of the ECUs of a bus; beyond it they are told each
// time. A car has a dozen for each ECU.
const maxMemory = 4096

// memory remembers what ECUs have said, so that an event tells what is new:
// trouble codes that came and went, a VIN, readiness. It survives a lost device.
// One goroutine at a time uses it.
type memory struct {
	seed  maphash.Seed
	last  map[memoryKey]uint64 // hash of the value
	codes map[memoryKey]string // lists of trouble codes
	dtcs  map[ecuKey][]uds.DTC // those of ECUs that are asked by UDS
}

type memoryKey struct {
	ecu    ecuKey
	signal string
}

func newMemory() *memory {
	return &memory{seed: maphash.MakeSeed(), last: make(map[memoryKey]uint64), codes: make(map[memoryKey]string),
		dtcs: make(map[ecuKey][]uds.DTC)}
}

// changed reports whether a fact is new, and remembers it.
func (m *memory) changed(ecu ecuKey, signal *telemetry.Signal, v telemetry.Value) bool {
	k, h := memoryKey{ecu, signal.Name}, maphash.String(m.seed, v.String())
	before, known := m.last[k]
	if known || len(m.last) < maxMemory {
		m.last[k] = h
	}
	return !known || before != h
}

// events returns the readings of an answer that are news: changed facts, and
// for a list of trouble codes what appeared and what was cleared since the one
// before. fresh reports stored codes that were not there before.
func (m *memory) events(dst []obd.Reading, ecu ecuKey, service byte, readings []obd.Reading) (news []obd.Reading, fresh bool) {
	appeared, cleared, isList := obd.CodeChanges(service)
	for _, r := range readings {
		if service == obd.ServiceFreeze {
			dst = append(dst, r) // asked for when it is new
			continue
		}
		if !m.changed(ecu, r.Signal, r.Value) {
			continue
		}
		dst = append(dst, r)
		if !isList {
			continue
		}
		k, list := memoryKey{ecu, r.Signal.Name}, r.Value.Text()
		before, known := m.codes[k]
		if known || len(m.codes) < maxMemory {
			m.codes[k] = list
		}
		came := missing(list, before)
		fresh = fresh || service == obd.ServiceStored && came != ""
		if !known {
			continue // the first list: nobody knows since when
		}
		if came != "" {
			dst = append(dst, obd.Reading{Signal: appeared, Value: telemetry.Text(came), Quality: r.Quality})
		}
		if went := missing(before, list); went != "" {
			dst = append(dst, obd.Reading{Signal: cleared, Value: telemetry.Text(went), Quality: r.Quality})
		}
	}
	return dst, fresh
}

// missing returns the codes of list that are not in other.
func missing(list, other string) string {
	if list == "" {
		return ""
	}
	there := strings.Split(other, ",")
	out := slices.DeleteFunc(strings.Split(list, ","), func(code string) bool { return slices.Contains(there, code) })
	return strings.Join(out, ",")
}
