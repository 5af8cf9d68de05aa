package telemetry

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// The records that are rare or raw are plain protobuf messages, each with the
// number of its batch in the envelope as field 15.
const recordBatch = 15

// msg appends protobuf fields; a zero value is left out, as proto3 does.
type msg struct{ b []byte }

func (m *msg) uint(f protowire.Number, v uint64) {
	if v != 0 {
		m.b = protowire.AppendTag(m.b, f, protowire.VarintType)
		m.b = protowire.AppendVarint(m.b, v)
	}
}

func (m *msg) sint(f protowire.Number, v int64) { m.uint(f, protowire.EncodeZigZag(v)) }

func (m *msg) bool(f protowire.Number, v bool) {
	if v {
		m.uint(f, 1)
	}
}

func (m *msg) double(f protowire.Number, v float64) {
	if v != 0 {
		m.b = protowire.AppendTag(m.b, f, protowire.Fixed64Type)
		m.b = protowire.AppendFixed64(m.b, math.Float64bits(v))
	}
}

func (m *msg) text(f protowire.Number, s string) {
	if s != "" {
		m.b = protowire.AppendTag(m.b, f, protowire.BytesType)
		m.b = protowire.AppendString(m.b, utf8(s))
	}
}

func (m *msg) bytes(f protowire.Number, b []byte) {
	if len(b) > 0 {
		m.b = protowire.AppendTag(m.b, f, protowire.BytesType)
		m.b = protowire.AppendBytes(m.b, b)
	}
}

func (m *msg) packed(f protowire.Number, xs []uint64) {
	if len(xs) == 0 {
		return
	}
	n := 0
	for _, x := range xs {
		n += protowire.SizeVarint(x)
	}
	m.b = protowire.AppendTag(m.b, f, protowire.BytesType)
	m.b = protowire.AppendVarint(m.b, uint64(n))
	for _, x := range xs {
		m.b = protowire.AppendVarint(m.b, x)
	}
}

// id writes an identifier unless it is all zero.
func (m *msg) id(f protowire.Number, id []byte) {
	for _, b := range id {
		if b != 0 {
			m.bytes(f, id)
			return
		}
	}
}

// wall writes an optional wall time in nanoseconds since 1970.
func (m *msg) wall(f protowire.Number, t time.Time) {
	if ns, ok := wallNanos(t); ok {
		m.b = protowire.AppendTag(m.b, f, protowire.VarintType)
		m.b = protowire.AppendVarint(m.b, protowire.EncodeZigZag(ns))
	}
}

func appendSource(b []byte, s Source) []byte {
	m := msg{b}
	m.text(1, s.Bus)
	m.text(2, s.Address)
	m.text(3, s.Method)
	return m.b
}

// appendSignal declares a signal: one of the table by its number, kind and
// step, another one in full.
func appendSignal(b []byte, s *Signal) []byte {
	m := msg{b}
	id := s.ID()
	m.uint(1, uint64(id))
	if id == 0 {
		m.text(2, s.Name)
		m.text(3, s.Unit)
	}
	m.uint(4, uint64(s.Kind))
	m.sint(5, s.Step.Num)
	m.sint(6, s.Step.Den)
	if id == 0 {
		m.double(7, s.Min)
		m.double(8, s.Max)
		m.uint(9, uint64(s.Level))
	}
	return m.b
}

func appendStates(b []byte, column uint32, runs []uint32) []byte {
	m := msg{b}
	m.uint(1, uint64(column))
	xs := make([]uint64, len(runs))
	for i, r := range runs {
		xs[i] = uint64(r)
	}
	m.packed(2, xs)
	return m.b
}

func appendGap(b []byte, g *Gap, batch int) []byte {
	m := msg{b}
	m.uint(1, g.ID)
	m.uint(2, uint64(g.Version))
	m.uint(3, uint64(g.Class))
	m.id(4, g.Store[:])
	m.uint(5, g.FromSeq)
	m.uint(6, g.ToSeq)
	m.id(7, g.Boot[:])
	m.sint(8, int64(g.From))
	m.sint(9, int64(g.To))
	m.uint(10, uint64(max(g.Count, CountUnknown)+1))
	m.text(11, string(g.Reason))
	m.text(12, g.Source)
	m.uint(recordBatch, uint64(batch))
	return m.b
}

func appendAnchor(b []byte, a *Anchor, batch int) []byte {
	m := msg{b}
	m.id(1, a.Boot[:])
	m.sint(2, int64(a.At))
	m.wall(3, a.Wall)
	m.sint(4, int64(a.Uncertainty))
	m.text(5, string(a.By))
	m.uint(recordBatch, uint64(batch))
	return m.b
}

func appendClip(b []byte, c *Clip, batch int) []byte {
	m := msg{b}
	m.id(1, c.ID[:])
	m.text(2, c.Camera)
	m.text(3, c.Name)
	m.sint(4, int64(c.At))
	m.wall(5, c.Start)
	m.sint(6, int64(c.Length))
	m.sint(7, c.SizeBytes)
	m.id(8, c.SHA256[:])
	m.text(9, c.Cause)
	m.uint(recordBatch, uint64(batch))
	return m.b
}

func appendChunk(b []byte, c *Chunk, batch int) []byte {
	m := msg{b}
	m.id(1, c.Clip[:])
	m.sint(2, c.Offset)
	m.bytes(3, c.Data)
	m.uint(recordBatch, uint64(batch))
	return m.b
}

// records writes everything that is neither sample nor fix, and returns how
// many there are.
func (e *encoder) records() int {
	n := 0
	for b := range e.batches {
		c := &e.batches[b].Content
		n += len(c.Gaps) + len(c.Anchors) + len(c.Clips) + len(c.Chunks)
		for i := range c.Gaps {
			e.message(bodyGaps, appendGap(e.msg[:0], &c.Gaps[i], b))
		}
		for i := range c.Anchors {
			e.message(bodyAnchors, appendAnchor(e.msg[:0], &c.Anchors[i], b))
		}
		for i := range c.Clips {
			e.message(bodyClips, appendClip(e.msg[:0], &c.Clips[i], b))
		}
		for i := range c.Chunks {
			e.message(bodyChunks, appendChunk(e.msg[:0], &c.Chunks[i], b))
		}
	}
	return n
}
