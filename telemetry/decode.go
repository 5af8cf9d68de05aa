package telemetry

import (
	"bytes"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// header is an Envelope message before its body is opened.
type header struct {
	Envelope
	format      uint64
	hasSentBoot bool
	seqs        []uint64
	values      []uint64
	body        []byte
	rest        []byte
	compression compression
	names       names
}

// DecodeBatch reads what EncodeBatch wrote. The samples are in order of time,
// those of one time in the canonical order of their columns: signals of the
// table by number, then others by name, then by source. Fixes are in order of
// time and receiver.
func DecodeBatch(name Name, blob []byte) (Batch, error) {
	d := decoders.Get().(*decoder)
	defer d.release()
	h := &d.head
	if err := h.read(blob); err != nil {
		return Batch{}, err
	}
	if len(h.seqs) > 0 || len(h.values) > 1 {
		return Batch{}, fmt.Errorf("decode batch: it is an envelope: %w", ErrMalformed)
	}
	d.one[0] = Batch{Unit: h.Unit, Vehicle: h.Vehicle, Boot: h.Boot, Simulated: h.Simulated, Name: name}
	if err := d.decode(d.one[:]); err != nil {
		return Batch{}, err
	}
	return d.one[0], nil
}

// DecodeEnvelope reads what EncodeEnvelope or EncodeEnvelopeJSON wrote, and
// says which of ErrNewerFormat, ErrMalformed and ErrTooLarge is wrong with
// anything else. A hostile payload costs bounded memory and time.
func DecodeEnvelope(p []byte) (Envelope, error) {
	if isJSON(p) {
		return DecodeEnvelopeJSON(p)
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	h := &d.head
	if err := h.readEnvelope(p); err != nil {
		return Envelope{}, err
	}
	if err := d.decode(h.Batches); err != nil {
		return Envelope{}, err
	}
	return h.Envelope, nil
}

// ReadEnvelopeHeader reads an envelope without opening its body: the batches
// it returns have names and no content. The second result is how many records
// each of them holds, or nil when the header does not say: it need not in
// format 2, where there are only samples and fixes.
func ReadEnvelopeHeader(p []byte) (Envelope, []int, error) {
	if isJSON(p) {
		return readHeaderJSON(p)
	}
	h := new(header)
	if err := h.readEnvelope(p); err != nil {
		return Envelope{}, nil, err
	}
	if h.format > 1 && len(h.values) == 0 {
		return h.Envelope, nil, nil
	}
	values := make([]int, len(h.Batches))
	for i := range values {
		values[i] = h.valuesOf(i)
	}
	return h.Envelope, values, nil
}

// isJSON tells the two encodings apart: no Envelope message starts with a
// brace.
func isJSON(p []byte) bool {
	p = bytes.TrimLeft(p, " \t\r\n")
	return len(p) > 0 && p[0] == '{'
}

// read reads the fields of an Envelope message but its body.
func (h *header) read(p []byte) error {
	if err := eachField(p, h.field); err != nil {
		return err
	}
	switch {
	case h.format == 0:
		return fmt.Errorf("decode header without format version: %w", ErrMalformed)
	case h.format > FormatTrack:
		return fmt.Errorf("decode format %d, know %d: %w", h.format, FormatTrack, ErrNewerFormat)
	}
	if !h.hasSentBoot {
		h.SentBoot = h.Boot
	}
	total := uint64(0)
	for _, n := range h.values {
		if total += n; n > MaxValues || total > MaxValues {
			return fmt.Errorf("decode %d values: %w", total, ErrTooLarge)
		}
	}
	return nil
}

func (h *header) field(f field) (err error) {
	switch f.num {
	case envFormat:
		h.format = f.u
	case envUnit:
		h.Unit = h.names.of(f.b)
	case envVehicle:
		h.Vehicle = h.names.of(f.b)
	case envStore:
		return f.id(h.Store[:])
	case envClass:
		h.Class = Class(min(f.u, math.MaxUint8))
	case envBoot:
		return f.id(h.Boot[:])
	case envSimulated:
		h.Simulated = f.u != 0
	case envHistory:
		h.History = f.u != 0
	case envVolatile:
		h.Volatile = f.u != 0
	case envFloor:
		h.Floor = f.u
	case envNext:
		h.Next = f.u
	case envPart:
		return h.part(f.b)
	case envSeqs:
		h.seqs, err = f.numbers(h.seqs, 2*MaxBatches)
	case envValues:
		h.values, err = f.numbers(h.values, MaxBatches)
	case envBody:
		h.body = f.b
	case envRest:
		h.rest = f.b
	case envCompression:
		h.compression = compression(f.u)
	case envSentAt:
		h.SentAt = atMillis(f.sint())
	case envSentBoot:
		h.hasSentBoot = true
		return f.id(h.SentBoot[:])
	case envSentWall:
		if f.typ == protowire.VarintType {
			h.SentWall = fromMillis(f.sint())
		}
	}
	return err
}

func (h *header) part(p []byte) error {
	part := Part{}
	err := eachField(p, func(f field) error {
		switch f.num {
		case 1:
			part.Index = uint32(min(f.u, math.MaxUint32))
		case 2:
			part.Of = uint32(min(f.u, math.MaxUint32))
		}
		return nil
	})
	if err == nil && (part.Index >= part.Of || part.Of > MaxPartsOf) {
		err = fmt.Errorf("decode part %d of %d: %w", part.Index, part.Of, ErrMalformed)
	}
	h.Part = &part
	return err
}

// readEnvelope reads the header and makes its batches, still empty.
func (h *header) readEnvelope(p []byte) error {
	if err := h.read(p); err != nil {
		return err
	}
	if len(h.seqs)%2 != 0 {
		return fmt.Errorf("decode seqs: odd number of entries: %w", ErrMalformed)
	}
	n := uint64(0)
	for i := 1; i < len(h.seqs); i += 2 {
		if n += h.seqs[i]; h.seqs[i] > MaxBatches || n > MaxBatches {
			return fmt.Errorf("decode %d batches: %w", n, ErrTooLarge)
		}
	}
	if uint64(len(h.values)) > n || h.Part != nil && n != 1 {
		return fmt.Errorf("decode header of %d batches: %w", n, ErrMalformed)
	}
	total := 0
	h.Batches = make([]Batch, 0, n)
	next := uint64(0)
	for i := 0; i < len(h.seqs); i += 2 {
		next += h.seqs[i]
		for range h.seqs[i+1] {
			if m := len(h.Batches); next == 0 || m > 0 && next <= h.Batches[m-1].Seq {
				return fmt.Errorf("decode seq %d out of order: %w", next, ErrMalformed)
			}
			total += h.valuesOf(len(h.Batches))
			h.Batches = append(h.Batches, Batch{Unit: h.Unit, Vehicle: h.Vehicle, Boot: h.Boot, Simulated: h.Simulated,
				Name: Name{Store: h.Store, Class: h.Class, Seq: next}})
			next++
		}
	}
	if total > MaxValues {
		return fmt.Errorf("decode %d values: %w", total, ErrTooLarge)
	}
	if h.format > 1 {
		h.countFromSeqs()
	}
	return nil
}

// countFromSeqs undoes what format 2 does to floor and next: they are counted
// from the first seq, backwards, and from the one after the last.
func (h *header) countFromSeqs() {
	first, last := uint64(0), uint64(0)
	if n := len(h.Batches); n > 0 {
		first, last = h.Batches[0].Seq, h.Batches[n-1].Seq
	}
	h.Floor, h.Next = first-h.Floor, last+1+h.Next
}

// valuesOf returns how many records batch i has; the last entry of the field
// holds for the rest.
func (h *header) valuesOf(i int) int {
	if len(h.values) == 0 {
		return 0
	}
	return int(h.values[min(i, len(h.values)-1)])
}

// decode fills the batches.
func (d *decoder) decode(batches []Batch) error {
	h := &d.head
	body := h.body
	if h.format > 1 {
		if body = h.rest; len(h.body) > MaxBody {
			return fmt.Errorf("decode columns of %d bytes: %w", len(h.body), ErrTooLarge)
		}
	}
	raw, err := d.decompress(body, h.compression)
	if err != nil {
		return err
	}
	if len(batches) == 0 && len(raw)+len(h.body) > 0 {
		return fmt.Errorf("decode body of no batch: %w", ErrMalformed)
	}
	d.batches = batches
	for i := range batches {
		d.expect += h.valuesOf(i)
	}
	if h.format > 1 {
		err = d.dense(h.body, raw, h.moment())
	} else {
		err = d.body(raw)
	}
	if err != nil {
		return fmt.Errorf("decode body: %w", err)
	}
	if h.format > 1 && len(h.values) == 0 {
		return nil // it holds nothing but columns, which say it themselves
	}
	for i := range batches {
		n := batches[i].Values()
		if newer := d.unknown && n < h.valuesOf(i); n != h.valuesOf(i) && !newer {
			return fmt.Errorf("decode batch %d: %d values, header says %d: %w", batches[i].Seq, n, h.valuesOf(i), ErrMalformed)
		}
	}
	return nil
}
