package can

import (
	"fmt"

	"obu/can/canlog"
	"obu/can/uds"
	"obu/telemetry"
)

// ecus returns those on an interface. What they do not explain is told as it is.
func (d *logDecoder) ecus(iface string) map[ecuKey]*enhanced {
	all, err := compileECUs(d.opt.UDS, iface)
	if err != nil && d.err == nil {
		d.err = err
	}
	for _, e := range all {
		e.raw = true
	}
	return all
}

// diagnostic tells what an answer of services 22 or 19 says.
func (d *logDecoder) diagnostic(iface string, b *logBus, at telemetry.At, e *enhanced, payload []byte) {
	d.stats.UDS++
	d.heard[e.Bus+"/"+e.Name] = true
	give := func(suffix string, all []uds.Reading) {
		for _, r := range all {
			d.give(Record{canlog.Stamp{Nanos: int64(at), Digits: b.digits}, iface, b.names.name(e.key) + suffix, r.Signal, r.Value, r.Quality, ""})
		}
	}
	var err error
	switch {
	case payload[0] == uds.ServiceData+uds.PositiveOffset:
		err = e.data(&d.diagnosis, payload, func(_ uint16, _ []byte, all []uds.Reading) { give("", all) })
	case len(payload) > 1 && payload[1] == uds.ByMask:
		var list []uds.DTC
		if _, list, err = uds.ParseCodes(nil, payload); err == nil {
			news, _ := codeNews(list[:min(len(list), maxCodesKept)], nil, false, false)
			give("", news)
		}
	default:
		err = e.records(payload, func(suffix string, frozen bool, all []uds.Reading) {
			if frozen {
				suffix += "/" + MethodFreeze
			}
			give(suffix, all)
		})
	}
	if err != nil {
		d.stats.Failed++
		d.problem(&canlog.LineError{Line: d.entry.Line, Err: fmt.Errorf("%s: %w", b.names.name(e.key), err)})
	}
}
