package can

import (
	"fmt"
	"math"
	"time"

	"obu/can/j1939"
	"obu/telemetry"
)

// J1939Config says how to listen to a J1939 network, and whether to take part.
type J1939Config struct {
	// Every is the least time between two values of a signal, unless a Rule is
	// about it; 0 means DefaultJ1939Every.
	Every time.Duration
	// Name and Address are claimed (J1939-81); a zero Name sends nothing at all.
	Name    j1939.Name
	Address uint8
	// Requests are asked for, one each requestEvery, all again each roundEvery.
	Requests []j1939.PGN
}

// check reports what New refuses.
func (c *J1939Config) check() error {
	if c.Name == 0 && len(c.Requests) > 0 || c.Name != 0 && c.Address > MaxAddress {
		return fmt.Errorf("%w: requests want a NAME, and an address up to %02X", ErrConfig, MaxAddress)
	}
	for _, pgn := range c.Requests {
		if !requestable[pgn] {
			return fmt.Errorf("%w: PGN %v is not asked for", ErrConfig, pgn)
		}
	}
	return nil
}

// MaxAddress is the highest address a node can have.
const MaxAddress = j1939.AddressNull - 1

// DefaultJ1939Every is the period of the values of a J1939 network.
const DefaultJ1939Every = time.Second

// J1939Filter passes every frame with a 29-bit identifier: any node may say
// anything.
var J1939Filter = Filter{Extended: true}

// network turns the messages of a session's J1939 network into samples and
// events.
type network struct {
	*groups
	r        *session
	changes  selection
	facts    facts
	samples  []telemetry.Sample
	readings []j1939.Reading
	quality  telemetry.Quality // of the frame under way
	counted  [2]uint64         // messages and absent values, already in the statistics
}

// newNetwork returns nil when the bus is not read as J1939.
func newNetwork(r *session) *network {
	if r.cfg.J1939 == nil {
		return nil
	}
	every := r.cfg.J1939.Every
	if every <= 0 {
		every = DefaultJ1939Every
	}
	timed := Rule{Timebased: every, Low: math.Inf(-1), High: math.Inf(1)}
	n := &network{r: r}
	n.changes = selection{slots: make([]slot, j1939.Parameters), give: n.sample}
	for i := range j1939.Parameters {
		n.changes.rules = append(n.changes.rules, ruleOf(r.cfg.Rules, j1939.Signal(i).Name, &timed))
	}
	n.facts = facts{tell: n.told, lost: n.hidden}
	n.groups = newGroups(&groups{
		said: func(at telemetry.At, source uint8, all []j1939.Reading) {
			for _, rd := range all {
				n.changes.take(rd.Number, at, ecuKey(source), rd.Signal, reading{rd.Value, n.quality})
			}
		},
		fact: func(at telemetry.At, source uint8, kind int, payload []byte) {
			if err := j1939.CheckFact(kind, payload); err != nil {
				n.unreadable(at, source, err)
				return
			}
			n.facts.take(factKey{source, uint8(kind)}, at, n.quality, payload)
		},
		damaged: n.broken,
	})
	return n
}

func (n *network) source(node uint8) telemetry.Source {
	return telemetry.Source{Bus: n.r.cfg.Name, Address: nodeName(node), Method: "j1939"}
}

func (n *network) sample(at telemetry.At, from ecuKey, s *telemetry.Signal, r reading) {
	n.samples = append(n.samples, telemetry.Sample{At: at, Signal: s, Source: n.source(uint8(from)), Value: r.v, Quality: r.q})
}

// told sends a fact that changed: what it says, and of trouble codes those
// that are new and those that are gone.
func (n *network) told(k factKey, f *fact) {
	pgn := j1939.FactPGN(int(k.kind))
	all, _ := describe(n.readings[:0], pgn, f.now) // CheckFact has passed it
	if f.told != nil {
		all = j1939.Changes(all, pgn, f.told, f.now)
	}
	n.readings = all
	if len(all) == 0 {
		return
	}
	events := make([]telemetry.Sample, 0, len(all))
	for _, rd := range all {
		if rd.Quality == telemetry.QualityLive {
			rd.Quality = f.quality
		}
		events = append(events, telemetry.Sample{At: f.at, Signal: rd.Signal, Source: n.source(k.source), Value: rd.Value, Quality: rd.Quality})
	}
	n.r.event(events)
}

// hidden counts a change that a flood of others hid, or for which there was no
// memory.
func (n *network) hidden(k factKey, at telemetry.At) {
	n.r.losses.add(lossKey{telemetry.ReasonBatcherFull, n.source(k.source)}, at, 1)
}

func (n *network) unreadable(at telemetry.At, node uint8, err error) {
	n.r.n.decodeErrors.Add(1)
	n.r.losses.add(lossKey{telemetry.ReasonDecode, n.source(node)}, at, 1)
	n.r.log.Debug("message cannot be read", "sender", nodeName(node), "error", err)
}

func (n *network) broken(f j1939.Fault) {
	n.r.n.groupFaults[f.Reason].Add(1)
	n.r.losses.add(lossKey{telemetry.ReasonDecode, n.source(f.Source)}, f.At, 1)
	n.r.log.Debug("transfer broke", "sender", nodeName(f.Source), "pgn", f.PGN, "reason", f.Reason, "got", f.Got, "want", f.Want)
}

// hear takes one frame. The session's mu is held.
func (n *network) hear(f *Frame) {
	n.quality = telemetry.QualityLive
	if f.ReadTime {
		n.quality = telemetry.QualityReadTime
	}
	n.frame(f)
	n.flushSamples()
}

// books passes on what waited, and counts. The session's mu is held.
func (n *network) books(now telemetry.At) {
	n.rx.Expire(now)
	n.changes.tell(now)
	n.flushSamples()
	n.facts.interval()
	absent := n.absent.Missing + n.absent.Failed + n.absent.Special + n.absent.Short
	n.r.n.groups.Add(n.messages - n.counted[0])
	n.r.n.unavailable.Add(absent - n.counted[1])
	n.counted = [2]uint64{n.messages, absent}
}

// finish passes on everything: nothing more will come.
func (n *network) finish() {
	n.rx.Flush()
	n.books(never)
	for n.facts.waiting() {
		n.facts.interval()
	}
}

func (n *network) flushSamples() {
	if len(n.samples) > 0 {
		n.r.give(n.samples)
		n.samples = n.samples[:0]
	}
}
