package can

import (
	"errors"
	"fmt"
	"time"

	"obu/can/isotp"
	"obu/can/uds"
)

// ECU is a control unit that is asked by UDS (ISO 14229-1): enhanced
// diagnostics, beside OBD. It is asked by its physical identifier, in the
// default session, with services 22 and 19 alone.
type ECU struct {
	Name     string
	Bus      string // of a log: the interface it is on; "" for every one
	Request  uint32 // 700 to 7FF without 7DF, or 18DAxxF1
	Response uint32
	Extended bool // both have 29 bits
	// Addressing is isotp.Extended or isotp.Mixed of an ECU behind a byte of its
	// own, with 11-bit identifiers alone.
	Addressing isotp.Addressing
	Address    uint8 // that byte of our frames

	DIDs       []DIDPoll
	PerRequest int // DIDs asked for in one request; 0 and 1: one at a time
	Codes      CodesPoll
}

// DIDPoll is what a DID means and how often it is asked for.
type DIDPoll struct {
	uds.DID
	Every    time.Duration // at least MinPeriod
	OnChange bool          // tell a value only when it differs from the one before
}

// CodesPoll is how often an ECU is asked for its trouble codes.
type CodesPoll struct {
	Every    time.Duration // 0: never
	Mask     byte          // codes with one of these status bits
	Snapshot bool          // of a new code the snapshot is asked for, too
	Extended bool          // and its extended data
}

// enhanced is an ECU ready for use.
type enhanced struct {
	*ECU
	key      ecuKey
	table    *uds.Table
	onChange map[uint16]bool
	raw      bool // tell DIDs that nobody explains, too: of a log
}

// keyOf is the identifier of an ECU's answers.
func keyOf(id uint32, extended bool) ecuKey {
	if extended {
		id |= flagExtended
	}
	return ecuKey(id)
}

// testerAddress is ours, as in 18DAxxF1; with extended addressing it is the first
// byte of answers.
const testerAddress = 0xF1

// flagAddressed marks the key of an ECU behind an address byte, which stands
// above its 11-bit identifier.
const flagAddressed = 1 << 30

// addressedKey is the key of frames of an identifier with an address byte.
func addressedKey(id uint32, address uint8) ecuKey {
	return ecuKey(flagAddressed | uint32(address)<<16 | id)
}

// head is the number of address bytes in front of what is sent to an ECU.
func (e *enhanced) head() int {
	if e == nil || e.Addressing != isotp.Extended && e.Addressing != isotp.Mixed {
		return 0
	}
	return 1
}

// answerKey is the key of an ECU's answers.
func (e *ECU) answerKey() ecuKey {
	switch e.Addressing {
	case isotp.Extended:
		return addressedKey(e.Response, testerAddress)
	case isotp.Mixed:
		return addressedKey(e.Response, e.Address)
	}
	return keyOf(e.Response, e.Extended)
}

// CheckECUs reports what is wrong with ECUs of one bus. It wraps ErrConfig.
func CheckECUs(all []ECU) error {
	_, err := compileECUs(all, "")
	return err
}

// compileECUs returns the ECUs of a bus by the identifier of their answers.
func compileECUs(all []ECU, bus string) (map[ecuKey]*enhanced, error) {
	if len(all) == 0 {
		return nil, nil
	}
	out := make(map[ecuKey]*enhanced, len(all))
	for i := range all {
		e := &all[i]
		if e.Bus != "" && bus != "" && e.Bus != bus {
			continue
		}
		c := &enhanced{ECU: e, key: e.answerKey(), onChange: make(map[uint16]bool)}
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("%w: ECU %s: %w", ErrConfig, e.Name, err)
		}
		dids := make([]uds.DID, len(e.DIDs))
		for i, d := range e.DIDs {
			dids[i], c.onChange[d.ID] = d.DID, d.OnChange
		}
		var err error
		if c.table, err = uds.Compile(dids); err != nil {
			return nil, fmt.Errorf("%w: ECU %s: %w", ErrConfig, e.Name, err)
		}
		if other := out[c.key]; other != nil {
			return nil, fmt.Errorf("%w: ECU %s answers with %s, and so does %s: put both into one entry, or correct response", ErrConfig, e.Name, c.key, other.Name)
		}
		for _, o := range out {
			if e.Request == o.Response || e.Response == o.Request {
				return nil, fmt.Errorf("%w: ECU %s is asked with what %s answers with, or the other way round: correct request or response", ErrConfig, e.Name, o.Name)
			}
			if e.Response == o.Response && c.head() != o.head() { // an address reads as a length, a length as an address
				return nil, fmt.Errorf("%w: ECU %s and %s answer with one id, with and without an address byte: correct response or addressing", ErrConfig, e.Name, o.Name)
			}
		}
		out[c.key] = c
	}
	return out, nil
}

// check holds an ECU against what may be asked at all.
func (e *enhanced) check() error {
	switch {
	case e.Extended && (e.Request&^0xFF00 != idRequest29 || e.Response&^0xFF != idResponse29):
		return errors.New("29-bit ids are 18DAxxF1 to ask and 18DAF1xx of the answer")
	case !e.Extended && !isPhysical(&Frame{ID: e.Request}):
		return errors.New("an ECU may be asked with 700 to 7FF (7DF is for all of them, 7E8 to 7EF are answers) or 18DAxxF1")
	case !e.Extended && (e.Response == 0 || e.Response > 0x7FF || e.Response == idFunctional11):
		return errors.New("its answers have an id of 001 to 7FF")
	case e.head() > 0 && e.Extended:
		return errors.New("an address byte goes with 11-bit ids alone: 18DAxxF1 has the address in the id")
	case e.head() > 0 && isOBD(ecuKey(e.Response)):
		return errors.New("7E8 to 7EF are answers without an address byte")
	case e.Request == e.Response:
		return errors.New("request and response are the same id")
	}
	for _, d := range e.DIDs {
		if d.Every < MinPeriod {
			return fmt.Errorf("DID %s every %v: the least is %v", uds.Hex(uint32(d.ID), 4), d.Every, MinPeriod)
		}
	}
	return nil
}

// request is a request to the ECU.
func (e *enhanced) request(payload []byte) request {
	q := request{service: payload[0], to: e, extended: e.Extended, size: uint8(len(payload))}
	copy(q.body[:], payload)
	return q
}

// ECUFilters pass the requests to ECUs and their answers.
func ECUFilters(all []ECU) (out []Filter) {
	for _, e := range all {
		mask := uint32(maskStandard)
		if e.Extended {
			mask = maskExtended
		}
		out = append(out, Filter{ID: e.Request, Mask: mask, Extended: e.Extended}, Filter{ID: e.Response, Mask: mask, Extended: e.Extended})
	}
	return out
}
