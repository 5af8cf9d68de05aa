package telemetry

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

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
	return e.sealed()
}

// encodeColumns returns the columns of the batches' contents in format 2 or 3, what
// else there is as a Body message, and how that is compressed.
func encodeColumns(batches []Batch, sent moment, format int) (bits, rest []byte, how compression, err error) {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	defer e.reset(nil)
	e.reset(batches)
	if err := e.columns(sent, format); err != nil {
		return nil, nil, 0, err
	}
	e.declareSignals()
	e.declareTexts()
	rest, how, err = e.sealed()
	if len(batches) > 0 {
		bits = append(bits, e.dense.finish()...)
	}
	if len(bits) > MaxBody {
		return nil, nil, 0, fmt.Errorf("encode columns of %d bytes: %w", len(bits), ErrTooLarge)
	}
	return bits, rest, how, err
}

// sealed adds the records to the body and compresses it where that pays.
func (e *encoder) sealed() ([]byte, compression, error) {
	if n := e.records(); n > MaxRecords {
		return nil, 0, fmt.Errorf("encode %d records: %w", n, ErrTooLarge)
	}
	if len(e.out) > MaxBody {
		return nil, 0, fmt.Errorf("encode body of %d bytes: %w", len(e.out), ErrTooLarge)
	}
	for i := range e.batches {
		if len(e.batches[i].Chunks) > 0 {
			return append([]byte(nil), e.out...), compressNone, nil // video does not compress
		}
	}
	if z, how := compress(e.out); how != compressNone {
		return z, how, nil
	}
	return append([]byte(nil), e.out...), compressNone, nil
}
