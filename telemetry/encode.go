package telemetry

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of message Envelope in telemetry.proto.
const (
	envFormat      = 1
	envUnit        = 2
	envVehicle     = 3
	envStore       = 4
	envClass       = 5
	envBoot        = 6
	envSimulated   = 7
	envHistory     = 8
	envVolatile    = 9
	envFloor       = 10
	envNext        = 11
	envPart        = 12
	envSeqs        = 13
	envValues      = 14
	envBody        = 15
	envCompression = 16
	envSentAt      = 17
	envSentBoot    = 18
	envSentWall    = 19
	envRest        = 20
)

// encoders holds scratch space only; what an encoder writes depends on nothing
// that was encoded before.
var encoders = sync.Pool{New: func() any { return new(encoder) }}

// EncodeBatch returns the batch as it is stored: an Envelope message without
// the fields that name it, self-contained and columnar. Times of samples and
// fixes are rounded to 1 ms (At.Round), text that is not UTF-8 and numbers
// that are none (NaN in a Fix is "unknown") are mended; else DecodeBatch
// returns exactly what was encoded.
func EncodeBatch(b *Batch) ([]byte, error) {
	if n := b.Values(); n > MaxValues {
		return nil, fmt.Errorf("encode batch of %d values: %w", n, ErrTooLarge)
	}
	body, how, err := encodeBody([]Batch{*b})
	if err != nil {
		return nil, err
	}
	m := msg{make([]byte, 0, len(body)+len(b.Unit)+len(b.Vehicle)+48)}
	m.uint(envFormat, formatStored)
	m.text(envUnit, b.Unit)
	m.text(envVehicle, b.Vehicle)
	m.id(envBoot, b.Boot[:])
	m.bool(envSimulated, b.Simulated)
	m.packed(envValues, nonZero(b.Values()))
	m.bytes(envBody, body)
	m.uint(envCompression, uint64(how))
	return m.b, nil
}

func nonZero(n int) []uint64 {
	if n == 0 {
		return nil
	}
	return []uint64{uint64(n)}
}

// EncodeEnvelope returns the envelope as it is published, in format Format: the
// columns of all its batches laid together. What holds for EncodeBatch
// holds here; SentAt and SentWall are in milliseconds too.
func EncodeEnvelope(e *Envelope) ([]byte, error) { return EncodeEnvelopeFormat(e, Format) }

// EncodeEnvelopeFormat is EncodeEnvelope in a format that an older consumer
// knows, or FormatTrack.
func EncodeEnvelopeFormat(e *Envelope, format int) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	switch format {
	case 1:
		return e.encodePlain()
	case Format, FormatTrack:
		return e.encodeDense(format)
	}
	return nil, fmt.Errorf("encode format %d, know 1 to %d: %w", format, FormatTrack, ErrNewerFormat)
}

// encodeDense is EncodeEnvelope in format 2 or 3.
func (e *Envelope) encodeDense(format int) ([]byte, error) {
	bits, rest, how, err := encodeColumns(e.Batches, e.moment(), format)
	if err != nil {
		return nil, err
	}
	m := msg{make([]byte, 0, len(bits)+len(rest)+len(e.Unit)+len(e.Vehicle)+128)}
	m.uint(envFormat, uint64(format))
	e.appendNames(&m)
	first, last := uint64(0), uint64(0)
	if n := len(e.Batches); n > 0 {
		first, last = e.Batches[0].Seq, e.Batches[n-1].Seq
	}
	m.uint(envFloor, first-e.Floor)
	m.uint(envNext, e.Next-last-1)
	e.appendPart(&m)
	m.packed(envSeqs, seqRuns(e.Batches))
	if hasRecords(e.Batches) {
		m.packed(envValues, valueCounts(e.Batches))
	}
	m.bytes(envBody, bits)
	m.bytes(envRest, rest)
	m.uint(envCompression, uint64(how))
	e.appendSent(&m)
	return m.b, nil
}

// encodePlain is EncodeEnvelope in format 1.
func (e *Envelope) encodePlain() ([]byte, error) {
	body, how, err := encodeBody(e.Batches)
	if err != nil {
		return nil, err
	}
	m := msg{make([]byte, 0, len(body)+len(e.Unit)+len(e.Vehicle)+3*len(e.Batches)+128)}
	m.uint(envFormat, 1)
	e.appendNames(&m)
	m.uint(envFloor, e.Floor)
	m.uint(envNext, e.Next)
	e.appendPart(&m)
	m.packed(envSeqs, seqRuns(e.Batches))
	m.packed(envValues, valueCounts(e.Batches))
	m.bytes(envBody, body)
	m.uint(envCompression, uint64(how))
	e.appendSent(&m)
	return m.b, nil
}

func (e *Envelope) appendNames(m *msg) {
	m.text(envUnit, e.Unit)
	m.text(envVehicle, e.Vehicle)
	m.id(envStore, e.Store[:])
	m.uint(envClass, uint64(e.Class))
	m.id(envBoot, e.Boot[:])
	m.bool(envSimulated, e.Simulated)
	m.bool(envHistory, e.History)
	m.bool(envVolatile, e.Volatile)
}

func (e *Envelope) appendPart(m *msg) {
	if p := e.Part; p != nil {
		part := msg{}
		part.uint(1, uint64(p.Index))
		part.uint(2, uint64(p.Of))
		m.bytes(envPart, part.b)
	}
}

func (e *Envelope) appendSent(m *msg) {
	m.sint(envSentAt, e.SentAt.millis())
	if e.SentBoot != e.Boot {
		m.bytes(envSentBoot, e.SentBoot[:])
	}
	if ms, ok := wallMillis(e.SentWall); ok {
		m.b = protowire.AppendTag(m.b, envSentWall, protowire.VarintType)
		m.b = protowire.AppendVarint(m.b, protowire.EncodeZigZag(ms))
	}
}

// moment returns what both sides know of the times in the content.
func (e *Envelope) moment() (m moment) {
	if e.SentBoot == e.Boot {
		m.at = e.SentAt.millis()
		m.wall, _ = wallMillis(e.SentWall)
	}
	return m
}

// hasRecords reports whether there is anything but samples and fixes.
func hasRecords(batches []Batch) bool {
	for i := range batches {
		if c := &batches[i].Content; len(c.Gaps)+len(c.Anchors)+len(c.Clips)+len(c.Chunks) > 0 {
			return true
		}
	}
	return false
}

// check refuses what no decoder would take.
func (e *Envelope) check() error {
	if len(e.Batches) > MaxBatches {
		return fmt.Errorf("encode %d batches: %w", len(e.Batches), ErrTooLarge)
	}
	if n := e.Values(); n > MaxValues {
		return fmt.Errorf("encode envelope of %d values: %w", n, ErrTooLarge)
	}
	if p := e.Part; p != nil && (len(e.Batches) != 1 || p.Index >= p.Of || p.Of > MaxPartsOf) {
		return fmt.Errorf("encode part %d of %d with %d batches: %w", p.Index, p.Of, len(e.Batches), ErrMixed)
	}
	last := uint64(0)
	for i := range e.Batches {
		b := &e.Batches[i]
		if b.Seq <= last {
			return fmt.Errorf("encode seq %d after %d: %w", b.Seq, last, ErrMixed)
		}
		last = b.Seq
		if b.Store != e.Store || b.Class != e.Class || b.Boot != e.Boot || b.Simulated != e.Simulated ||
			b.Unit != e.Unit || b.Vehicle != e.Vehicle {
			return fmt.Errorf("encode seq %d of store %s: %w", b.Seq, b.Store, ErrMixed)
		}
	}
	return nil
}

// Values returns the number of records in all batches of the envelope.
func (e *Envelope) Values() int {
	n := 0
	for i := range e.Batches {
		n += e.Batches[i].Values()
	}
	return n
}

// seqRuns returns the seqs as pairs: how many are skipped, how many follow.
func seqRuns(batches []Batch) []uint64 {
	var runs []uint64
	next := uint64(0)
	for i := range batches {
		if seq := batches[i].Seq; seq != next || len(runs) == 0 {
			runs = append(runs, seq-next, 0)
			next = seq
		}
		runs[len(runs)-1]++
		next++
	}
	return runs
}

// valueCounts returns the records of each batch; the last entry holds for the
// rest.
func valueCounts(batches []Batch) []uint64 {
	counts := make([]uint64, len(batches))
	for i := range batches {
		counts[i] = uint64(batches[i].Values())
	}
	for len(counts) > 1 && counts[len(counts)-1] == counts[len(counts)-2] {
		counts = counts[:len(counts)-1]
	}
	return counts
}
