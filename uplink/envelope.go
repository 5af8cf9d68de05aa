package uplink

import (
	"errors"
	"fmt"
	"time"

	"obu/telemetry"
)

// packet is one PUBLISH on its way: an envelope of a lane, or a control
// message (lane nil).
type packet struct {
	topic    string
	payload  []byte
	retained bool

	id     string // of the command, when it is a reply
	lane   *lane
	names  []telemetry.Name // settled by the PUBACK
	live   bool
	alone  bool // nothing else is in flight, by intent
	parts  *parts
	values int // records inside
	part   int

	boot   telemetry.BootID
	newest telemetry.At // of the values inside, when boot is the running one
	mark   mark
}

// Ratios of encoded envelope to stored blobs before anything was measured.
const (
	ratioProtobuf = 1.0
	ratioJSON     = 12.0
	maxRead       = 1 << 20 // bytes of blobs decoded at once
	maxGroup      = 1024    // batches in one envelope
)

// build makes a packet from the batches of l in [from, limit): as many
// consecutive ones of the same vehicle and boot as fit into target bytes, or
// the next part of one that does not fit. It returns nil when there is
// nothing.
func (p *pump) build(l *lane, from, limit uint64, target int, history bool) *packet {
	batches := p.collect(l, from, limit, target)
	if len(batches) == 0 {
		return nil
	}
	first := batches[0]
	if pt := l.unfinished(first.Seq); pt != nil {
		return p.buildPart(l, pt, &first, target, history)
	}
	if l.class == telemetry.ClassMedia {
		return p.buildPart(l, nil, &first, target, history)
	}
	alone := max(target, p.u.pacer.whole(p.u.poison.limit(p.u.cfg.MaxPacket))) // the most one batch may be in one piece
	for tries := 0; ; tries++ {
		payload, err := p.encode(l, batches, nil, history)
		if errors.Is(err, telemetry.ErrTooLarge) {
			if len(batches) == 1 {
				return p.buildPart(l, nil, &first, alone, history)
			}
			batches = batches[:len(batches)/2] // many values in few bytes: the envelope is full before the packet
			continue
		}
		if err != nil {
			p.u.cfg.Log.Error("uplink: batch cannot be encoded, set aside", "seq", first.Seq, "class", l.class.String(), "error", err)
			p.refuse(l, first.Name, telemetry.ReasonDecode)
			return nil
		}
		if tries == 0 && len(batches) > 1 {
			p.u.learnRatio(l.class, float64(len(payload))/float64(p.blobs))
		}
		if len(payload) <= target || len(batches) == 1 {
			if len(payload) > alone {
				return p.buildPart(l, nil, &first, alone, history)
			}
			return p.pack(l, batches, payload, history)
		}
		batches = batches[:min(len(batches)-1, max(1, len(batches)*target/len(payload)))]
	}
}

// collect reads and decodes batches of one vehicle and boot.
func (p *pump) collect(l *lane, from, limit uint64, target int) []telemetry.Batch {
	budget := int(min(float64(target)/p.u.ratio(l.class), maxRead))
	var out []telemetry.Batch
	for len(out) == 0 {
		from = l.next(from)
		if from >= limit {
			return nil
		}
		stored, err := p.u.cfg.Backlog.Read(l.store, l.class, from, max(budget, 1))
		if err != nil {
			if !l.readErr {
				p.u.cfg.Log.Error("uplink: backlog cannot be read", "class", l.class.String(), "from", from, "error", err)
			}
			l.readErr = true
			return nil
		}
		l.readErr = false
		if len(stored) == 0 || stored[0].Seq >= limit {
			return nil
		}
		from = stored[0].Seq + 1
		out = p.decode(l, stored, limit)
	}
	return out
}

func (p *pump) decode(l *lane, stored []telemetry.Stored, limit uint64) []telemetry.Batch {
	var out []telemetry.Batch
	p.blobs = 0
	for _, s := range stored[:min(len(stored), maxGroup)] {
		if s.Seq >= limit || l.taken(s.Seq) {
			break
		}
		b, err := telemetry.DecodeBatch(s.Name, s.Blob)
		if errors.Is(err, telemetry.ErrNewerFormat) {
			if len(l.newer.spans) == 0 {
				p.u.cfg.Log.Error("uplink: a newer obu stored batches that this one cannot read; they are kept", "store", l.store.String(),
					"class", l.class.String(), "seq", s.Seq, "next", "install the newer obu again to deliver them")
			}
			l.newer.add(s.Seq)
			break
		}
		if err != nil {
			p.u.cfg.Log.Error("uplink: stored batch is damaged, set aside", "seq", s.Seq, "class", l.class.String(), "error", err)
			p.refuse(l, s.Name, telemetry.ReasonDamagedStore)
			break
		}
		if len(out) > 0 {
			f := &out[0]
			if b.Unit != f.Unit || b.Vehicle != f.Vehicle || b.Boot != f.Boot || b.Simulated != f.Simulated {
				break
			}
			if l.unfinished(s.Seq) != nil {
				break
			}
		}
		out = append(out, b)
		p.blobs += len(s.Blob)
	}
	return out
}

func (p *pump) encode(l *lane, batches []telemetry.Batch, part *telemetry.Part, history bool) ([]byte, error) {
	f := &batches[0]
	e := telemetry.Envelope{
		Unit: f.Unit, Vehicle: f.Vehicle, Store: l.store, Class: l.class, Boot: f.Boot,
		Simulated: f.Simulated, History: history, Volatile: l.stream.Volatile,
		Floor: l.stream.Floor, Next: l.stream.Next,
		SentAt: p.u.cfg.Clock.Now(), SentBoot: p.u.cfg.Clock.Boot(), SentWall: p.u.wall(),
		Part: part, Batches: batches,
	}
	if p.u.cfg.Encoding == JSON {
		return telemetry.EncodeEnvelopeJSON(&e)
	}
	return telemetry.EncodeEnvelopeFormat(&e, p.u.cfg.Format)
}

// pack wraps an encoded envelope and learns the ratio of envelope to blobs.
func (p *pump) pack(l *lane, batches []telemetry.Batch, payload []byte, history bool) *packet {
	pk := &packet{
		topic: p.u.topic(l.class.String()), payload: payload, lane: l, live: !history && l.live(),
		names: make([]telemetry.Name, len(batches)), boot: batches[0].Boot,
	}
	for i := range batches {
		pk.names[i] = batches[i].Name
		pk.values += batches[i].Values()
		pk.newest = max(pk.newest, newest(&batches[i].Content))
	}
	return pk
}

// newest returns the latest At among samples and fixes.
func newest(c *telemetry.Content) telemetry.At {
	var at telemetry.At
	for i := range c.Samples {
		at = max(at, c.Samples[i].At)
	}
	for i := range c.Fixes {
		at = max(at, c.Fixes[i].At)
	}
	return at
}

// ratio estimates encoded envelope bytes per stored byte of a class.
func (u *Uplink) ratio(c telemetry.Class) float64 {
	switch {
	case u.ratios[c] > 0:
		return u.ratios[c]
	case u.cfg.Encoding == JSON:
		return ratioJSON
	}
	return ratioProtobuf
}

// learnRatio moves the estimate towards what a group of batches came to.
func (u *Uplink) learnRatio(c telemetry.Class, seen float64) {
	u.ratios[c] = 0.7*u.ratio(c) + 0.3*min(max(seen, 0.05), 50)
}

// wall returns the unit's best wall time as a hint, zero when it has none.
func (u *Uplink) wall() time.Time { return u.cfg.Clock.Wall().Time }

// class is that of the data inside, 0 for a control message.
func (pk *packet) class() telemetry.Class {
	if pk.lane == nil {
		return 0
	}
	return pk.lane.class
}

// String names a packet in the log.
func (pk *packet) String() string {
	if pk.lane == nil {
		return pk.topic
	}
	return fmt.Sprintf("%s seq %d-%d", pk.lane.class, pk.names[0].Seq, pk.names[len(pk.names)-1].Seq)
}
