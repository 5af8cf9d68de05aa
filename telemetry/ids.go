package telemetry

// Stable ids: on the wire a signal of the table is a small number instead of
// its name, which would cost more than all the values of a short message. An
// id is the position in signalIDs, counted from 1.

const (
	// baselineIDs is how many ids the first release had. Every decoder knows
	// kind and step of these; those of later ids travel with the batch, so an
	// older decoder reads the values too.
	baselineIDs = 100

	// dynamicID is the first number that stands for a signal declared in the
	// body itself: dynamicID is the first of those, and so on.
	dynamicID = 4096
)

var idByName = func() map[string]uint32 {
	m := make(map[string]uint32, len(signalIDs))
	for i, name := range signalIDs {
		m[name] = uint32(i + 1)
	}
	return m
}()

// ID returns the stable number that stands for the signal on the wire, or 0
// for a signal that travels by name. Numbers are never reused.
func (s *Signal) ID() uint32 { return idByName[s.Name] }

// LookupID returns the signal of the table with that stable number.
func LookupID(id uint32) (*Signal, bool) {
	if id == 0 || id > uint32(len(signalIDs)) {
		return nil, false
	}
	s := signalByID[id-1]
	return s, s != nil
}

var signalByID = func() []*Signal {
	all := make([]*Signal, len(signalIDs))
	for i, name := range signalIDs {
		all[i] = signalByName[name]
	}
	return all
}()
