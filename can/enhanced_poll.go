package can

import (
	"context"
	"slices"
	"time"

	"obu/can/uds"
)

// Times of asking by UDS.
const (
	// transferWindow is how long a long answer may take once it has begun: 4,095
	// bytes at the pace of slow gateways.
	transferWindow = 12 * time.Second
	// busyRetry is when an ECU that was busy is asked again; after maxBusy times
	// the period counts.
	busyRetry = time.Second
	maxBusy   = 3
	// unendingRetry is the soonest that an ECU which asked for time and then never
	// answered is asked for the same again.
	unendingRetry = time.Minute
	// maxRecorded bounds the codes of an ECU whose records are asked for within
	// frameEvery.
	maxRecorded = 64
)

// asker is what one ECU is asked, and how that goes. It belongs to the poller's
// goroutine.
type asker struct {
	*enhanced
	items    []item
	single   bool // it does not take several DIDs in one request
	silent   int  // requests for several in a row without an answer
	mute     int  // requests in a row without an answer
	answered bool
	said     bool                 // that it does not answer
	records  [][]byte             // requests for records of new codes
	recorded map[uint32]time.Time // when those of a code were last asked for
}

// item is one thing it is asked for now and then.
type item struct {
	poll  *DIDPoll // nil: the trouble codes
	every time.Duration
	wait  time.Duration // until the next time, longer while there is no answer
	due   time.Time
	busy  int
	left  bool // not in this drive
	told  bool // its signals are current
}

// didKey is a DID of an ECU.
type didKey struct {
	ecu ecuKey
	did uint16
}

// freshCode is a code whose records are worth asking for.
type freshCode struct {
	ecu  *enhanced
	code uint32
}

func (p *poller) newAskers() {
	for i := range p.r.cfg.UDS {
		c := p.r.dec.enhanced[p.r.cfg.UDS[i].answerKey()]
		if c == nil {
			continue
		}
		a := &asker{enhanced: c, recorded: make(map[uint32]time.Time)}
		for i := range c.DIDs {
			a.items = append(a.items, item{poll: &c.DIDs[i], every: c.DIDs[i].Every})
		}
		if c.Codes.Every > 0 {
			a.items = append(a.items, item{every: c.Codes.Every})
		}
		if len(a.items) > 0 {
			p.askers = append(p.askers, a)
		}
	}
}

// planEnhanced begins a drive: everything is asked for again.
func (p *poller) planEnhanced(now time.Time) {
	if len(p.askers) == 0 {
		return
	}
	p.r.book.begin()
	for _, a := range p.askers {
		a.single, a.silent, a.mute, a.records = false, 0, 0, nil
		for i := range a.items {
			it := &a.items[i]
			it.due, it.wait, it.busy, it.left = now, 0, 0, false
		}
	}
}

// searchEnhanced asks each ECU once for the first thing it is to be asked for:
// a car need not speak OBD.
func (p *poller) searchEnhanced(ctx context.Context) bool {
	if p.r.gate.silence() > 0 {
		return false // the bus took the search ill
	}
	return p.lookEnhanced(ctx, true)
}

// lookEnhanced asks each ECU for one thing and reports whether one answered.
func (p *poller) lookEnhanced(ctx context.Context, all bool) (answered bool) {
	for _, a := range p.askers {
		i := slices.IndexFunc(a.items, func(it item) bool { return all || !it.left })
		if i < 0 {
			continue
		}
		answers, err := p.askECU(ctx, a, a.request(a.items[i].payload(a)))
		if err != nil {
			return false
		}
		if len(answers) > 0 {
			p.r.gate.prove()
			answered = true
		}
	}
	return answered
}

// payload is the request for an item.
func (it *item) payload(a *asker) []byte {
	if it.poll == nil {
		return uds.RequestCodes(a.Codes.Mask)
	}
	return uds.RequestData(it.poll.ID)
}

// enhancedDue returns when the first item is due.
func (p *poller) enhancedDue(first time.Time) time.Time {
	p.takeFresh()
	for _, a := range p.askers {
		if len(a.records) > 0 {
			return time.Time{}
		}
		for i := range a.items {
			if it := &a.items[i]; !it.left && it.due.Before(first) {
				first = it.due
			}
		}
	}
	return first
}

// askEnhanced sends one request to an ECU, if one is due.
func (p *poller) askEnhanced(ctx context.Context, now time.Time) (done bool, err error) {
	p.takeFresh()
	var a *asker
	var next *item
	for _, b := range p.askers {
		if len(b.records) > 0 {
			return true, p.askRecords(ctx, b)
		}
		for i := range b.items {
			if it := &b.items[i]; !it.left && !now.Before(it.due) && (next == nil || it.due.Before(next.due)) {
				a, next = b, it
			}
		}
	}
	if next == nil {
		return false, nil
	}
	batch := a.batch(next, now)
	payload := next.payload(a)
	if len(batch) > 1 {
		dids := make([]uint16, len(batch))
		for i, it := range batch {
			dids[i] = it.poll.ID
		}
		payload = uds.RequestData(dids...)
	}
	answers, err := p.askECU(ctx, a, a.request(payload))
	if err == nil {
		p.settleEnhanced(a, batch, answers)
	}
	return true, err
}

// maxBody is what a request may have: a single frame, of which a second byte may
// be the address.
const maxBody = 6

// batch returns the items that can be asked for together with next, itself
// included: due by now, DIDs, and of a length that tells where the next begins.
func (a *asker) batch(next *item, now time.Time) []*item {
	batch := []*item{next}
	if a.single || next.poll == nil || next.poll.Length == 0 {
		return batch
	}
	most := min(a.PerRequest, maxBody/2)
	for i := range a.items {
		it := &a.items[i]
		if len(batch) >= most {
			break
		}
		if it != next && !it.left && it.poll != nil && it.poll.Length > 0 && !now.Before(it.due) {
			batch = append(batch, it)
		}
	}
	return batch
}

// askECU is send to one ECU, with its figures.
func (p *poller) askECU(ctx context.Context, a *asker, q request) ([]answer, error) {
	answers, err := p.send(ctx, q, 1)
	if err != nil {
		return nil, err
	}
	p.r.book.asked(a.Name, answers)
	if len(answers) > 0 {
		a.mute, a.answered = 0, true
		return answers, nil
	}
	if _, broken := p.longAnswer(true); broken {
		a.answered = true
		p.r.book.trouble(a.Name, "a long answer broke off: frames are lost; `obu status --json` counts transfers and drops of the bus")
		return nil, nil
	}
	if a.mute++; a.mute >= patience && !a.said {
		a.said = true
		text := "no answer for now"
		if !a.answered {
			text = "it has never answered: check request and response of its entry in can.uds, and that it is in this car"
		}
		p.r.book.trouble(a.Name, text)
		p.r.log.Warn("ECU does not answer UDS requests; "+text, "ecu", a.Name, "request", keyOf(a.Request, a.Extended), "response", a.key)
	}
	return nil, nil
}
