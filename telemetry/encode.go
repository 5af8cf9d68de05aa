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
	m.uint(envFormat, Format)
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

// EncodeEnvelope returns the envelope as it is published: the columns of all
// its batches laid together and compressed when that is shorter. What holds
// for EncodeBatch holds here; SentAt and SentWall are in milliseconds too.
func EncodeEnvelope(e *Envelope) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	body, how, err := encodeBody(e.Batches)
	if err != nil {
		return nil, err
	}
	m := msg{make([]byte, 0, len(body)+len(e.Unit)+len(e.Vehicle)+3*len(e.Batches)+128)}
	m.uint(envFormat, Format)
	m.text(envUnit, e.Unit)
	m.text(envVehicle, e.Vehicle)
	m.id(envStore, e.Store[:])
	m.uint(envClass, uint64(e.Class))
	m.id(envBoot, e.Boot[:])
	m.bool(envSimulated, e.Simulated)
	m.bool(envHistory, e.History)
	m.bool(envVolatile, e.Volatile)
	m.uint(envFloor, e.Floor)
	m.uint(envNext, e.Next)
	if p := e.Part; p != nil {
		part := msg{}
		part.uint(1, uint64(p.Index))
		part.uint(2, uint64(p.Of))
		m.bytes(envPart, part.b)
	}
	m.packed(envSeqs, seqRuns(e.Batches))
	m.packed(envValues, valueCounts(e.Batches))
	m.bytes(envBody, body)
	m.uint(envCompression, uint64(how))
	m.sint(envSentAt, e.SentAt.millis())
	if e.SentBoot != e.Boot {
		m.bytes(envSentBoot, e.SentBoot[:])
	}
	if ms, ok := wallMillis(e.SentWall); ok {
		m.b = protowire.AppendTag(m.b, envSentWall, protowire.VarintType)
		m.b = protowire.AppendVarint(m.b, protowire.EncodeZigZag(ms))
	}
	return m.b, nil
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

// encodeBody returns the Body message of the batches' contents, and how it is
// compressed.
func encodeBody(batches []Batch) ([]byte, compression, error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	defer e.reset(nil) // hold on to nobody's samples
	e.reset(batches)
	if err := e.samples(); err != nil {
		return nil, 0, err
	}
	e.describe()
	e.fixes()
	if bits := e.finish(); len(bits) > 0 {
		e.out = protowire.AppendTag(e.out, bodyBits, protowire.BytesType)
		e.out = protowire.AppendBytes(e.out, bits)
	}
	if n := e.records(); n > MaxRecords {
		return nil, 0, fmt.Errorf("encode %d records: %w", n, ErrTooLarge)
	}
	if len(e.out) > MaxBody {
		return nil, 0, fmt.Errorf("encode body of %d bytes: %w", len(e.out), ErrTooLarge)
	}
	for i := range batches {
		if len(batches[i].Chunks) > 0 {
			return append([]byte(nil), e.out...), compressNone, nil // video does not compress
		}
	}
	if z, how := compress(e.out); how != compressNone {
		return z, how, nil
	}
	return append([]byte(nil), e.out...), compressNone, nil
}
