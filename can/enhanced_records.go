package can

import (
	"context"
	"maps"
	"slices"
	"time"

	"obu/can/obd"
	"obu/can/uds"
)

// takeFresh turns new codes into requests for their records, at most once a
// minute of each code.
func (p *poller) takeFresh() {
	p.mu.Lock()
	fresh := p.fresh
	p.fresh = nil
	p.mu.Unlock()
	now := time.Now()
	for _, f := range fresh {
		i := slices.IndexFunc(p.askers, func(a *asker) bool { return a.enhanced == f.ecu })
		if i < 0 {
			continue
		}
		a := p.askers[i]
		if len(a.recorded) >= maxRecorded { // what is older forbids nothing any more
			maps.DeleteFunc(a.recorded, func(_ uint32, at time.Time) bool { return now.Sub(at) >= frameEvery })
		}
		last, known := a.recorded[f.code]
		if known && now.Sub(last) < frameEvery || !known && len(a.recorded) >= maxRecorded {
			continue
		}
		a.recorded[f.code] = now
		if a.Codes.Snapshot {
			a.records = append(a.records, uds.RequestRecords(uds.Snapshot, f.code))
		}
		if a.Codes.Extended {
			a.records = append(a.records, uds.RequestRecords(uds.ExtendedData, f.code))
		}
	}
}

// askRecords asks for the snapshot or the extended data of one code.
func (p *poller) askRecords(ctx context.Context, a *asker) error {
	q := a.records[0]
	answers, err := p.askECU(ctx, a, a.request(q))
	if err != nil {
		return err
	}
	a.records = slices.Delete(a.records, 0, 1)
	if len(answers) > 0 && answers[0].negative != 0 && answers[0].negative != obd.NRCOutOfRange && uds.Judge(answers[0].negative) == uds.Never {
		a.records = slices.DeleteFunc(a.records, func(r []byte) bool { return r[1] == q[1] })
	}
	return nil
}
