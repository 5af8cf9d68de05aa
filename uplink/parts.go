package uplink

import (
	"slices"

	"obu/telemetry"
)

// parts is one batch that travels in several packets because it is larger
// than one may be. The partition is fixed by (content, of), so that a later
// session sends only what is missing.
type parts struct {
	batch    telemetry.Batch
	contents []telemetry.Content // nil between sessions
	of       int
	size     int // largest encoded part so far
	sent     []bool
	acked    []bool
}

func newParts(b telemetry.Batch, of int) *parts {
	p := &parts{batch: b, of: of, sent: make([]bool, of), acked: make([]bool, of)}
	p.load(b)
	return p
}

// load takes the content again after a new session read it.
func (p *parts) load(b telemetry.Batch) {
	p.contents = split(b.Content, p.of)
	p.batch = b
	p.batch.Content = telemetry.Content{}
}

// unload forgets the content and what was not acknowledged.
func (p *parts) unload() {
	p.contents = nil
	copy(p.sent, p.acked)
}

func (p *parts) next() int  { return slices.Index(p.sent, false) }
func (p *parts) done() bool { return !slices.Contains(p.acked, false) }

// left counts the parts that were not sent.
func (p *parts) left() int {
	n := 0
	for _, s := range p.sent {
		if !s {
			n++
		}
	}
	return n
}

// split cuts a content into n pieces of about the same size: each list in n
// runs, the bytes of a single chunk likewise.
func split(c telemetry.Content, n int) []telemetry.Content {
	out := make([]telemetry.Content, n)
	for i := range out {
		out[i] = telemetry.Content{
			Samples: run(c.Samples, i, n), Fixes: run(c.Fixes, i, n), Gaps: run(c.Gaps, i, n),
			Anchors: run(c.Anchors, i, n), Clips: run(c.Clips, i, n),
		}
		for _, ch := range c.Chunks {
			lo, hi := len(ch.Data)*i/n, len(ch.Data)*(i+1)/n
			out[i].Chunks = append(out[i].Chunks,
				telemetry.Chunk{Clip: ch.Clip, Offset: ch.Offset + int64(lo), Data: ch.Data[lo:hi]})
		}
	}
	return out
}

func run[T any](list []T, i, n int) []T { return list[len(list)*i/n : len(list)*(i+1)/n] }

// pieces returns into how many pieces a batch can be cut at most.
func pieces(c *telemetry.Content) int {
	n := c.Values()
	for _, ch := range c.Chunks {
		n = max(n, len(ch.Data))
	}
	return min(max(n, 1), telemetry.MaxPartsOf)
}

// buildPart makes the next packet of a batch that travels in parts.
func (p *pump) buildPart(l *lane, pt *parts, b *telemetry.Batch, target int, history bool) *packet {
	if pt != nil && pt.size > p.u.poison.limit(p.u.cfg.MaxPacket) {
		l.drop(pt) // the limit fell: cut anew
		pt = nil
	}
	if pt == nil {
		pt = newParts(*b, p.partCount(l, b, target, history))
		l.partial = append(l.partial, pt)
	} else if pt.contents == nil {
		pt.load(*b)
	}
	i := pt.next()
	whole := pt.batch
	whole.Content = pt.contents[i]
	var part *telemetry.Part
	if pt.of > 1 {
		part = &telemetry.Part{Index: uint32(i), Of: uint32(pt.of)}
	}
	payload, err := p.encode(l, []telemetry.Batch{whole}, part, history)
	if err != nil {
		p.u.cfg.Log.Error("uplink: batch cannot be encoded, set aside", "seq", b.Seq, "class", l.class.String(), "error", err)
		l.drop(pt)
		p.refuse(l, b.Name, telemetry.ReasonDecode)
		return nil
	}
	pt.size = max(pt.size, len(payload))
	pk := p.pack(l, []telemetry.Batch{whole}, payload, history)
	pk.parts, pk.part = pt, i
	return pk
}

// partCount returns into how many parts a batch is cut so that each is within
// target bytes.
func (p *pump) partCount(l *lane, b *telemetry.Batch, target int, history bool) int {
	most := pieces(&b.Content)
	if l.class == telemetry.ClassMedia {
		room := max(target-partOverhead, minPart/2)
		if p.u.cfg.Encoding == JSON {
			room = room * 3 / 4
		}
		size := 0
		for _, c := range b.Chunks {
			size += len(c.Data)
		}
		return min(max((size+room-1)/room, 1), most)
	}
	for n := 2; ; n *= 2 {
		if n >= most {
			return most
		}
		fits := true
		for _, c := range split(b.Content, n) {
			cut := *b
			cut.Content = c
			payload, err := p.encode(l, []telemetry.Batch{cut}, &telemetry.Part{Of: uint32(n)}, history)
			if err != nil || len(payload) > target {
				fits = false
				break
			}
		}
		if fits {
			return n
		}
	}
}

// partOverhead is room for the envelope around a part of a chunk.
const partOverhead = 512

// unfinished returns the parts of the batch seq, nil when it is not cut.
func (l *lane) unfinished(seq uint64) *parts {
	for _, pt := range l.partial {
		if pt.batch.Seq == seq {
			return pt
		}
	}
	return nil
}

func (l *lane) drop(pt *parts) {
	l.partial = slices.DeleteFunc(l.partial, func(q *parts) bool { return q == pt })
}
