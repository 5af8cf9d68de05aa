package can

import (
	"time"

	"obu/can/obd"
	"obu/can/uds"
	"obu/telemetry"
)

// settleEnhanced draws the conclusions of one request.
func (p *poller) settleEnhanced(a *asker, batch []*item, answers []answer) {
	now := time.Now()
	defer p.notePutOff(a)
	if len(answers) == 0 || answers[0].negative == obd.NRCPending {
		if len(batch) > 1 {
			if a.silent++; a.silent >= silentBatches {
				p.oneAtATime(a)
			}
		}
		for _, it := range batch {
			if it.later(now); len(answers) > 0 { // it held up everything else for as long as P2* allows
				it.due = now.Add(max(it.wait, unendingRetry))
			}
		}
		return
	}
	if code := answers[0].negative; code != 0 {
		switch {
		case len(batch) > 1 && uds.Judge(code) != uds.Soon:
			p.oneAtATime(a) // the items stay due
		case uds.Judge(code) == uds.Never:
			p.leave(a, batch[0], code)
		default:
			for _, it := range batch {
				it.refused(now, code)
			}
		}
		return
	}
	a.silent = 0
	for _, it := range batch {
		switch {
		case it.poll == nil || p.wasHeard(didKey{a.key, it.poll.ID}):
			p.r.n.late.Add(it.done(now))
		case len(batch) > 1:
			p.oneAtATime(a) // it stays due
		default:
			it.later(now) // what came cannot be read
		}
	}
}

// notePutOff notes what is asked for less and less often.
func (p *poller) notePutOff(a *asker) {
	n, longest := 0, time.Duration(0)
	for i := range a.items {
		if it := &a.items[i]; it.wait > 0 && !it.left {
			n++
			longest = max(longest, it.wait)
		}
	}
	p.r.book.of(a.Name, func(s *ECUStats) { s.PutOff, s.PutOffS = n, longest.Seconds() })
}

// done settles when an item that was answered is due again; it returns how many
// turns were missed.
func (it *item) done(now time.Time) (skipped uint64) {
	it.wait, it.busy, it.told = 0, 0, true
	it.due = it.due.Add(it.every)
	if late := now.Sub(it.due); late > 0 {
		n := late/it.every + 1
		it.due = it.due.Add(n * it.every)
		return uint64(n)
	}
	return 0
}

// later puts an item off, longer each time.
func (it *item) later(now time.Time) {
	it.wait = min(max(2*it.wait, it.every), choreRetry*it.every)
	it.due = now.Add(it.wait)
}

// refused settles when to ask again an ECU that cannot answer now.
func (it *item) refused(now time.Time, code obd.NRC) {
	if uds.Judge(code) == uds.Soon && it.busy < maxBusy {
		it.busy++
		it.due = now.Add(min(busyRetry, it.every))
		return
	}
	it.busy = 0
	it.later(now)
}

// oneAtATime notes that an ECU does not take several DIDs in one request.
func (p *poller) oneAtATime(a *asker) {
	if !a.single {
		a.single = true
		p.r.log.Info("ECU does not take several DIDs in one request: it is asked for one at a time", "ecu", a.Name)
	}
}

// leave gives up an item for this drive.
func (p *poller) leave(a *asker, it *item, code obd.NRC) {
	it.left, it.told = true, false
	what := "trouble codes"
	if it.poll != nil {
		what = "DID " + uds.Hex(uint32(it.poll.ID), 4)
		p.emitWithout(a, it, telemetry.QualityUnsupported)
	}
	p.r.book.leave(a.Name, what, code)
	p.r.log.Warn("ECU refuses, and is not asked for this again in this drive", "ecu", a.Name, "what", what, "said", code.String(), "next", uds.Advice(code))
}

// emitWithout tells that the signals of an item have no value.
func (p *poller) emitWithout(a *asker, it *item, q telemetry.Quality) {
	src := telemetry.Source{Bus: p.r.cfg.Name, Address: a.key.String(), Method: MethodUDS}
	at := p.r.cfg.Clock.Now()
	var out []telemetry.Sample
	a.table.Signals(it.poll.ID, func(s *telemetry.Signal) {
		out = append(out, telemetry.Sample{At: at, Signal: s, Source: src, Quality: q})
	})
	if len(out) > 0 {
		p.r.emit(out)
	}
}

// sleepEnhanced marks what was current as asleep.
func (p *poller) sleepEnhanced() {
	for _, a := range p.askers {
		for i := range a.items {
			if it := &a.items[i]; it.told && it.poll != nil {
				it.told = false
				p.emitWithout(a, it, telemetry.QualityAsleep)
			}
		}
	}
}
