package can

import (
	"sync"
	"sync/atomic"

	"obu/can/isotp"
	"obu/can/obd"
	"obu/can/uds"
	"obu/telemetry"
)

// session is one life of the device, from open to lost.
type session struct {
	*Source
	bus    Bus
	rate   int // bit/s
	replay bool
	mute   bool // nothing is sent: a recording, or a controller that only listens
	losses losses
	gate   *gate

	claimant *claimant // nil: the J1939 network is only listened to
	kept     *keeper   // guarded by emitMu

	heard  atomic.Uint64 // frames without errors, for the poller
	bits   atomic.Uint64 // on the bus since the last look
	off    bool          // the controller is bus-off; of the receiving goroutine
	poller atomic.Pointer[poller]

	mu      sync.Mutex // guards what follows
	dec     *decoder
	dbc     *listener // nil: no database
	j1939   *network  // nil: the bus is not read as J1939
	names   addresses
	samples []telemetry.Sample
	current []obd.Reading
	news    []obd.Reading
	values  *memory // told, of the polls with OnChange

	diagnosis []uds.Reading   // scratch
	requests  map[ecuKey]bool // on which ECUs are asked by UDS; fixed

	drops   uint64 // of the bus, already listed
	flushed telemetry.At
}

func newSession(s *Source, bus Bus) *session {
	r := &session{Source: s, bus: bus, names: make(addresses), values: newMemory(), kept: newKeeper(s.cfg.Rules)}
	if b, ok := bus.(interface{ ReceiveOnly() bool }); ok {
		r.replay = b.ReceiveOnly()
	}
	if b, ok := bus.(interface{ ListenOnly() bool }); ok {
		r.mute = b.ListenOnly()
	}
	r.mute = r.mute || r.replay
	r.rate = s.rateOf(bus)
	r.losses = losses{boot: s.cfg.Clock.Boot(), lost: s.cfg.Lost}
	r.gate = newGate(r)
	var permit permitFunc
	var reply replyFunc
	if !r.mute && s.cfg.OBD != nil && !s.cfg.OBD.Passive {
		permit, reply = r.gate.permit, r.gate.flowControl
	}
	r.requests = make(map[ecuKey]bool)
	for _, e := range s.ecus {
		r.requests[keyOf(e.Request, e.Extended)] = true
		if permit == nil && !r.replay {
			s.book.trouble(e.Name, notAsked)
		}
	}
	r.dec = newDecoder(&decoder{enhanced: s.ecus, only: s.cfg.OBD == nil, diagnostic: r.diagnostic, answer: r.answer, read: r.read, failed: r.failed}, r.damaged, permit, reply)
	r.dbc = newListener(r)
	r.j1939 = newNetwork(r)
	if r.dbc != nil && r.j1939 != nil {
		r.j1939.share(r.dbc.broadcast, r.dbc.packed)
	}
	r.claimant = newClaimant(r)
	r.since.Store(int64(s.cfg.Clock.Now()))
	return r
}

// receive is the loop of Run's own goroutine.
func (r *session) receive() error {
	var f Frame // one for all: it escapes
	for {
		var err error
		if f, err = r.bus.Receive(); err != nil {
			return err
		}
		r.n.frames.Add(1)
		r.bits.Add(frameBits(&f))
		if f.Error {
			r.errorFrame(&f)
			continue
		}
		if r.off {
			if v := r.n.controller.heard(f.At); v.back {
				r.recovered(v.since, f.At)
			}
		}
		if !r.replay {
			r.heard.Add(1)
			if isTester(&f) || len(r.requests) > 0 && r.requests[keyOf(f.ID, f.Extended)] {
				r.gate.otherTester()
			}
			if r.claimant != nil {
				r.claimant.hear(&f)
			}
		}
		r.mu.Lock()
		if r.cfg.OBD != nil || len(r.ecus) > 0 {
			r.dec.frame(&f)
		}
		if r.dbc != nil {
			r.dbc.hear(&f)
		}
		if r.j1939 != nil {
			r.j1939.hear(&f)
		}
		if r.replay && f.At.Sub(r.flushed) >= bookEvery {
			r.flushed = f.At
			r.books(f.At)
		}
		r.mu.Unlock()
	}
}

// answer hears every payload an ECU sent. r.mu is held.
func (r *session) answer(ecu ecuKey, payload []byte) {
	if _, code, ok := obd.ParseNegative(payload); ok {
		r.n.negative(code)
	} else if obd.Known(payload[0]) {
		r.n.responses.Add(1)
	}
	if p := r.poller.Load(); p != nil {
		p.hear(ecu, payload)
	}
}

// read turns readings into samples. r.mu is held.
func (r *session) read(at telemetry.At, ecu ecuKey, payload []byte, readings []obd.Reading) {
	service := payload[0] - obd.PositiveOffset
	p := r.poller.Load()
	if p != nil && (service == obd.ServiceFreeze || service == obd.ServiceVehicle) && payload[1]%0x20 == 0 {
		return // which PIDs there are is for the poller
	}
	current, news := r.current[:0], r.news[:0]
	for _, rd := range readings {
		switch {
		case rd.Quality == telemetry.QualityUnsupported: // a sensor that is not there, in each answer anew
		case p != nil && service == obd.ServiceCurrent && !p.wants(rd.PID): // on a recording all are wanted
		case service != obd.ServiceCurrent || obd.IsFact(rd.Signal):
			news = append(news, rd)
		case p == nil || !p.onChange[rd.PID] || r.values.changed(ecu, rd.Signal, rd.Value):
			current = append(current, rd)
		}
	}
	r.current, r.news = current, news
	if len(current) > 0 {
		r.emit(r.sampled(at, ecu, service, current))
	}
	if len(news) == 0 {
		return
	}
	events, fresh := r.memory.events(nil, ecu, service, news)
	if len(events) > 0 {
		r.event(r.sampled(at, ecu, service, events))
	}
	if fresh && p != nil {
		p.chores.noteCodes(ecu)
	}
}

// sampled gives readings their time and source. The slice is valid until the
// next call. r.mu is held.
func (r *session) sampled(at telemetry.At, ecu ecuKey, service byte, readings []obd.Reading) []telemetry.Sample {
	src := telemetry.Source{Bus: r.cfg.Name, Address: r.names.name(ecu), Method: "obd"}
	if service == obd.ServiceFreeze {
		src.Method = MethodFreeze
	}
	r.samples = r.samples[:0]
	for _, rd := range readings {
		r.samples = append(r.samples, telemetry.Sample{At: at, Signal: rd.Signal, Source: src, Value: rd.Value, Quality: rd.Quality})
	}
	return r.samples
}

// MethodFreeze is the method of a source whose values are those of a freeze
// frame: of the moment a trouble code came, told at the time they were read.
const MethodFreeze = "freeze"

// forget makes every value of a poll with OnChange news again.
func (r *session) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values = newMemory()
}

func (r *session) failed(at telemetry.At, ecu ecuKey, err error) {
	r.n.decodeErrors.Add(1)
	r.losses.add(lossKey{telemetry.ReasonDecode, r.source(ecu)}, at, 1)
	r.log.Debug("answer cannot be read", "ecu", r.names.name(ecu), "error", err)
}

func (r *session) damaged(f isotp.Fault) {
	r.n.transfers[f.Reason].Add(1)
	if p := r.poller.Load(); p != nil {
		p.broke(ecuKey(f.ID))
	}
	if !r.gate.wasLate(ecuKey(f.ID), f.At) {
		r.losses.add(lossKey{telemetry.ReasonDecode, r.source(ecuKey(f.ID))}, f.At, 1)
	}
	r.log.Debug("transfer broke", "ecu", r.names.name(ecuKey(f.ID)), "reason", f.Reason, "got", f.Got, "want", f.Want)
}

func (r *session) source(ecu ecuKey) telemetry.Source {
	return telemetry.Source{Bus: r.cfg.Name, Address: r.names.name(ecu), Method: "obd"}
}
