package can

import (
	"context"
	"slices"
	"time"

	"obu/can/obd"
	"obu/telemetry"
)

// search asks 01 00 once with 11-bit, then once with 29-bit identifiers, or
// with the configured ones alone.
func (p *poller) search(ctx context.Context) bool {
	for _, extended := range [...]bool{false, true} {
		if extended && p.cfg.Addressing == Address11 || !extended && p.cfg.Addressing == Address29 {
			continue
		}
		p.extended = extended
		p.ecus, p.refusals = make(map[ecuKey]*[256]bool), make(map[ecuKey]int)
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
	if len(names) > 0 {
		p.r.log.Info("ECUs found", "ecus", names)
	}
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

// sayUnanswered tells once that nobody has ever answered, unless the bus has given a
// reason that was told already.
func (p *poller) sayUnanswered() {
	if p.saidMute || p.r.gate.silence() > 0 {
		return
	}
	p.saidMute = true
	p.r.log.Warn("no ECU answers OBD requests: is the ignition on, is this the diagnostic bus, is its bit rate right (ip -details link show), does can.obd.addressing fit? It is tried again, less and less often",
		"up_to_every", retryMax)
}

// schedule makes the list of polls, and reports once what no ECU supports.
func (p *poller) schedule() {
	wanted := p.cfg.Polls
	if len(wanted) == 0 {
		for pid := range 256 {
			if pid%0x20 != 0 && p.supporters(byte(pid)) > 0 && obd.HasFormula(byte(pid)) {
				wanted = append(wanted, Poll{PID: byte(pid), Every: max(p.cfg.Every, obd.DefaultEvery(byte(pid)))})
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
	if p.unused.IsZero() {
		p.unused = now
	}
	p.want, p.alive, p.last = want, p.unused, now
	p.moves = p.supporters(obd.PIDEngineSpeed) == 0
	p.engine = p.supporters(obd.PIDEngineSpeed)+p.supporters(obd.PIDVehicleSpeed)+p.supporters(obd.PIDModuleVoltage)+len(p.askers) > 0
	p.awake, p.unheard = true, 0
	p.planChores(now)
	p.planEnhanced(now)
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
