package can

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"obu/can/canlog"
	"obu/can/dbc"
	"obu/can/isotp"
	"obu/can/obd"
	"obu/can/uds"
	"obu/telemetry"
)

// Record is one value of a decoded log, with the recording's own time.
type Record struct {
	T       canlog.Stamp // of the answer's single or first frame
	Bus     string
	Source  string // address of the ECU's answers: "7E8", "18DAF110", "7E8/freeze" of a freeze frame; of J1939 the node's: "2A"
	Signal  *telemetry.Signal
	Value   telemetry.Value
	Quality telemetry.Quality
	Text    string // what a DBC calls the number; ""
}

// DecodeOptions say what Decode reads in a log.
type DecodeOptions struct {
	OBD       bool
	J1939     bool
	UDS       []ECU // whose answers to services 22 and 19 are read
	Databases []Database
}

// DecodeStats is what Decode met.
type DecodeStats struct {
	Frames    int // readable lines
	BadLines  int
	Answers   int // positive answers of a known service
	Negatives int
	Refusal   string             // the first of them that refuses: who, which service, why
	UDS       int                // positive answers of services 22 and 19
	Unheard   []string           // names of UDS's ECUs of which nothing was read
	Failed    int                // answers that could not be read
	Transfers [isotp.Reasons]int // ISO-TP transfers that broke, by isotp.Reason

	Messages uint64 // frames and transfers that a database knows
	Short    uint64 // signals of databases beyond the received length

	Groups GroupStats
}

// DecodeOBD is Decode for OBD answers alone.
func DecodeOBD(r io.Reader, emit func(Record) error, problem func(error)) (DecodeStats, error) {
	return Decode(r, DecodeOptions{OBD: true}, emit, problem)
}

// Decode reads a log that canlog.Reader knows, plain or gzip, and calls emit for each value of
// each OBD answer and each message of J1939 and of the databases in it, in the
// order they were complete. It keeps a bounded state per interface and repairs nothing.
// Lines, transfers and answers that cannot be read are counted and told to
// problem, which may be nil; the rest goes on. An error of emit ends it.
func Decode(r io.Reader, opt DecodeOptions, emit func(Record) error, problem func(error)) (DecodeStats, error) {
	d := &logDecoder{opt: opt, emit: emit, problem: problem, buses: make(map[string]*logBus), heard: make(map[string]bool)}
	if d.problem == nil {
		d.problem = func(error) {}
	}
	log := canlog.NewReader(r)
	for d.err == nil {
		var err error
		if d.entry, err = log.Next(); err == io.EOF {
			d.flush()
			return d.stats, d.err
		} else if err != nil {
			var bad *canlog.LineError
			if !errors.As(err, &bad) {
				return d.stats, err
			}
			d.stats.BadLines++
			d.problem(bad)
			continue
		}
		d.stats.Frames++
		e := &d.entry
		b := d.bus(e.Interface)
		b.digits = e.Stamp.Digits
		e.Frame.At = telemetry.At(e.Stamp.Nanos)
		if opt.OBD || len(opt.UDS) > 0 {
			b.frame(&e.Frame)
		}
		if b.broadcast != nil {
			b.broadcast.frame(&e.Frame)
		}
		if b.groups != nil {
			b.groups.frame(&e.Frame)
		}
	}
	return d.stats, d.err
}

// flush ends what the log left open.
func (d *logDecoder) flush() {
	for _, e := range d.opt.UDS {
		if !d.heard[e.Bus+"/"+e.Name] {
			d.stats.Unheard = append(d.stats.Unheard, e.Name)
		}
	}
	for _, b := range d.buses {
		b.decoder.flush()
		if b.broadcast != nil {
			b.broadcast.flush()
			d.stats.Messages += b.broadcast.messages
			d.stats.Short += b.broadcast.short
		}
		if b.groups != nil {
			b.groups.rx.Flush()
			d.stats.Groups.add(b.groups)
		}
	}
}

// logDecoder is the state of one Decode.
type logDecoder struct {
	opt     DecodeOptions
	emit    func(Record) error
	problem func(error)
	buses   map[string]*logBus
	stats   DecodeStats
	entry   canlog.Entry // being read

	diagnosis []uds.Reading   // scratch
	heard     map[string]bool // ECUs by bus and name

	err error
}

type logBus struct {
	*decoder
	broadcast *broadcast // nil: no database
	groups    *groups    // nil: J1939 is not read
	digits    uint8
	names     addresses
}

// bus returns the decoder of an interface. Interfaces beyond the bound share
// the one named "".
func (d *logDecoder) bus(iface string) *logBus {
	if b, ok := d.buses[iface]; ok {
		return b
	}
	if len(d.buses) >= canlog.MaxInterfaces {
		iface = ""
		if b, ok := d.buses[iface]; ok {
			return b
		}
	}
	b := &logBus{names: make(addresses)}
	b.decoder = newDecoder(&decoder{only: !d.opt.OBD, enhanced: d.ecus(iface),
		diagnostic: func(at telemetry.At, e *enhanced, payload []byte) { d.diagnostic(iface, b, at, e, payload) },
		answer: func(ecu ecuKey, payload []byte) {
			if e := b.enhanced[ecu]; e != nil {
				d.heard[e.Bus+"/"+e.Name] = true
			}
			if service, code, ok := obd.ParseNegative(payload); ok {
				if d.stats.Negatives++; d.stats.Refusal == "" && code != obd.NRCPending {
					d.stats.Refusal = b.names.name(ecu) + " refuses service " + uds.Hex(uint32(service), 2) + ", " + code.String()
				}
			} else if obd.Known(payload[0]) {
				d.stats.Answers++
			}
		},
		read: func(at telemetry.At, ecu ecuKey, payload []byte, readings []obd.Reading) {
			source := b.names.name(ecu)
			if payload[0] == obd.ServiceFreeze+obd.PositiveOffset {
				source += "/" + MethodFreeze
			}
			for _, r := range readings {
				rec := Record{canlog.Stamp{Nanos: int64(at), Digits: b.digits}, iface, source, r.Signal, r.Value, r.Quality, ""}
				d.give(rec)
			}
		},
		failed: func(_ telemetry.At, ecu ecuKey, err error) {
			d.stats.Failed++
			d.problem(&canlog.LineError{Line: d.entry.Line, Err: fmt.Errorf("%s: %w", b.names.name(ecu), err)})
		},
	}, func(f isotp.Fault) {
		d.stats.Transfers[f.Reason]++
		d.problem(&canlog.LineError{Line: d.entry.Line, Err: errors.New(b.names.name(ecuKey(f.ID)) + ": transfer" + broken(f.Reason.String(), f.Got, f.Want))})
	}, nil, nil)
	b.broadcast = newBroadcast(&broadcast{
		value: func(at telemetry.At, from ecuKey, s *dbc.Signal, raw int64, v telemetry.Value) {
			quality := telemetry.QualityLive
			if s.Absent(raw) {
				quality = telemetry.QualityUnsupported
			}
			d.give(Record{canlog.Stamp{Nanos: int64(at), Digits: b.digits}, iface, b.names.name(from), &s.Telemetry, v, quality, s.Text(raw)})
		},
		damaged: func(_ telemetry.At, from ecuKey, what string) {
			d.problem(&canlog.LineError{Line: d.entry.Line, Err: fmt.Errorf("%s: %s", b.names.name(from), what)})
		},
	}, iface, d.opt.Databases)
	if d.opt.J1939 {
		b.groups = d.groups(iface, b)
	}
	d.buses[iface] = b
	return b
}

// give passes a value on, until that fails.
func (d *logDecoder) give(r Record) {
	if d.err == nil {
		d.err = d.emit(r)
	}
}

// broken says in words why a transfer of some frames broke, by the name of its
// reason.
func broken(reason string, got, want int) string {
	switch reason {
	case "unexpected":
		return ": a frame whose beginning is not in the log, or was broken before"
	case "sequence":
		reason = "a frame is missing or out of order"
	case "timeout":
		reason = "the next frame came too late, or never"
	case "unfinished":
		reason = "the log ends"
	case "aborted":
		reason = "its sender broke it off or began anew"
	case "length":
		reason = "the length it announces cannot be"
	case "crowded":
		reason = "too many at once"
	case "malformed":
		reason = "a frame that cannot be read"
	}
	return ": " + reason + ", after " + strconv.Itoa(got) + " of " + strconv.Itoa(want) + " bytes"
}
