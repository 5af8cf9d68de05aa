package can

import (
	"context"
	"time"

	"obu/can/obd"
)

// maxSeveral is how many PIDs ISO 15765-4 allows in one request.
const maxSeveral = 6

// silentBatches is how many requests for several PIDs an ECU may leave
// unanswered before it is asked for one at a time.
const silentBatches = 2

// several returns the polls that can be asked for together with q, itself
// included: due by now, known to one ECU alone, the same one, which takes
// several PIDs in a request, and of a size that tells where the next begins.
func (p *poller) several(q *poll, now time.Time) (ecu ecuKey, batch []*poll) {
	ecu, ok := p.only(q.PID)
	if !ok || p.cfg.Several < 2 || p.refusals[ecu] >= silentBatches || !obd.Shares(q.PID) {
		return 0, nil
	}
	batch = append(batch, q)
	for i := range p.polls {
		o := &p.polls[i]
		if o == q || o.dropped || now.Before(o.due) || !obd.Shares(o.PID) {
			continue
		}
		if other, ok := p.only(o.PID); !ok || other != ecu {
			continue
		}
		if batch = append(batch, o); len(batch) >= min(p.cfg.Several, maxSeveral) {
			break
		}
	}
	return ecu, batch
}

// only returns the ECU that alone supports a PID.
func (p *poller) only(pid byte) (ecu ecuKey, ok bool) {
	for k, set := range p.ecus {
		if set[pid] {
			if ok {
				return 0, false
			}
			ecu, ok = k, true
		}
	}
	return ecu, ok
}

// askSeveral sends one request for a batch. Polls that were not answered stay
// due: they are asked for one at a time when the ECU does not take several.
func (p *poller) askSeveral(ctx context.Context, ecu ecuKey, batch []*poll) error {
	q := request{service: obd.ServiceCurrent, pid: batch[0].PID, ecu: ecu, extended: p.extended}
	for _, o := range batch[1:] {
		q.others[q.more] = o.PID
		q.more++
	}
	answers, err := p.send(ctx, q, 1)
	if err != nil {
		return err
	}
	answered := 0
	for _, o := range batch {
		if p.answeredLate(o.PID) {
			answered++
			p.settle(o, answers)
		}
	}
	switch {
	case answered == len(batch):
		p.refusals[ecu] = 0
	case len(answers) > 0: // a negative answer, or one for fewer
		p.refuse(ecu, silentBatches)
	default:
		p.refuse(ecu, p.refusals[ecu]+1)
	}
	return nil
}

// refuse notes how often an ECU has refused several PIDs.
func (p *poller) refuse(ecu ecuKey, n int) {
	if p.refusals[ecu] = n; n == silentBatches {
		p.r.log.Info("ECU does not take several PIDs in one request: it is asked for one at a time", "ecu", ecu)
	}
}
