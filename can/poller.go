package can

import (
	"context"
	"slices"
	"sync"
	"time"

	"obu/can/obd"
	"obu/telemetry"
)

// Bounds and times of polling.
const (
	// MinPeriod is the least period of a poll.
	MinPeriod = 20 * time.Millisecond
	// DefaultListen is how long a bus is listened to before the first request.
	DefaultListen = time.Second

	// answerWindow is how long an answer may take to begin. ISO 15765-4 gives
	// ECUs 50 ms (P2CAN max); gateways and loaded machines take more.
	answerWindow = 250 * time.Millisecond
	// pendingWindow replaces it after "response pending" (P2*CAN max).
	pendingWindow = 5 * time.Second
	// maxPending is how often an ECU may put one request off.
	maxPending = 10
	// maxECUs bounds the ECUs kept apart on one bus.
	maxECUs = 32

	// silentAfter is how long no ECU may answer before the car counts as
	// asleep; at least silentRequests have then gone unanswered.
	silentAfter    = 3 * time.Second
	silentRequests = 5
	// retryMin doubles up to retryMax while the car sleeps.
	retryMin = 5 * time.Second
	retryMax = 5 * time.Minute

	// restAfter is how long the engine may be off before polling rests, so
	// that the car can fall asleep; restEvery is how often it then looks.
	restAfter = 5 * time.Minute
	restEvery = 30 * time.Second
	// aliveVolts: a module supply above it means that something charges.
	aliveVolts = 13.2

	// patience is how many polls in a row a PID may stay unanswered, or be
	// refused, before it is asked less often; maxSlower bounds how much less.
	patience  = 3
	maxSlower = time.Minute

	// vinEvery is how often the VIN is asked for again, so that a unit moved
	// with its engine running is noticed.
	vinEvery = time.Hour
)

// poller asks the ECUs of one live bus. Its goroutine runs run; hear and wants
// are called by the receiving one.
type poller struct {
	r       *session
	cfg     OBDConfig
	spacing time.Duration
	next    time.Time // earliest moment of the next request

	extended bool
	ecus     map[ecuKey]*[256]bool // supported PIDs by ECU
	polls    []poll
	told     [256]bool // unsupported PIDs already reported
	unheard  int       // requests in a row nobody answered
	vinDue   time.Time
	retry    time.Duration
	awake    bool // values are current: asleep was not reported since

	mu     sync.Mutex // guards what follows
	asked  request
	got    []answer
	wake   chan struct{}
	want   *[256]bool
	alive  time.Time // engine or charger last seen running
	engine bool      // anything polled tells whether the engine runs
	last   time.Time // an ECU was last heard
}

// poll is one PID under way.
type poll struct {
	Poll
	expect  int // ECUs that support it
	due     time.Time
	misses  int
	slower  time.Duration
	dropped bool // every ECU refused it
}

// answer is one ECU's reaction to the outstanding request.
type answer struct {
	ecu      ecuKey
	negative obd.NRC // 0: positive
	data     [8]byte // behind service and PID
	pending  int
}

func newPoller(r *session) *poller {
	p := &poller{r: r, cfg: *r.cfg.OBD, wake: make(chan struct{}, 1), want: new([256]bool)}
	rate := MaxRequestRate
	if p.cfg.MaxRate > 0 {
		rate = min(rate, p.cfg.MaxRate)
	}
	p.spacing = time.Second / time.Duration(rate)
	for _, q := range p.cfg.Polls {
		p.want[q.PID] = true
	}
	r.poller.Store(p)
	return p
}

// run listens, searches, scans and polls until ctx ends.
func (p *poller) run(ctx context.Context) {
	p.r.n.setState("listening")
	listen := p.cfg.Listen
	if listen == 0 {
		listen = DefaultListen
	}
	if pause(ctx, listen) != nil {
		return
	}
	for ctx.Err() == nil {
		p.r.n.setState("searching")
		if p.search(ctx) {
			p.retry = 0
			p.scan(ctx)
			p.schedule()
			p.r.n.setState("polling")
			p.poll(ctx)
		}
		if ctx.Err() == nil {
			p.sleep(ctx)
		}
	}
}

// search asks 01 00 once with 11-bit, then once with 29-bit identifiers.
func (p *poller) search(ctx context.Context) bool {
	for _, extended := range [...]bool{false, true} {
		p.extended = extended
		p.ecus = make(map[ecuKey]*[256]bool)
		answers, err := p.ask(ctx, obd.ServiceCurrent, obd.PIDSupported, maxECUs)
		if err != nil {
			return false
		}
		p.learn(obd.PIDSupported, answers)
		if len(p.ecus) > 0 {
			p.r.gate.prove()
			return true
		}
		if p.r.gate.silence() > 0 {
			return false // the bus took it ill: no second try at once
		}
	}
	return false
}

// learn keeps what ECUs said they support.
func (p *poller) learn(base byte, answers []answer) {
	for i := range answers {
		a := &answers[i]
		if a.negative != 0 {
			continue
		}
		set := p.ecus[a.ecu]
		if set == nil {
			if len(p.ecus) >= maxECUs {
				continue
			}
			set = new([256]bool)
			p.ecus[a.ecu] = set
		}
		obd.SupportedPIDs(base, a.data[:4], func(pid byte) { set[pid] = true })
	}
}

// scan asks for the rest of the supported-PID bit maps.
func (p *poller) scan(ctx context.Context) {
	for base := 0x20; base <= 0xE0; base += 0x20 {
		expect := p.supporters(byte(base))
		if expect == 0 {
			break
		}
		answers, err := p.ask(ctx, obd.ServiceCurrent, byte(base), expect)
		if err != nil {
			return
		}
		p.learn(byte(base), answers)
	}
	names := make([]string, 0, len(p.ecus))
	for ecu := range p.ecus {
		names = append(names, ecu.String())
	}
	slices.Sort(names)
	p.r.log.Info("ECUs found", "ecus", names)
}

func (p *poller) supporters(pid byte) int {
	n := 0
	for _, set := range p.ecus {
		if set[pid] {
			n++
		}
	}
	return n
}

// schedule makes the list of polls, and reports once what no ECU supports.
func (p *poller) schedule() {
	wanted := p.cfg.Polls
	if len(wanted) == 0 {
		for pid := range 256 {
			if pid%0x20 != 0 && p.supporters(byte(pid)) > 0 && obd.HasFormula(byte(pid)) {
				wanted = append(wanted, Poll{byte(pid), obd.DefaultEvery(byte(pid))})
			}
		}
	}
	now := time.Now()
	want := new([256]bool)
	var missing []telemetry.Sample
	p.polls = p.polls[:0]
	for _, w := range wanted {
		want[w.PID] = true
		if n := p.supporters(w.PID); n > 0 {
			p.polls = append(p.polls, poll{Poll: w, expect: n, due: now})
			continue
		}
		missing = p.unsupported(missing, w.PID)
	}
	if len(missing) > 0 {
		p.r.emit(missing)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.want, p.alive, p.last = want, now, now
	p.engine = slices.ContainsFunc(p.polls, func(q poll) bool { return q.PID == obd.PIDEngineSpeed })
	p.awake, p.unheard = true, 0
	if p.vinDue.IsZero() {
		p.vinDue = now
	}
}

// unsupported appends the report that a PID has no value, once.
func (p *poller) unsupported(dst []telemetry.Sample, pid byte) []telemetry.Sample {
	if p.told[pid] {
		return dst
	}
	p.told[pid] = true
	return p.without(dst, pid, telemetry.QualityUnsupported)
}

// without appends samples without a value for the signals of a PID.
func (p *poller) without(dst []telemetry.Sample, pid byte, q telemetry.Quality) []telemetry.Sample {
	src := telemetry.Source{Bus: p.r.cfg.Name, Method: "obd"}
	at := p.r.cfg.Clock.Now()
	for _, sig := range obd.Signals(pid) {
		dst = append(dst, telemetry.Sample{At: at, Signal: sig, Source: src, Quality: q})
	}
	return dst
}

// poll asks for each PID when it is due, until the car falls asleep.
func (p *poller) poll(ctx context.Context) {
	for {
		if !p.cfg.SkipVIN && !time.Now().Before(p.vinDue) {
			p.vinDue = time.Now().Add(vinEvery)
			if _, err := p.ask(ctx, obd.ServiceVehicle, obd.PIDVIN, maxECUs); err != nil {
				return
			}
		}
		if p.silent() {
			return
		}
		if p.resting() {
			if !p.rest(ctx) {
				return
			}
		}
		q := p.earliest()
		if q == nil {
			if pause(ctx, restEvery) != nil {
				return
			}
			continue
		}
		if pause(ctx, time.Until(q.due)) != nil {
			return
		}
		answers, err := p.ask(ctx, obd.ServiceCurrent, q.PID, q.expect)
		if err != nil {
			return
		}
		p.settle(q, answers)
	}
}

// earliest returns the poll that is due first.
func (p *poller) earliest() *poll {
	var first *poll
	for i := range p.polls {
		q := &p.polls[i]
		if !q.dropped && (first == nil || q.due.Before(first.due)) {
			first = q
		}
	}
	return first
}

// settle draws the conclusions of one poll: when it is due next, and whether
// it is worth asking.
func (p *poller) settle(q *poll, answers []answer) {
	refused, good := 0, false
	for i := range answers {
		switch answers[i].negative {
		case 0:
			good = true
		case obd.NRCServiceNotSupported, obd.NRCNotSupported, obd.NRCOutOfRange:
			refused++
		}
	}
	switch {
	case good:
		q.misses, q.slower = 0, 0
	case refused > 0 && refused == len(answers):
		if q.misses++; q.misses >= patience {
			q.dropped = true
			if missing := p.unsupported(nil, q.PID); len(missing) > 0 {
				p.r.emit(missing)
			}
		}
	default:
		if q.misses++; q.misses >= patience {
			q.slower = min(max(2*q.slower, 2*q.Every), max(maxSlower, q.Every))
		}
	}
	now := time.Now()
	q.due = q.due.Add(max(q.Every, q.slower))
	if late := now.Sub(q.due); late > 0 {
		skipped := late/q.Every + 1
		p.r.n.late.Add(uint64(skipped))
		q.due = q.due.Add(skipped * q.Every)
	}
}

// ask sends one request when the bus allows it and collects the answers until
// expect ECUs have answered or the time is up.
func (p *poller) ask(ctx context.Context, service, pid byte, expect int) ([]answer, error) {
	if err := pause(ctx, time.Until(p.next)); err != nil {
		return nil, err
	}
	if err := p.r.gate.wait(ctx); err != nil {
		return nil, err
	}
	p.next = time.Now().Add(p.spacing)
	p.mu.Lock()
	p.asked = request{service: service, pid: pid, extended: p.extended}
	p.got = p.got[:0]
	p.mu.Unlock()
	defer p.r.gate.close()
	if err := p.r.gate.ask(p.extended, service, pid, answerWindow); err != nil {
		p.r.log.Debug("request was not sent", "error", err)
		p.unheard++
		return nil, ctx.Err()
	}
	answers, err := p.collect(ctx, expect)
	if err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		p.unheard++
		p.r.n.timeouts.Add(1)
	} else {
		p.unheard = 0
	}
	return answers, nil
}

// collect waits for the answers to the outstanding request.
func (p *poller) collect(ctx context.Context, expect int) ([]answer, error) {
	deadline := time.Now().Add(answerWindow)
	timer := time.NewTimer(answerWindow)
	defer timer.Stop()
	extended := 0
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			return p.finish(), nil
		case <-p.wake:
		}
		done, pending := p.progress()
		if done >= expect {
			return p.finish(), nil
		}
		if pending > extended {
			extended = pending
			deadline = time.Now().Add(pendingWindow)
			timer.Reset(time.Until(deadline))
		}
	}
}

// progress returns how many ECUs have answered for good, and how often one
// asked for more time.
func (p *poller) progress() (done, pending int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.got {
		if p.got[i].negative != obd.NRCPending {
			done++
		}
		pending += min(p.got[i].pending, maxPending)
	}
	return done, pending
}

// finish returns a copy of the answers and closes the request.
func (p *poller) finish() []answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = request{}
	return p.got // refilled by the next ask only
}

// hear takes every payload of every ECU. It is called by the receiving
// goroutine.
func (p *poller) hear(ecu ecuKey, payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.last = now
	p.observe(payload, now)
	var a answer
	service, code, negative := obd.ParseNegative(payload)
	switch {
	case p.asked.service == 0 || (ecu&flagExtended != 0) != p.asked.extended:
		return
	case negative && service == p.asked.service:
		a = answer{ecu: ecu, negative: code}
	case len(payload) >= 2 && payload[0] == p.asked.service+obd.PositiveOffset && payload[1] == p.asked.pid:
		a = answer{ecu: ecu}
		copy(a.data[:], payload[2:])
	default:
		return
	}
	p.record(a)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// record keeps one answer per ECU, the latest. p.mu is held.
func (p *poller) record(a answer) {
	for i := range p.got {
		if p.got[i].ecu == a.ecu {
			a.pending = p.got[i].pending
			if a.negative == obd.NRCPending {
				a.pending++
			}
			p.got[i] = a
			return
		}
	}
	if a.negative == obd.NRCPending {
		a.pending = 1
	}
	if len(p.got) < maxECUs {
		p.got = append(p.got, a)
	}
}

// observe looks for signs that the engine runs. p.mu is held.
func (p *poller) observe(payload []byte, now time.Time) {
	if len(payload) < 3 || payload[0] != obd.ServiceCurrent+obd.PositiveOffset {
		return
	}
	data := payload[2:]
	switch payload[1] {
	case obd.PIDEngineSpeed, obd.PIDVehicleSpeed:
		for _, b := range data {
			if b != 0 {
				p.alive = now
			}
		}
	case obd.PIDModuleVoltage:
		if len(data) >= 2 && float64(int(data[0])<<8|int(data[1])) > aliveVolts*1000 {
			p.alive = now
		}
	}
}

// wants reports whether a PID of service 01 is asked for.
func (p *poller) wants(pid byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.want[pid]
}

// silent reports whether the ECUs have stopped answering.
func (p *poller) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unheard >= silentRequests && time.Since(p.last) >= silentAfter
}

// resting reports whether the engine has been off for so long that the car
// should be left alone.
func (p *poller) resting() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.engine && time.Since(p.alive) >= restAfter
}

// rest asks for the engine speed now and then, until the engine runs again
// (true) or the ECUs fall silent (false).
func (p *poller) rest(ctx context.Context) bool {
	p.r.log.Info("engine is off: requests rest so that the car can sleep", "every", restEvery)
	p.r.n.setState("resting")
	p.reportAsleep()
	for p.resting() {
		if pause(ctx, restEvery) != nil {
			return false
		}
		answers, err := p.ask(ctx, obd.ServiceCurrent, obd.PIDEngineSpeed, p.supporters(obd.PIDEngineSpeed))
		if err != nil || len(answers) == 0 {
			return false
		}
	}
	now := time.Now()
	for i := range p.polls {
		p.polls[i].due = now
	}
	p.awake = true
	p.r.n.setState("polling")
	return true
}

// reportAsleep marks every polled signal as asleep, once.
func (p *poller) reportAsleep() {
	if !p.awake {
		return
	}
	p.awake = false
	var out []telemetry.Sample
	for i := range p.polls {
		out = p.without(out, p.polls[i].PID, telemetry.QualityAsleep)
	}
	if len(out) > 0 {
		p.r.emit(out)
	}
}

// sleep waits before the next search: longer each time, so that a parked car
// can sleep, but no longer than until its bus wakes up by itself.
func (p *poller) sleep(ctx context.Context) {
	p.r.n.setState("asleep")
	p.reportAsleep()
	p.retry = min(max(2*p.retry, retryMin), retryMax)
	until := time.Now().Add(p.retry)
	quiet := true
	for time.Now().Before(until) {
		before := p.r.heard.Load()
		if pause(ctx, min(retryMin, time.Until(until))) != nil {
			return
		}
		spoke := p.r.heard.Load() != before
		if spoke && quiet && p.retry > retryMin {
			p.retry = 0 // the bus woke up
			return
		}
		quiet = quiet && !spoke
	}
}
