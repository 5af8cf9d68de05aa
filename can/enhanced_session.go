package can

import (
	"errors"

	"obu/can/uds"
	"obu/telemetry"
)

// diagnostic reads a positive answer of services 22 and 19, ours or one to
// another tester. r.mu is held.
func (r *session) diagnostic(at telemetry.At, e *enhanced, payload []byte) {
	r.n.responses.Add(1)
	p := r.poller.Load()
	var err error
	switch {
	case payload[0] == uds.ServiceData+uds.PositiveOffset:
		err = e.data(&r.diagnosis, payload, func(did uint16, data []byte, all []uds.Reading) {
			r.tellDID(at, e, did, all)
			if p != nil {
				p.heardDID(e.key, did, data)
			}
		})
	case len(payload) > 1 && payload[1] == uds.ByMask:
		err = r.tellCodes(at, e, payload)
	default:
		err = e.records(payload, func(suffix string, frozen bool, all []uds.Reading) {
			r.event(r.diagnosed(at, e, suffix, frozen, all))
		})
	}
	if errors.Is(err, uds.ErrUnknown) || errors.Is(err, uds.ErrAnswer) {
		return // another tester's business
	}
	if err != nil {
		r.failed(at, e.key, err)
		r.book.trouble(e.Name, err.Error())
	}
}

// tellDID passes on what a DID says.
func (r *session) tellDID(at telemetry.At, e *enhanced, did uint16, all []uds.Reading) {
	if r.dbc != nil && e.table.IsRaw(did) && r.dbc.explains(e.Response, e.Extended) {
		return // the same bytes, with names
	}
	if e.onChange[did] {
		kept := all[:0]
		for _, rd := range all {
			if r.values.changed(e.key, rd.Signal, rd.Value) {
				kept = append(kept, rd)
			}
		}
		all = kept
	}
	if len(all) > 0 {
		r.emit(r.diagnosed(at, e, "", false, all))
	}
}

// tellCodes passes on what a list of trouble codes says that is new. That of
// another tester, whose status mask nobody knows, says nothing.
func (r *session) tellCodes(at telemetry.At, e *enhanced, payload []byte) error {
	_, list, err := uds.ParseCodes(nil, payload)
	if err != nil {
		return err
	}
	p := r.poller.Load()
	ours := p != nil && p.waitsFor(e.key, payload)
	if p != nil && !ours {
		return nil
	}
	list = list[:min(len(list), maxCodesKept)]
	before, known := r.memory.dtcs[e.key]
	news, fresh := codeNews(list, before, known, ours)
	r.memory.dtcs[e.key] = list
	r.book.codes(e.Name, len(list))
	if len(news) > 0 {
		r.event(r.diagnosed(at, e, "", false, news))
	}
	if p != nil {
		p.noteFresh(e, fresh)
	}
	return nil
}

// diagnosed gives readings their time and source. The slice is valid until the
// next call.
func (r *session) diagnosed(at telemetry.At, e *enhanced, suffix string, frozen bool, all []uds.Reading) []telemetry.Sample {
	src := telemetry.Source{Bus: r.cfg.Name, Address: r.names.name(e.key) + suffix, Method: MethodUDS}
	if frozen {
		src.Method = MethodFreeze
	}
	r.samples = r.samples[:0]
	for _, rd := range all {
		q := rd.Quality
		if q == telemetry.QualityLive && r.dec.readTime {
			q = telemetry.QualityReadTime
		}
		r.samples = append(r.samples, telemetry.Sample{At: at, Signal: rd.Signal, Source: src, Value: rd.Value, Quality: q})
	}
	return r.samples
}

// MethodUDS is the method of a source whose values are of UDS. Those of a
// snapshot have MethodFreeze, and behind the address the trouble code and the
// number of the snapshot: "7E8/P0301-00/1".
const MethodUDS = "uds"
