package can

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"obu/can/obd"
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
	// maxPending is how often ECUs may put one request off.
	maxPending = 10
	// maxECUs bounds the ECUs kept apart on one bus.
	maxECUs = 32

	// silentAfter is how long no ECU may answer before the car counts as
	// asleep; at least silentRequests have then gone unanswered.
	silentAfter    = 3 * time.Second
	silentRequests = 5
	// retryMin doubles up to retryMax between searches while the car is quiet: a
	// request wakes its bus, and a car that is woken each five minutes is flat in
	// the morning. While the bus speaks, or the ignition is known to be on, it
	// doubles up to retryAwake.
	retryMin   = 5 * time.Second
	retryMax   = time.Hour
	retryAwake = 5 * time.Minute

	// restAfter is how long the engine may be off before polling rests, so
	// that the car can fall asleep; restEvery, which doubles up to restMax, is how
	// often it then looks: ECUs that fall asleep after minutes get them.
	restAfter = 5 * time.Minute
	restEvery = 30 * time.Second
	restMax   = 5 * time.Minute
	// aliveVolts: a module supply above it means that something charges.
	aliveVolts = 13.2

	// patience is how many polls in a row a PID may stay unanswered, or be
	// refused, before it is asked less often; maxSlower bounds how much less.
	patience  = 3
	maxSlower = time.Minute

	// vinEvery is how often the VIN is asked for again, so that a unit moved
	// with its engine running is noticed; vinRetry, which doubles, while there
	// is no answer.
	vinEvery = time.Hour
	vinRetry = 30 * time.Second
)

// poller asks the ECUs of one live bus. Its goroutine runs run; hear and wants
// are called by the receiving one.
type poller struct {
	r       *session
	cfg     OBDConfig
	spacing time.Duration
	next    time.Time // earliest moment of the next request

	onChange  [256]bool // PIDs told when they change; fixed
	extended  bool
	ecus      map[ecuKey]*[256]bool // supported PIDs by ECU
	refusals  map[ecuKey]int        // of several PIDs in one request
	polls     []poll
	told      [256]bool // unsupported PIDs already reported
	unheard   int       // requests in a row nobody answered
	vinDue    time.Time
	vinWait   time.Duration // since it was asked for last
	retry     time.Duration
	since     time.Time // of the last search, and of the wait for the next
	searching bool
	kept      quiet         // what the next process was told
	nudge     time.Duration // in place of retry while the car shows signs of life
	dead      bool          // it showed none when it was looked at last
	awake     bool          // values are current: asleep was not reported since
	engine    bool          // an ECU knows the speed of engine or car, or the voltage: they tell when to rest
	saidMute  bool          // that no ECU answers; one that has answered may sleep

	chores chores
	askers []*asker

	mu       sync.Mutex // guards what follows
	asked    request
	got      []answer
	underway []ecuKey // ECUs whose answer of several frames has begun
	wake     chan struct{}
	want     *[256]bool
	alive    time.Time // engine or charger last seen running
	unused   time.Time // since when ECUs answer and neither was; zero: one was, or none answers
	last     time.Time // an ECU was last heard
	heard    [256]bool // PIDs answered since they were asked for, late or not

	dids  map[didKey]bool   // answered since the last request by UDS
	moved map[didKey]uint64 // hash of the data of a DID
	moves bool              // data that moves says that the car is in use
	fresh []freshCode
	long  int          // 1: a long answer to a request by UDS has begun; 2: it broke
	seed  maphash.Seed // fixed
}

// poll is one PID under way.
type poll struct {
	Poll
	expect  int // ECUs that support it
	due     time.Time
	misses  int
	short   int // times in a row that some of those stayed silent
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
	p := &poller{r: r, cfg: *r.cfg.OBD, wake: make(chan struct{}, 1), want: new([256]bool),
		dids: make(map[didKey]bool), moved: make(map[didKey]uint64), seed: maphash.MakeSeed()}
	rate := MaxRequestRate
	if p.cfg.MaxRate > 0 {
		rate = min(rate, p.cfg.MaxRate)
	}
	p.spacing = time.Second / time.Duration(rate)
	p.retry, p.nudge, p.since, p.unused = r.quiet.retry, r.quiet.nudge, r.quiet.since, r.quiet.unused
	p.kept = r.quiet
	p.kept.tester = time.Time{}
	for _, q := range p.cfg.Polls {
		p.want[q.PID] = true
		p.onChange[q.PID] = q.OnChange
	}
	p.newAskers()
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
	if p.retry > 0 { // nobody answered before the device was opened again
		p.doze(ctx)
	}
	for ctx.Err() == nil {
		p.r.n.setState("searching")
		p.searching, p.since = true, time.Now()
		if p.search(ctx) || ctx.Err() == nil && p.searchEnhanced(ctx) {
			p.retry, p.nudge, p.dead, p.saidMute, p.searching = 0, 0, false, true, false
			p.scan(ctx)
			p.schedule()
			p.r.n.setState("polling")
			p.poll(ctx)
		} else if ctx.Err() == nil {
			p.sayUnanswered()
		}
		if ctx.Err() == nil {
			p.sleep(ctx)
		}
	}
}

// poll asks for each PID when it is due, until the car falls asleep.
func (p *poller) poll(ctx context.Context) {
	for {
		if !p.cfg.SkipVIN && !time.Now().Before(p.vinDue) {
			if p.askVIN(ctx) != nil {
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
		if done, err := p.errand(ctx, q); err != nil {
			return
		} else if done {
			continue
		}
		first := p.enhancedDue(p.chores.firstDue())
		if q == nil || !first.After(q.due) {
			if pause(ctx, min(restEvery, time.Until(first))) != nil {
				return
			}
			continue
		}
		if pause(ctx, time.Until(q.due)) != nil {
			return
		}
		if p.answeredLate(q.PID) {
			q.misses, q.slower = 0, 0
		}
		if ecu, batch := p.several(q, time.Now()); len(batch) > 1 {
			if p.askSeveral(ctx, ecu, batch) != nil {
				return
			}
			continue
		}
		answers, err := p.ask(ctx, obd.ServiceCurrent, q.PID, q.expect)
		if err != nil {
			return
		}
		p.settle(q, answers)
	}
}

// askVIN asks for the VIN and settles when to ask again.
func (p *poller) askVIN(ctx context.Context) error {
	answers, err := p.ask(ctx, obd.ServiceVehicle, obd.PIDVIN, maxECUs)
	p.vinWait = min(max(2*p.vinWait, vinRetry), vinEvery)
	if len(answers) > 0 { // one that refuses has no VIN
		p.vinWait = vinEvery
	}
	p.vinDue = time.Now().Add(p.vinWait)
	return err
}

// ask asks all ECUs, see send.
func (p *poller) ask(ctx context.Context, service, pid byte, expect int) ([]answer, error) {
	return p.send(ctx, request{service: service, pid: pid, extended: p.extended}, expect)
}

// send sends one request when the bus allows it and collects the answers until
// expect ECUs have answered or the time is up.
func (p *poller) send(ctx context.Context, q request, expect int) ([]answer, error) {
	if err := pause(ctx, time.Until(p.next)); err != nil {
		return nil, err
	}
	p.keep()
	if err := p.r.gate.wait(ctx); err != nil {
		return nil, err
	}
	p.next = time.Now().Add(p.r.gate.spacing(p.spacing))
	p.mu.Lock()
	p.asked = q
	if q.service == obd.ServiceCurrent {
		p.heard[q.pid] = false
		for _, pid := range q.others[:q.more] {
			p.heard[pid] = false
		}
	}
	if q.to != nil {
		clear(p.dids)
	}
	p.got, p.long = p.got[:0], 0
	p.underway = p.underway[:0]
	p.mu.Unlock()
	defer p.r.gate.close()
	if err := p.r.gate.ask(q, answerWindow); err != nil {
		if p.unheard++; p.r.n.sendErrors.Add(1) == 1 {
			p.r.log.Warn("request was not sent; is anybody on the bus, and is the bit rate right? (ip -details -statistics link show)", "error", err)
		}
		return nil, ctx.Err()
	}
	answers, err := p.collect(ctx, expect)
	if err != nil {
		return nil, err
	}
	p.r.gate.close()
	if err := p.untilThrough(ctx); err != nil { // begun while the window closed
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
