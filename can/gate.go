package can

import (
	"context"
	"sync"
	"time"

	"obu/can/isotp"
	"obu/telemetry"
)

// Bounds of what the agent does to a bus.
const (
	// MaxRequestRate is the most requests per second on one bus: with their
	// answers about 5 % of a 500 kbit/s bus.
	MaxRequestRate = 100
	// TesterSilence is how long nothing is asked after another tester spoke.
	TesterSilence = 10 * time.Second
	// MaxBusLoad is the load, 0 to 1, above which nothing is asked.
	MaxBusLoad = 0.8
	// maxErrorsPerSecond is how many error frames within a second make the
	// agent fall silent. Before an ECU has answered one is enough.
	maxErrorsPerSecond = 3
	// errorSilence is how long it then is silent; doubled each time, up to
	// maxErrorSilence, and forgotten when the bus then stays good as long.
	errorSilence    = 10 * time.Second
	maxErrorSilence = 5 * time.Minute
	// comeBack is how the agent returns from it: with requests so far apart,
	// half as far after each errorSilence that stays good.
	comeBack = time.Second
	// maxLeave is how often an ECU that begins its answer to one request is given
	// leave to go on: one that begins for ever must not make the agent send.
	maxLeave = 3
	// stampSlack is how much earlier than our clock a frame may be stamped. One
	// that came before the request answers an earlier one of the same kind, which a
	// machine that is busy gave up before it read the answer.
	stampSlack = 5 * time.Millisecond
	// maxLast is how many of the last requests an answer that begins too late may
	// be of, and how many of those are known.
	maxLast = 8
)

// gate is the only way from a session to Bus.Send: it holds the allow-list and
// the reasons to be silent. (What is sent before there is one, to find a bit
// rate, goes by the same list: see rateSearch.)
type gate struct {
	r *session

	mu     sync.Mutex // guards what follows
	proven bool       // an ECU has answered: the bit rate is right
	quiet
	errCount int
	errSince time.Time
	busOff   bool
	open     request        // outstanding
	asked    telemetry.At   // when it was sent
	leave    map[ecuKey]int // flow control for answers to it
	last     []request      // that are outstanding no more, maxLast at most
	late     []lateAnswer   // maxLast at most
	to       *enhanced      // of the request that was permitted last
}

// quiet are the reasons to be silent that outlive a device: it may be opened
// again before their time is over.
type quiet struct {
	tester time.Time // silent until: another tester
	errors time.Time // silent until: error frames
	hold   time.Duration
	retry  time.Duration // of the poller, who waits
	nudge  time.Duration // or so long, while the bus speaks,
	since  time.Time     // from then on
	unused time.Time     // since when the car is not in use
}

func newGate(r *session) *gate {
	return &gate{r: r, quiet: r.quiet, leave: make(map[ecuKey]int)}
}

// ask sends a request and remembers it as outstanding.
func (g *gate) ask(q request, window time.Duration) error {
	f := q.frame()
	allowed := allowedRequest
	if q.to.head() > 0 {
		allowed = allowedAddressed
	}
	if !allowed(&f) {
		g.r.n.forbidden.Add(1)
		return errForbidden
	}
	g.mu.Lock()
	g.open, g.asked = q, g.r.cfg.Clock.Now()
	clear(g.leave)
	g.open.until = time.Now().Add(window)
	g.mu.Unlock()
	if err := g.r.bus.Send(f); err != nil {
		return err
	}
	g.r.n.requests.Add(1)
	return nil
}

// padByte fills requests to 8 bytes, as ISO 15765-4 demands; CC has the
// fewest stuff bits of those in use.
const padByte = 0xCC

// permit reports whether a first frame answers our outstanding request, and
// its sender still waits for the flow control.
func (g *gate) permit(from isotp.Address, at telemetry.At, first []byte) bool {
	g.mu.Lock()
	o, ecu := &g.open, ecuKey(from.ID)
	n := g.leave[ecu]
	room := n < maxLeave && (n > 0 || len(g.leave) < maxECUs)
	ours := room && o.answeredBy(ecu, first) && time.Now().Before(o.until) && at >= g.asked.Add(-stampSlack) && g.r.cfg.Clock.Now().Sub(at) < isotp.MaxBr
	enhanced := o.to != nil
	if ours {
		g.leave[ecu], g.to = n+1, o.to
	} else if room && g.wasAsked(ecu, first) { // without room it is refused, and not late
		g.late = append(g.late[len(g.late)/maxLast:], lateAnswer{ecu, at})
	}
	g.mu.Unlock()
	if p := g.r.poller.Load(); ours && p != nil {
		p.begun(ecu, enhanced)
	}
	return ours
}

// extend gives the answer to the outstanding request more time: its ECU put it
// off. How often it may is bounded by collect, which ends with close.
func (g *gate) extend(window time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open.service != 0 {
		g.open.until = time.Now().Add(window)
	}
}

// flowControl answers a first frame that permit let through.
func (g *gate) flowControl(to isotp.Address, fc isotp.FlowControl) error {
	f := Frame{Len: 8}
	for i := range f.Data[:8] {
		f.Data[i] = padByte
	}
	f.ID, f.Extended = ecuKey(to.ID).request()
	g.mu.Lock()
	ecu := g.to // the request may have been given up by now
	g.mu.Unlock()
	if ecu != nil && ecu.key == ecuKey(to.ID) {
		f.ID, f.Extended = ecu.Request, ecu.Extended
	}
	head := ecu.head()
	if head > 0 {
		f.Data[0] = ecu.Address
	}
	b := fc.Bytes()
	copy(f.Data[head:], b[:])
	if !allowedFlow(&f, head, ecu != nil) {
		g.r.n.forbidden.Add(1)
		return errForbidden
	}
	if err := g.r.bus.Send(f); err != nil {
		if g.r.n.sendErrors.Add(1) == 1 {
			g.r.log.Warn("flow control was not sent; the answer will not arrive", "error", err)
		}
		return err
	}
	g.r.n.flowControls.Add(1)
	return nil
}

// close forgets the outstanding request.
func (g *gate) close() {
	g.mu.Lock()
	if g.open.service != 0 {
		g.last = append(g.last[len(g.last)/maxLast:], g.open)
		g.open = request{}
	}
	g.mu.Unlock()
}

// lateAnswer is the first frame of an answer that began too late.
type lateAnswer struct {
	ecu ecuKey
	at  telemetry.At
}

// wasAsked reports whether a first frame answers one of the last requests. g.mu
// is held.
func (g *gate) wasAsked(ecu ecuKey, first []byte) bool {
	for i := range g.last {
		if g.last[i].answeredBy(ecu, first) {
			return true
		}
	}
	return g.open.answeredBy(ecu, first)
}

// wasLate reports whether a transfer that broke is the answer to a request of
// ours that began too late: it was given no leave, so its ECU never sent the rest.
func (g *gate) wasLate(ecu ecuKey, at telemetry.At) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, l := range g.late {
		if l == (lateAnswer{ecu, at}) {
			return true
		}
	}
	return false
}

// otherTester notes a request that is not ours.
func (g *gate) otherTester() {
	now := time.Now()
	g.mu.Lock()
	first := now.After(g.tester)
	g.tester = now.Add(TesterSilence)
	g.mu.Unlock()
	if first {
		g.r.log.Info("another tester is asking on the bus: silent until it has stopped", "for", TesterSilence)
	}
}

// off notes that the controller went bus-off, or came back. Until then nothing
// can be sent, and afterwards the bus is listened to first.
func (g *gate) off(is bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busOff && !is {
		g.errors = time.Now().Add(max(g.hold, errorSilence))
	}
	g.busOff = is
}

// spacing returns how far requests are apart at least, given what the rate
// demands: after errors asking begins slowly.
func (g *gate) spacing(least time.Duration) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.errors.IsZero() {
		return least
	}
	steps := max(time.Since(g.errors), 0) / errorSilence
	return max(least, comeBack>>min(steps, 30))
}

// errorSeen notes an error frame, and falls silent when they rise, or at once
// when the controller is close to leaving the bus.
func (g *gate) errorSeen(bad bool) {
	now := time.Now()
	g.mu.Lock()
	if now.Sub(g.errors) > max(g.hold, errorSilence) {
		g.hold = 0
	}
	if now.Sub(g.errSince) > time.Second {
		g.errSince, g.errCount = now, 0
	}
	g.errCount++
	limit := maxErrorsPerSecond
	if bad || !g.proven {
		limit = 1
	}
	retreat := g.errCount >= limit && !now.Before(g.errors)
	if retreat {
		g.hold = min(max(2*g.hold, errorSilence), maxErrorSilence)
		g.errors = now.Add(g.hold)
	}
	hold := g.hold
	g.mu.Unlock()
	if retreat {
		g.r.log.Warn("error frames on the bus: requests stop; check the bit rate (ip -details link show), the wiring and the termination",
			"for", hold)
	}
}

// prove notes that an ECU has answered.
func (g *gate) prove() {
	g.mu.Lock()
	g.proven = true
	g.mu.Unlock()
}

// silence returns how long the gate stays shut.
func (g *gate) silence() time.Duration {
	if g.r.n.loadPermille.Load() > MaxBusLoad*1000 {
		return bookEvery
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busOff {
		return bookEvery
	}
	now := time.Now()
	return max(g.tester.Sub(now), g.errors.Sub(now))
}

// wait blocks until the gate is open; it returns the context's error.
func (g *gate) wait(ctx context.Context) error {
	for {
		d := g.silence()
		if d <= 0 {
			return ctx.Err()
		}
		g.r.n.withheld.Add(1)
		if err := pause(ctx, d); err != nil {
			return err
		}
	}
}

// pause sleeps for d, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
