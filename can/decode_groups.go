package can

import (
	"fmt"

	"obu/can/canlog"
	"obu/can/j1939"
	"obu/can/obd"
	"obu/telemetry"
)

// groups returns the reader of J1939 for an interface of a log. Every message
// is told, also one that says again what the one before it said.
func (d *logDecoder) groups(iface string, b *logBus) *groups {
	var readings []j1939.Reading
	give := func(at telemetry.At, source uint8, all []j1939.Reading) {
		for _, r := range all {
			d.give(Record{canlog.Stamp{Nanos: int64(at), Digits: b.digits}, iface, nodeName(source), r.Signal, r.Value, r.Quality, ""})
		}
	}
	g := newGroups(&groups{
		said: give,
		fact: func(at telemetry.At, source uint8, kind int, payload []byte) {
			var err error
			pgn := j1939.FactPGN(kind)
			if readings, err = describe(readings[:0], pgn, payload); err != nil {
				d.stats.Failed++
				d.problem(&canlog.LineError{Line: d.entry.Line, Err: fmt.Errorf("PGN %v of %s: %w", pgn, nodeName(source), err)})
			}
			give(at, source, readings)
		},
		damaged: func(f j1939.Fault) {
			d.stats.Groups.Broken[f.Reason]++
			d.problem(&canlog.LineError{Line: d.entry.Line, Err: fmt.Errorf("transfer of PGN %v of %s%s", f.PGN, nodeName(f.Source), broken(f.Reason.String(), f.Got, f.Want))})
		},
	})
	if b.broadcast != nil {
		g.share(b.broadcast, b.broadcast.group)
	}
	return g
}

// GroupStats is what Decode met of J1939.
type GroupStats struct {
	Messages uint64
	Absent   j1939.Absent
	Broken   [j1939.Reasons]int // transfers, by j1939.Reason
}

func (s *GroupStats) add(g *groups) {
	s.Messages += g.messages
	s.Absent.Missing += g.absent.Missing
	s.Absent.Failed += g.absent.Failed
	s.Absent.Special += g.absent.Special
	s.Absent.Short += g.absent.Short
}

// describe is j1939.Describe; a VIN that ISO 3779 would not know is doubtful:
// machines have a product identification number of another length.
func describe(dst []j1939.Reading, pgn j1939.PGN, payload []byte) ([]j1939.Reading, error) {
	n := len(dst)
	dst, err := j1939.Describe(dst, pgn, payload)
	if pgn == j1939.PGNVehicleID {
		for i := range dst[n:] {
			if !obd.ValidVIN(dst[n+i].Value.Text()) {
				dst[n+i].Quality = telemetry.QualityDoubtful
			}
		}
	}
	return dst, err
}
